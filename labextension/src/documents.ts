/** The documents that the server extension and the engine's control API send. */

export const API_LEVEL = 1;

export type VersionState = 'START' | 'LOADING' | 'AVAILABLE' | 'UNLOADING' | 'END' | 'UNKNOWN';

export interface IVersion {
  readonly version: number;
  readonly state: VersionState;
  readonly error_code: string;
  readonly error_message: string;
  readonly pid: number | null;
  /** When it began to load or to unload, in seconds since the epoch; null while it does neither. */
  readonly changing_since?: number | null;
  /** Why the last attempt to load it failed, while it is tried again. */
  readonly last_error?: string | null;
  /** As they were then; only in a card's snapshot. */
  readonly figures?: IVersionFigures | null;
}

/** Which versions are wanted; exactly one member. */
export interface IPolicy {
  readonly latest?: { readonly num_versions: number };
  readonly all?: object;
  readonly specific?: { readonly versions: readonly number[] };
}

export interface IModel {
  readonly name: string;
  readonly base_path: string;
  readonly policy?: IPolicy;
  readonly labels: Readonly<Record<string, number>>;
  readonly versions: readonly IVersion[];
  /** Why no versions are found; empty if all is well. */
  readonly problem?: string;
  /** A command that asks the model something; only in a card's snapshot. */
  readonly curl?: string;
}

export interface IEngine {
  readonly name: string;
  readonly state: 'stopped' | 'starting' | 'running' | 'restarting' | 'stopping' | 'failed';
  readonly pid: number | null;
  readonly rest_url: string | null;
  readonly grpc_address: string | null;
  readonly restarts: number;
  readonly reason: string | null;
  readonly notes: readonly string[];
}

export interface IStatus {
  readonly api_level: number;
  readonly version: string;
  readonly engines: readonly IEngine[];
}

export interface IEngineState {
  readonly models: readonly IModel[];
}

export interface IFigurePoint {
  /** The end of the second, in seconds since the epoch. */
  readonly time: number;
  readonly requests_per_second: number;
  readonly p99_ms: number | null;
}

/** Rates and percentiles are of the last minute; null is what is not known, or a percentile of nothing. */
export interface IVersionFigures {
  readonly requests: number;
  readonly requests_per_second: number;
  readonly errors_per_second: number;
  readonly p50_ms: number | null;
  readonly p99_ms: number | null;
  readonly memory_bytes: number | null;
  readonly disk_bytes: number | null;
  readonly available_since: number | null;
  /** One for each process. */
  readonly devices?: readonly string[];
  /** The mean of the last minute. */
  readonly rows_per_batch?: number | null;
  /** What a batch may have now. */
  readonly batch_rows?: number | null;
  /** Requests that wait for a process now. */
  readonly waiting?: number;
  /** A point a second, the oldest first; not in a card's snapshot. */
  readonly history?: readonly IFigurePoint[];
}

export interface IFigures {
  readonly window_s: number;
  /** By model and version. */
  readonly models: Readonly<Record<string, Readonly<Record<string, IVersionFigures>>>>;
}

export interface IOpened {
  readonly models: readonly string[];
  readonly notes: readonly string[];
}

export interface ITensorSpec {
  readonly dtype: string;
  /** -1 for an unknown dimension, null for an unknown rank. */
  readonly shape: readonly number[] | null;
}

export interface ISignature {
  readonly method_name: string;
  readonly inputs: Readonly<Record<string, ITensorSpec>>;
  readonly outputs: Readonly<Record<string, ITensorSpec>>;
}

export interface ISignatures {
  readonly version: number;
  readonly signatures: Readonly<Record<string, ISignature>>;
}

export interface IHistoryEvent {
  /** Seconds since the epoch. */
  readonly time: number;
  readonly kind: string;
  readonly model: string | null;
  readonly version: number | null;
  readonly detail: string;
}

/** Whether the version ended with an error. A load that was no longer wanted is none. */
export function isFailed(version: IVersion): boolean {
  return !['', 'OK', 'CANCELLED'].includes(version.error_code);
}

/** The labels that name the version, in order. */
export function labelsOf(model: IModel, version: number): string[] {
  return Object.keys(model.labels)
    .filter(label => model.labels[label] === version)
    .sort();
}

/** A request in one language, ready to copy. */
export interface IProgram {
  readonly language: string;
  readonly title: string;
  readonly text: string;
}
