/** A real input of a model, made from its signature, and the line that sends it from a terminal. Pure. */

import type { ISignature, ISignatures, ITensorSpec } from './documents';

export const DEFAULT_SIGNATURE = 'serving_default';
const PREDICT_METHOD = 'tensorflow/serving/predict';
/** A longer body is written as the program that makes it. */
const LONGEST_BODY = 400;

interface IExample {
  readonly json: string;
  readonly python: string;
}

const whole: IExample = { json: '1', python: '1' };
const real: IExample = { json: '1.0', python: '1.0' };

/** A value of each dtype that REST can carry; the others need gRPC. */
const EXAMPLES: Readonly<Record<string, IExample>> = {
  float: real,
  double: real,
  half: real,
  bfloat16: real,
  int8: whole,
  int16: whole,
  int32: whole,
  int64: whole,
  uint8: whole,
  uint16: whole,
  uint32: whole,
  uint64: whole,
  bool: { json: 'true', python: 'True' },
  string: { json: '"text"', python: "'text'" }
};
const IMAGE_NAME = /image|img|picture|photo|jpe?g|png/i;
const bytes = inBase64('Ynl0ZXM=');
/** A picture of one black pixel: decoders take it where they take a JPEG file. */
const png = inBase64(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg=='
);

export interface ITarget {
  /** Where the data plane is: `http://127.0.0.1:8501`, or behind Jupyter's door. */
  readonly url: string;
  readonly model: string;
  readonly label?: string;
  /** Whether the address asks for Jupyter's token. */
  readonly needsToken?: boolean;
}

export interface IRequest {
  readonly url: string;
  readonly body: string;
}

/** A request that asks the model something real, or null if REST cannot carry its inputs. */
export function requestOf(target: ITarget, signatures: ISignatures): IRequest | null {
  const chosen = choose(signatures);
  return chosen && { url: addressOf(target), body: example(...chosen, 'json') };
}

/** The command that sends it from a terminal. */
export function curlLine(target: ITarget, signatures: ISignatures): string | null {
  const chosen = choose(signatures);
  if (chosen === null) {
    return null;
  }
  const url = shellQuote(addressOf(target));
  // The variable, not the token: a copied line is pasted into chats and files.
  const header = target.needsToken ? '-H "Authorization: token $JUPYTER_TOKEN" ' : '';
  const body = example(...chosen, 'json');
  if (body.length <= LONGEST_BODY) {
    return `curl ${header}-d ${shellQuote(body)} ${url}`;
  }
  const program = `import json; print(json.dumps(${example(...chosen, 'python')}))`;
  return `python -c ${shellQuote(program)} | curl ${header}-d @- ${url}`;
}

function addressOf(target: ITarget): string {
  const label = target.label === undefined ? '' : `/labels/${encodeURIComponent(target.label)}`;
  const path = `/v1/models/${encodeURIComponent(target.model)}${label}:predict`;
  return target.url.replace(/\/+$/, '') + path;
}

function choose(signatures: ISignatures): [ISignature, string] | null {
  const name = chooseSignature(signatures);
  const signature = name === null ? undefined : signatures.signatures[name];
  return name === null || signature === undefined || !canCarry(signature)
    ? null
    : [signature, name];
}

/** The default signature if it predicts, else the first that does. */
function chooseSignature(document: ISignatures): string | null {
  const names = Object.keys(document.signatures).sort();
  const ordered = [DEFAULT_SIGNATURE, ...names.filter(name => name !== DEFAULT_SIGNATURE)];
  const found = ordered.find(name => {
    const signature = document.signatures[name];
    return signature?.method_name === PREDICT_METHOD && Object.keys(signature.inputs).length > 0;
  });
  return found ?? null;
}

function canCarry(signature: ISignature): boolean {
  return Object.values(signature.inputs).every(spec => spec.dtype in EXAMPLES);
}

function example(signature: ISignature, name: string, language: keyof IExample): string {
  const members = name === DEFAULT_SIGNATURE ? [] : [member('signature_name', quoted(name))];
  const inputs = Object.entries(signature.inputs);
  if (!hasRows(signature)) {
    const columns = inputs.map(([alias, spec]) =>
      member(alias, nested(sample(alias, spec), spec.shape, language))
    );
    return `{${[...members, member('inputs', `{${columns.join(', ')}}`)].join(', ')}}`;
  }
  const cells = inputs.map(([alias, spec]) => ({
    alias,
    value: nested(sample(alias, spec), (spec.shape ?? []).slice(1), language)
  }));
  const [first] = cells;
  const row =
    cells.length === 1 && first !== undefined
      ? first.value
      : `{${cells.map(cell => member(cell.alias, cell.value)).join(', ')}}`;
  return `{${[...members, member('instances', `[${row}]`)].join(', ')}}`;
}

/** Whether rows are free in number on both sides, which the row format needs. */
function hasRows(signature: ISignature): boolean {
  const inputs = Object.values(signature.inputs);
  const all = [...inputs, ...Object.values(signature.outputs)];
  return inputs.every(isBatched) && all.every(spec => spec.shape === null || spec.shape.length > 0);
}

function isBatched(spec: ITensorSpec): boolean {
  return spec.shape?.[0] === -1;
}

/** A value of an input: strings that are called pictures or bytes are such. */
function sample(alias: string, spec: ITensorSpec): IExample | undefined {
  if (spec.dtype === 'string' && IMAGE_NAME.test(alias)) {
    return png;
  }
  return spec.dtype === 'string' && alias.endsWith('_bytes') ? bytes : EXAMPLES[spec.dtype];
}

function inBase64(text: string): IExample {
  return { json: `{"b64": "${text}"}`, python: `{'b64': '${text}'}` };
}

function nested(
  element: IExample | undefined,
  shape: readonly number[] | null,
  language: keyof IExample
): string {
  let value = element?.[language] ?? '';
  // An unknown rank is most often a batch: one element in one dimension suits it better than a scalar.
  for (const size of [...(shape ?? [1])].reverse()) {
    const count = size < 0 ? 1 : size;
    const repeated = language === 'python' && count > 1;
    value = repeated ? `[${value}] * ${count}` : `[${Array<string>(count).fill(value).join(', ')}]`;
  }
  return value;
}

function member(name: string, value: string): string {
  return `${quoted(name)}: ${value}`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

/** As `shlex.quote` does it. */
function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}
