// The page: a request to what is served, its answer, and the program that asks the same.
'use strict';

const POLL_MS = 3000;
const MAX_SHOWN = 100000;
const MAX_SNIPPET_BODY = 64 * 1024;
const SNIPPET_DELAY_MS = 300;

let requests = [];
let asked = '';
let texts = [];

// ---- what to ask

/** The models that have a version to ask, through Jupyter. */
function askable() {
  const view = views.find(one => one.engine.name === DEFAULT_ENGINE);
  return (view?.models ?? []).filter(model => model.versions.some(one => one.state === 'AVAILABLE'));
}

function fillTargets() {
  const models = askable();
  byId('ask-section').hidden = models.length === 0;
  fill(
    byId('model'),
    models.map(model => [model.name, model.name])
  );
  fillVersions();
}

function fillVersions() {
  const model = askable().find(one => one.name === byId('model').value);
  if (model === undefined) {
    return;
  }
  const versions = model.versions.filter(one => one.state === 'AVAILABLE');
  fill(byId('version'), [
    ['latest', 'the latest'],
    ...labelsOf(model).map(([label, version]) => [`labels/${label}`, `label ${label} (${version})`]),
    ...versions.map(one => [`versions/${one.version}`, `version ${one.version}`])
  ]);
  void readDocument();
}

/** The options of a select; what was chosen stays chosen if it is still there. */
function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => make('option', { value }, text)));
  if (options.some(([value]) => value === before)) {
    select.value = before;
  }
}

function choose(model, version) {
  byId('model').value = model;
  fillVersions();
  byId('version').value = version;
  void readDocument();
  byId('body').focus();
}

/** Reads what the chosen version can be asked; a body that a person has changed is kept where it fits. */
async function readDocument() {
  const path = `${modelPath(byId('model').value, byId('version').value)}/openapi.json`;
  byId('openapi').href = path;
  let found = [];
  let note = '';
  try {
    found = requestsOf(await (await call(path)).json());
    note = found.length === 0 ? 'REST cannot carry what this model takes; gRPC can.' : '';
  } catch (failure) {
    note = failure.message;
  }
  if (path !== `${modelPath(byId('model').value, byId('version').value)}/openapi.json`) {
    return;
  }
  requests = found;
  byId('note').textContent = note;
  byId('send').disabled = found.length === 0;
  fill(
    byId('request'),
    found.map(one => [one.title, one.title])
  );
  const bodies = JSON.stringify(requests.map(one => one.body));
  if (bodies !== asked) {
    // What somebody typed before the first document came stays.
    const isTyped = asked === '' && byId('body').value !== '';
    asked = bodies;
    if (!isTyped) {
      fillBody();
    }
  }
  void writeSnippets();
}

function chosenRequest() {
  return requests.find(one => one.title === byId('request').value);
}

/** By what is chosen now: the document of a choice just made may still be on its way. */
function predictPath(request) {
  return `${modelPath(byId('model').value, byId('version').value)}:${request.verb}`;
}

function fillBody() {
  const request = chosenRequest();
  byId('body').value = request?.body ?? '';
  if (request !== undefined && request.body === null) {
    byId('note').textContent = 'A row of this model is too large for this page: use a program.';
  }
}

async function send(event) {
  event.preventDefault();
  const request = chosenRequest();
  if (request === undefined) {
    return;
  }
  byId('outcome').className = '';
  byId('outcome').textContent = 'Sending …';
  const { path, options } = post(predictPath(request), byId('body').value);
  const began = performance.now();
  try {
    const reply = await fetch(path, { credentials: 'same-origin', ...options });
    const text = await reply.text();
    const time = `${(performance.now() - began).toFixed(1)} ms through Jupyter`;
    showAnswer(reply.ok, `${reply.ok ? 'OK' : `Refused, status ${reply.status}`}, ${time}`, text);
  } catch (failure) {
    showAnswer(false, `Not sent: ${failure.message}`, '');
  }
}

