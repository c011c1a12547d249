/** Keeps what the Jupyter server knows about serving, and carries out what a person asks for. */

import type { Event } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { Debouncer, Poll } from '@lumino/polling';
import { type ISignal, Signal } from '@lumino/signaling';
import { API_LEVEL, type IEngine, type IPolicy } from './documents';
import { FiguresFeed } from './figuresFeed';
import { describeMove, type ILabelMove, undoOf } from './labels';
import { type ServingApi, ServingError } from './request';
import {
  CHANGE_SCHEMA_ID,
  describeEvent,
  type IEngineView,
  INITIAL_STATE,
  type IServingState
} from './state';

export const DEFAULT_ENGINE = 'default';
/** Where events arrive, the poll is only a safety net. */
const EVENTS_SLOW_DOWN = 6;
const MAX_WAIT_MS = 60_000;
const EVENT_GATHERING_MS = 50;

export class ServingModel implements IDisposable {
  constructor(
    readonly api: ServingApi,
    private readonly events: Event.IManager,
    private readonly trans: TranslationBundle
  ) {
    this.figures = new FiguresFeed(engine => this.api.figures(engine));
    this.events.stream.connect(this.onEvent);
    this.poll = new Poll({
      name: 'jupyter-tfserve:model',
      factory: () => this.look(),
      frequency: { interval: this.pollMs, backoff: true, max: MAX_WAIT_MS },
      standby: 'when-hidden'
    });
  }

  /** What the versions answer, for who looks at it. */
  readonly figures: FiguresFeed;

  get state(): IServingState {
    return this._state;
  }

  /** The state is another. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Something happened that people who do not see the screen should hear. */
  get announced(): ISignal<this, string> {
    return this._announced;
  }

  get isDisposed(): boolean {
    return this.poll.isDisposed;
  }

  dispose(): void {
    this.events.stream.disconnect(this.onEvent);
    this.gathered.dispose();
    this.figures.dispose();
    this.poll.dispose();
    Signal.clearData(this);
  }

  /** How often to ask where no events arrive. */
  setPollSeconds(seconds: number): void {
    this.pollMs = seconds * 1000;
    this.setFrequency();
  }

  /** The state as it is now. Never rejects: a failure is part of the state. */
  async refresh(): Promise<void> {
    await this.look().catch(() => undefined);
  }

  /** Serve the folder's models, with the engine started if it does not run. */
  serve(path: string, name: string | null = null, engine = DEFAULT_ENGINE): Promise<boolean> {
    return this.perform(this.trans.__('Starting to serve %1', path), async () => {
      await this.api.start(engine);
      const opened = await this.api.open(engine, path, name);
      this.update({ notes: opened.notes });
      this._announced.emit(this.trans.__('Serving %1.', opened.models.join(', ')));
    });
  }

  start(engine: string): Promise<boolean> {
    return this.perform(this.trans.__('Starting engine %1', engine), () => this.api.start(engine));
  }

  stop(engine: string): Promise<boolean> {
    return this.perform(this.trans.__('Stopping engine %1', engine), () => this.api.stop(engine));
  }

  restart(engine: string): Promise<boolean> {
    return this.perform(this.trans.__('Restarting engine %1', engine), () =>
      this.api.restart(engine)
    );
  }

  removeModel(engine: string, model: string): Promise<boolean> {
    const text = this.trans.__('Unloading %1', model);
    return this.perform(text, () => this.api.removeModel(engine, model));
  }

  /** Choose which versions are served. */
  setPolicy(engine: string, model: string, policy: IPolicy): Promise<boolean> {
    const text = this.trans.__('Choosing versions of %1', model);
    return this.perform(text, () => this.api.setPolicy(engine, model, policy));
  }

  /** Move, make or take away a label; it can be undone until the next one. */
  moveLabel(move: ILabelMove): Promise<boolean> {
    return this.perform(this.trans.__('Moving label %1', move.label), async () => {
      const { engine, model, label, to } = move;
      const from =
        to === null
          ? await this.api.removeLabel(engine, model, label)
          : await this.api.setLabel(engine, model, label, to);
      const done = { ...move, from };
      this.update({ lastMove: done });
      this._announced.emit(describeMove(done, this.trans));
    });
  }

