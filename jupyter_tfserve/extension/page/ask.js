// What can be asked of a model, read from its OpenAPI document. Draws nothing.
'use strict';

/** Elements of a body that this page makes from a schema; a larger one is for a program. */
const MAX_ELEMENTS = 200000;

/** The address of a model's document, relative to this page. `choice` is `latest`, `versions/N` or `labels/L`. */
function modelPath(model, choice) {
  const parts = choice === 'latest' ? [] : choice.split(/\/(.*)/s, 2);
  return ['v1/models', ...[model, ...parts].map(encodeURIComponent)].join('/');
}

/** Every request of the document: `{title, verb, body}`; `body` is null where it would be too large. */
function requestsOf(document_) {
  const found = [];
  for (const item of Object.values(document_.paths)) {
    if (item.post === undefined) {
      continue;
    }
    const verb = item.post.operationId;
    const media = item.post.requestBody.content['application/json'];
    for (const schema of media.schema.anyOf ?? [media.schema]) {
      const title = schema.title === undefined ? verb : `${verb}: ${schema.title}`;
      const example = media.examples?.[schema.title]?.value;
      found.push({ title, verb, body: bodyText(example, schema) });
    }
  }
  return found;
}

function bodyText(example, schema) {
  if (example !== undefined) {
    return JSON.stringify(example);
  }
  return countOf(schema) > MAX_ELEMENTS ? null : JSON.stringify(valueOf(schema));
}

function countOf(schema) {
  const inner = schema.anyOf?.[0];
  if (inner !== undefined) {
    return countOf(inner);
  }
  if (schema.type === 'array') {
    // None, of what is endless, is still made.
    return Math.max(schema.minItems ?? 1, 1) * countOf(schema.items ?? {});
  }
  const members = Object.values(schema.properties ?? {}).map(countOf);
  return members.reduce((sum, count) => sum + count, 1);
}

/** A value that the schema takes. */
function valueOf(schema) {
  if (schema.const !== undefined || schema.enum !== undefined) {
    return schema.const ?? schema.enum[0];
  }
  if (schema.anyOf !== undefined) {
    return valueOf(schema.anyOf[0]);
  }
  switch (schema.type) {
    case 'array':
      return Array(schema.minItems ?? 1).fill(valueOf(schema.items ?? {}));
    case 'object':
      return Object.fromEntries(
        (schema.required ?? []).map(name => [name, valueOf(schema.properties[name])])
      );
    case 'string':
      return 'text';
    case 'boolean':
      return true;
    case 'number':
    case 'integer':
      return 1;
    default:
      return {};
  }
}
