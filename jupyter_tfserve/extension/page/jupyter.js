// The way to Jupyter, and elements. Names are a model's: text, never markup.
'use strict';

/** Requests through Jupyter reach this engine. */
const DEFAULT_ENGINE = 'default';

const byId = id => document.getElementById(id);
const base = new URL('.', document.baseURI);
const jupyterAddress = (base.origin + base.pathname).replace(/\/$/, '');

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
