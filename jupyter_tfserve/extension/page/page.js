// The page: what is served, kept up to date, and a request to it. Names are a model's: text, never markup.
'use strict';

const POLL_MS = 3000;
const MAX_SHOWN = 100000;
const MAX_SNIPPET_BODY = 64 * 1024;
const SNIPPET_DELAY_MS = 300;
/** Requests through Jupyter reach this engine. */
const DEFAULT_ENGINE = 'default';

const byId = id => document.getElementById(id);
const base = new URL('.', document.baseURI);
const jupyterAddress = (base.origin + base.pathname).replace(/\/$/, '');

let views = [];
let drawn = '';
let requests = [];
let asked = '';
let texts = [];

/** An element; strings among `children` are text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Jupyter's answer; throws an Error with its text and hint. */
async function call(path, options = {}) {
  const reply = await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...options });
  if (reply.ok) {
    return reply;
  }
  const failure = await reply.json().catch(() => ({}));
  const hint = reply.status === 403 ? 'Reload the page to sign in again.' : failure.hint;
  throw new Error([failure.error ?? `HTTP status ${reply.status}`, hint].filter(Boolean).join(' – '));
}

function post(path, body) {
  const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/);
  const headers = { 'Content-Type': 'application/json', 'X-XSRFToken': xsrf === null ? '' : xsrf[1] };
  return { path, options: { method: 'POST', headers, body } };
}

// ---- what is served

async function look() {
  try {
    const { engines } = await (await call('api/engines')).json();
    views = await Promise.all(engines.map(withModels));
    byId('summary').textContent = summary();
  } catch (failure) {
    byId('summary').textContent = `The Jupyter server does not answer: ${failure.message}`;
    return;
  }
  const text = JSON.stringify(views);
  if (text !== drawn) {
    drawn = text;
    drawEngines();
    fillTargets();
  }
  drawElapsed();
  await Promise.all(views.filter(view => view.models.length > 0).map(view => drawFigures(view.engine)));
}

function controlPath(engine, what) {
  return `api/engines/${encodeURIComponent(engine.name)}/control/${what}`;
}

async function withModels(engine) {
  if (engine.state !== 'running') {
    return { engine, models: [] };
  }
  try {
    return { engine, models: (await (await call(controlPath(engine, 'state'))).json()).models };
  } catch (failure) {
    return { engine, models: [], problem: failure.message };
  }
}

function summary() {
  if (views.length === 0) {
    return 'Nothing is served. Run %tfserve start PATH in a notebook.';
  }
  const count = views.reduce((sum, view) => sum + view.models.length, 0);
  const states = views.map(view => `${view.engine.name} is ${view.engine.state}`).join(', ');
  return `${count} ${count === 1 ? 'model' : 'models'}. Server ${states}.`;
}

function drawEngines() {
  const focused = document.activeElement?.dataset?.key;
  byId('engines').replaceChildren(...views.map(drawEngine));
  if (focused !== undefined) {
    [...document.querySelectorAll('[data-key]')].find(one => one.dataset.key === focused)?.focus();
  }
}

function drawEngine(view) {
  const { engine } = view;
  const where = [
    engine.rest_url && `REST ${engine.rest_url}`,
    engine.grpc_address && `gRPC ${engine.grpc_address}`
  ];
  if (engine.name === DEFAULT_ENGINE) {
    where.push(`through Jupyter ${jupyterAddress}`);
  }
  const lines = [make('p', { class: 'where' }, `${engine.name}: ${where.filter(Boolean).join(' · ')}`)];
  const problem = view.problem ?? (engine.state === 'running' ? null : engine.reason);
  if (problem) {
    lines.push(make('p', { class: 'problem' }, problem));
  }
  return make('div', {}, ...lines, ...view.models.map(model => drawModel(engine, model)));
}

/** Into the tables as they are: what somebody is about to press must not be replaced every few seconds. */
async function drawFigures(engine) {
  const document_ = await call(controlPath(engine, 'figures')).then(
    reply => reply.json(),
    () => ({ models: {} })
  );
  for (const cell of document.querySelectorAll('[data-figures]')) {
    const [name, model, version] = JSON.parse(cell.dataset.figures);
    if (name === engine.name) {
      const figures = document_.models[model]?.[version];
      const lines = figures === undefined ? [] : figureLines(figures, Date.now() / 1000);
      cell.replaceChildren(...lines.map(line => make('div', {}, line)));
    }
  }
}

/** How long versions have been loading or unloading. */
function drawElapsed() {
  for (const one of document.querySelectorAll('[data-since]')) {
    one.textContent = ` for ${showAge(Date.now() / 1000 - Number(one.dataset.since))}`;
  }
}

function drawModel(engine, model) {
  const heads = ['Version', 'State', 'Labels', 'Last minute', ''].map(text =>
    text === '' ? make('td', {}) : make('th', { scope: 'col' }, text)
  );
  const rows = model.versions.map(version => drawVersion(engine, model, version));
  const table = make(
    'table',
    { 'data-model': model.name },
    make('caption', {}, model.name),
    make('thead', {}, make('tr', {}, ...heads)),
    make('tbody', {}, ...rows)
  );
  const problem = model.problem ?? (rows.length === 0 ? 'There is no version yet.' : null);
  return problem ? make('div', {}, table, make('p', { class: 'problem' }, problem)) : table;
}

function drawVersion(engine, model, version) {
  const labels = labelsOf(model).filter(([, named]) => named === version.version);
  const state = make('td', { class: `state-${version.state}` }, version.state);
  if (version.changing_since) {
    state.append(make('span', { 'data-since': String(version.changing_since) }));
  }
  const problem = version.error_message || version.last_error;
  if (problem) {
    state.append(make('div', { class: 'problem' }, problem));
  }
  const action = make('td', {});
  if (engine.name === DEFAULT_ENGINE && version.state === 'AVAILABLE') {
    const name = `Ask ${model.name} version ${version.version}`;
    const key = JSON.stringify([model.name, version.version]);
    const button = make('button', { type: 'button', 'data-key': key, 'aria-label': name }, 'Ask');
    button.addEventListener('click', () => choose(model.name, `versions/${version.version}`));
    action.append(button);
  }
  return make(
    'tr',
    { 'data-version': version.version },
    make('th', { scope: 'row' }, String(version.version)),
    state,
    make('td', {}, ...labels.map(([label]) => make('span', { class: 'label' }, label))),
    make('td', {
      class: 'figures',
      'data-figures': JSON.stringify([engine.name, model.name, version.version])
    }),
    action
  );
}

function labelsOf(model) {
  return Object.entries(model.labels).sort(([a], [b]) => (a < b ? -1 : 1));
}

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
  } else {
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
