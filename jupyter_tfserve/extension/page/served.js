// What is served, kept up to date: engines, models, and versions with their figures.
'use strict';

/** So many models are shown whole. */
const MAX_WHOLE_MODELS = 3;

let views = [];
let drawn = '';
/** The models that somebody opened, among many. */
const opened = new Set();

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
  const isWhole = view.models.length <= MAX_WHOLE_MODELS;
  const models = view.models.map(model =>
    isWhole ? drawModel(engine, model) : drawFold(engine, model)
  );
  return make('div', {}, ...lines, ...models);
}

/** One of many models: a line, until somebody opens it. */
function drawFold(engine, model) {
  const key = JSON.stringify([engine.name, model.name]);
  const line = model.versions.map(one => `${one.version} ${one.state}`).join(', ') || 'no version';
  const summary = make('summary', { 'data-key': key }, make('strong', {}, model.name), ` ${line}`);
  const fold = make('details', {}, summary, drawModel(engine, model));
  fold.open = opened.has(key);
  fold.addEventListener('toggle', () => (fold.open ? opened.add(key) : opened.delete(key)));
  return fold;
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