function showAnswer(isGood, outcome, text) {
  byId('outcome').className = isGood ? 'good' : 'bad';
  byId('outcome').textContent = outcome;
  byId('answer').hidden = text === '';
  // As it came: a parser here would round large integers.
  byId('answer').textContent =
    text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}\n… ${text.length} characters in all` : text;
}

// ---- the same from a program

function addresses() {
  const engine = views.find(one => one.engine.name === DEFAULT_ENGINE)?.engine;
  const direct = engine?.rest_url
    ? [[engine.rest_url, `direct, on the server's host: ${engine.rest_url}`]]
    : [];
  return [[jupyterAddress, `through Jupyter: ${jupyterAddress}`], ...direct];
}

/** What the gRPC program asks; it is for the server's own network, whatever address is chosen for the others. */
function grpcTarget(request) {
  if (request.verb !== 'predict') {
    return {};
  }
  const [kind, name] = byId('version').value.split(/\/(.*)/s, 2);
  const model = byId('model').value;
  if (kind === 'latest') {
    return { grpc: { model } };
  }
  const models = views.find(one => one.engine.name === DEFAULT_ENGINE)?.models ?? [];
  const named = models.find(one => one.name === model)?.labels[name];
  const choice = kind === 'labels' ? { label: name, version: named ?? null } : { version: Number(name) };
  return { grpc: { model, ...choice } };
}

async function writeSnippets() {
  fill(byId('address'), addresses());
  const request = chosenRequest();
  const body = byId('body').value;
  texts = [];
  let note = '';
  if (request !== undefined && body.length <= MAX_SNIPPET_BODY) {
    const address = byId('address').value;
    const url = `${address}/${predictPath(request)}`;
    const asks = { url, needs_token: address === jupyterAddress, ...grpcTarget(request) };
    try {
      const { path, options } = post('api/snippets', JSON.stringify({ ...asks, body }));
      const answer = await (await call(path, options)).json();
      texts = answer.programs;
      note = asks.needs_token ? answer.token_note : '';
    } catch (failure) {
      note = failure.message;
    }
  } else if (request !== undefined) {
    note = 'The body is too large to be shown as a program.';
  }
  byId('token-note').textContent = note;
  fill(
    byId('language'),
    texts.map(one => [one.language, one.title])
  );
  showSnippet();
}

function showSnippet() {
  const chosen = texts.find(one => one.language === byId('language').value);
  byId('snippet').textContent = chosen?.text ?? '';
  byId('copy').disabled = chosen === undefined;
}

async function copy() {
  const text = byId('snippet').textContent;
  try {
    await navigator.clipboard.writeText(text);
    byId('copied').textContent = 'Copied.';
  } catch {
    // Plain HTTP on another host has no clipboard: the text is selected for the person's own keys.
    getSelection().selectAllChildren(byId('snippet'));
    byId('copied').textContent = 'Selected: copy it with your keyboard.';
  }
}

// ---- wiring

let waiting;
function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(() => void writeSnippets(), SNIPPET_DELAY_MS);
}

async function poll() {
  if (document.visibilityState === 'visible') {
    await look();
  }
  setTimeout(() => void poll(), POLL_MS);
}

byId('ask').addEventListener('submit', event => void send(event));
byId('model').addEventListener('change', fillVersions);
byId('version').addEventListener('change', () => void readDocument());
byId('request').addEventListener('change', () => {
  fillBody();
  void writeSnippets();
});
byId('again').addEventListener('click', () => {
  fillBody();
  soon();
});
byId('body').addEventListener('input', soon);
byId('address').addEventListener('change', () => void writeSnippets());
byId('language').addEventListener('change', showSnippet);
byId('copy').addEventListener('click', () => void copy());
// The cookie is here by now; a token in the address would go wherever the address is copied to.
history.replaceState(null, '', base.pathname);
void poll();
