/** What the sidebar, the status item and the cards show: one immutable value. Pure. */

import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { IEngine, IModel } from './documents';
import type { ILabelMove } from './labels';
import type { ServingError } from './request';

export const CHANGE_SCHEMA_ID = 'https://events.jupyter.org/jupyter_tfserve/change/v1';

export interface IEngineView {
  readonly engine: IEngine;
  readonly models: readonly IModel[];
  /** Why the models are not known. */
  readonly failure: ServingError | null;
}

export interface IServingState {
  /** `loading` until the first answer; `failed` while the Jupyter server cannot be asked. */
  readonly phase: 'loading' | 'ready' | 'failed';
  readonly engines: readonly IEngineView[];
  /** Set when the two halves of the extension are of different ages. */
  readonly apiLevel: number | null;
  /** Why the last look failed. */
  readonly lookFailure: ServingError | null;
  /** Why the last thing that a person asked for failed. */
  readonly actionFailure: ServingError | null;
  /** What is under way; empty if nothing is. */
  readonly busy: string;
  readonly notes: readonly string[];
  readonly lastMove: ILabelMove | null;
}

export const INITIAL_STATE: IServingState = {
  phase: 'loading',
  engines: [],
  apiLevel: null,
  lookFailure: null,
  actionFailure: null,
  busy: '',
  notes: [],
  lastMove: null
};

export function findEngine(state: IServingState, name: string): IEngineView | undefined {
  return state.engines.find(view => view.engine.name === name);
}

export function findModel(state: IServingState, engine: string, name: string): IModel | undefined {
  return findEngine(state, engine)?.models.find(model => model.name === name);
}

/** One line for the status bar. */
export function summarize(state: IServingState, trans: TranslationBundle): string {
  if (state.phase === 'loading') {
    return trans.__('Serving: …');
  }
  if (state.phase === 'failed') {
    return trans.__('Serving: unknown');
  }
  const broken = state.engines.find(view => view.engine.state === 'failed');
  if (broken !== undefined) {
    return trans.__('Serving: failed');
  }
  const running = state.engines.filter(view => view.engine.state === 'running');
  if (running.length === 0) {
    return state.engines.length === 0 ? trans.__('Serving: off') : trans.__('Serving: starting');
  }
  const models = running.reduce((sum, view) => sum + view.models.length, 0);
  return trans._n('Serving: %1 model', 'Serving: %1 models', models);
}

/** What a change event says to people who hear it; null for what is not worth a sentence. */
export function describeEvent(event: ReadonlyJSONObject, trans: TranslationBundle): string | null {
  const { kind, engine, model, version, label, state } = event as Record<string, string | null>;
  switch (kind) {
    case 'engine':
      return trans.__('Engine %1 is %2.', engine, state);
    case 'model':
      return state === 'removed'
        ? trans.__('%1 is served no more.', model)
        : trans.__('%1 is served.', model);
    case 'version':
      return state === 'AVAILABLE' || state === 'END'
        ? trans.__('%1 version %2 is %3.', model, version, state)
        : null;
    case 'label':
      return version === null
        ? trans.__('%1: label %2 is gone.', model, label)
        : trans.__('%1: label %2 names version %3.', model, label, version);
    default:
      return null;
  }
}