  async undo(): Promise<void> {
    const { lastMove } = this._state;
    if (lastMove !== null && (await this.moveLabel(undoOf(lastMove)))) {
      this.update({ lastMove: null });
    }
  }

  /** Puts away what was shown about the last action. */
  dismiss(): void {
    this.update({ actionFailure: null, notes: [], lastMove: null });
  }

  /** Carries `work` out, and shows it while it lasts and why it failed. Whether it succeeded. */
  private async perform(busy: string, work: () => Promise<unknown>): Promise<boolean> {
    this.update({ busy, actionFailure: null, notes: [] });
    this._announced.emit(busy);
    let actionFailure: ServingError | null = null;
    try {
      await work();
    } catch (reason) {
      actionFailure = this.asFailure(reason);
    }
    this.isExpected = true;
    await this.refresh();
    this.update({ busy: '', actionFailure });
    return actionFailure === null;
  }

  private async look(): Promise<void> {
    const turn = ++this.turns;
    try {
      const status = await this.api.status();
      const engines = await Promise.all(status.engines.map(engine => this.lookAt(engine)));
      if (turn === this.turns) {
        const apiLevel = status.api_level === API_LEVEL ? null : status.api_level;
        this.adopt(engines, apiLevel);
      }
    } catch (reason) {
      if (turn === this.turns) {
        this.update({ phase: 'failed', lookFailure: this.asFailure(reason) });
      }
      throw reason;
    }
  }

  private async lookAt(engine: IEngine): Promise<IEngineView> {
    if (engine.state !== 'running') {
      return { engine, models: [], failure: null };
    }
    try {
      const { models } = await this.api.engineState(engine.name);
      return { engine, models, failure: null };
    } catch (reason) {
      return { engine, models: [], failure: this.asFailure(reason) };
    }
  }

  private adopt(engines: readonly IEngineView[], apiLevel: number | null): void {
    const isOther = JSON.stringify(engines) !== JSON.stringify(this._state.engines);
    if (isOther && !this.isExpected && this._state.phase === 'ready') {
      // A change that no event told of: the events do not arrive.
      this.hearsEvents = false;
      this.setFrequency();
    }
    this.isExpected = false;
    if (isOther || this._state.phase !== 'ready' || apiLevel !== this._state.apiLevel) {
      this.update({ phase: 'ready', engines, apiLevel, lookFailure: null });
    }
  }

  private setFrequency(): void {
    const interval = this.hearsEvents ? this.pollMs * EVENTS_SLOW_DOWN : this.pollMs;
    if (interval !== this.poll.frequency.interval) {
      this.poll.frequency = { interval, backoff: true, max: Math.max(interval, MAX_WAIT_MS) };
    }
  }

  private update(change: Partial<IServingState>): void {
    if (!this.isDisposed) {
      this._state = { ...this._state, ...change };
      this._changed.emit();
    }
  }

  private asFailure(reason: unknown): ServingError {
    return reason instanceof ServingError ? reason : new ServingError('INTERNAL', String(reason));
  }

  private readonly onEvent = (_: unknown, event: Event.Emission): void => {
    if (event.schema_id !== CHANGE_SCHEMA_ID || this.isDisposed) {
      return;
    }
    this.hearsEvents = true;
    this.setFrequency();
    const text = describeEvent(event, this.trans);
    if (text !== null) {
      this._announced.emit(text);
    }
    this.isExpected = true;
    void this.gathered.invoke();
  };

  private readonly poll: Poll;
  private readonly gathered = new Debouncer(() => this.refresh(), EVENT_GATHERING_MS);
  private pollMs = 5000;
  private hearsEvents = false;
  private isExpected = false;
  private turns = 0;
  private _state = INITIAL_STATE;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _announced = new Signal<this, string>(this);
}
