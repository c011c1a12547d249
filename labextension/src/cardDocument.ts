/** The document of a card: what was served when a cell ran, and which engine to follow from then on. Pure. */

import type { IModel, IVersionFigures } from './documents';

export const CARD_MIME = 'application/vnd.jupyter-tfserve.card+json';

export interface ICardDocument {
  /** The Jupyter server's engine to follow; null for an engine that the kernel keeps. */
  readonly engine: string | null;
  readonly owner: string;
  /** When the snapshot was made, in seconds since the epoch. */
  readonly time: number;
  readonly restUrl: string | null;
  readonly grpcAddress: string | null;
  readonly models: readonly IModel[];
  readonly notes: readonly string[];
}

/** The document, or null if it is none: notebooks come from anywhere. */
export function parseCard(value: unknown): ICardDocument | null {
  if (!isObject(value) || !Array.isArray(value.models)) {
    return null;
  }
  const engine = isObject(value.engine) ? value.engine : {};
  return {
    engine: stringOf(value.engine_name),
    owner: stringOf(value.owner) ?? '',
    time: typeof value.time === 'number' ? value.time : 0,
    restUrl: stringOf(engine.rest_url),
    grpcAddress: stringOf(engine.grpc_address),
    models: value.models.filter(isObject).map(parseModel),
    notes: Array.isArray(value.notes) ? value.notes.filter(isString) : []
  };
}

function parseModel(value: Record<string, unknown>): IModel {
  const versions = Array.isArray(value.versions) ? value.versions.filter(isObject) : [];
  const labels = isObject(value.labels) ? Object.entries(value.labels) : [];
  return {
    name: stringOf(value.name) ?? '',
    base_path: stringOf(value.base_path) ?? '',
    labels: Object.fromEntries(labels.flatMap(([k, v]) => (typeof v === 'number' ? [[k, v]] : []))),
    problem: stringOf(value.problem) ?? '',
    curl: stringOf(value.curl) ?? '',
    versions: versions.map(version => ({
      version: typeof version.version === 'number' ? version.version : 0,
      state: (stringOf(version.state) ?? 'UNKNOWN') as IModel['versions'][number]['state'],
      error_code: stringOf(version.error_code) ?? 'OK',
      error_message: stringOf(version.error_message) ?? '',
      pid: null,
      // Since when it was changing then says nothing of now.
      changing_since: null,
      last_error: stringOf(version.last_error),
      figures: isObject(version.figures) ? parseFigures(version.figures) : null
    }))
  };
}

function parseFigures(value: Record<string, unknown>): IVersionFigures {
  return {
    requests: numberOf(value.requests) ?? 0,
    requests_per_second: numberOf(value.requests_per_second) ?? 0,
    errors_per_second: numberOf(value.errors_per_second) ?? 0,
    p50_ms: numberOf(value.p50_ms),
    p99_ms: numberOf(value.p99_ms),
    memory_bytes: numberOf(value.memory_bytes),
    disk_bytes: numberOf(value.disk_bytes),
    // Its age then is not its age now.
    available_since: null,
    devices: Array.isArray(value.devices) ? value.devices.filter(isString) : [],
    rows_per_batch: numberOf(value.rows_per_batch),
    batch_rows: numberOf(value.batch_rows),
    waiting: numberOf(value.waiting) ?? 0
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

function stringOf(value: unknown): string | null {
  return isString(value) ? value : null;
}
