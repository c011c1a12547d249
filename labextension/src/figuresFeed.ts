/** Figures of the engines that somebody looks at, and of no others: nothing is asked for what is not seen. */

import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { type ISignal, Signal } from '@lumino/signaling';
import type { IFigures } from './documents';

const INTERVAL_MS = 1500;
/** For those who asked their system for less motion: the curves move when one may look away. */
const CALM_INTERVAL_MS = 5000;
const MAX_WAIT_MS = 30_000;

export class FiguresFeed implements IDisposable {
  constructor(private readonly load: (engine: string) => Promise<IFigures>) {
    const isCalm = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.poll = new Poll({
      auto: false,
      name: 'jupyter-tfserve:figures',
      factory: () => this.look(),
      frequency: {
        interval: isCalm ? CALM_INTERVAL_MS : INTERVAL_MS,
        backoff: true,
        max: MAX_WAIT_MS
      },
      standby: 'when-hidden'
    });
  }

  /** The figures are others. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this.poll.isDisposed;
  }

  dispose(): void {
    this.poll.dispose();
    Signal.clearData(this);
  }

  /** The engine's figures; null until they are known, and when they can no longer be had. */
  of(engine: string): IFigures | null {
    return this.known.get(engine) ?? null;
  }

  /** Keeps the engine's figures up to date until what is returned is disposed. */
  watch(engine: string): IDisposable {
    this.watchers.set(engine, (this.watchers.get(engine) ?? 0) + 1);
    void this.poll.refresh();
    return new DisposableDelegate(() => {
      const left = (this.watchers.get(engine) ?? 1) - 1;
      if (left > 0) {
        this.watchers.set(engine, left);
      } else {
        this.watchers.delete(engine);
        this.known.delete(engine);
      }
      if (this.watchers.size === 0 && !this.isDisposed) {
        void this.poll.stop();
      }
    });
  }

  private async look(): Promise<void> {
    const engines = Array.from(this.watchers.keys());
    const looks = await Promise.allSettled(engines.map(engine => this.load(engine)));
    looks.forEach((look, index) => {
      const engine = engines[index];
      if (engine === undefined || !this.watchers.has(engine)) {
        return;
      }
      if (look.status === 'fulfilled') {
        this.known.set(engine, look.value);
      } else {
        this.known.delete(engine);
      }
    });
    this._changed.emit();
    const failed = looks.find(look => look.status === 'rejected');
    if (failed !== undefined) {
      // The poll then asks less often.
      throw failed.reason;
    }
  }

  private readonly poll: Poll;
  private readonly watchers = new Map<string, number>();
  private readonly known = new Map<string, IFigures>();
  private readonly _changed = new Signal<this, void>(this);
}
