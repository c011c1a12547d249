import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { ServingModel } from '../model';
import { ServingError } from '../request';
import type { IServingState } from '../state';

/** What every view needs. */
export interface IServing {
  readonly model: ServingModel;
  readonly trans: TranslationBundle;
  readonly logLines: () => number;
}

export const ServingContext = React.createContext<IServing | null>(null);

export function useServing(): IServing {
  const serving = React.useContext(ServingContext);
  if (serving === null) {
    throw new Error('A view of serving needs a ServingContext around it.');
  }
  return serving;
}

/** The state, followed as it changes. */
export function useServingState(): IServingState {
  const { model } = useServing();
  const subscribe = React.useCallback(
    (notify: () => void) => {
      model.changed.connect(notify);
      return () => {
        model.changed.disconnect(notify);
      };
    },
    [model]
  );
  return React.useSyncExternalStore(subscribe, () => model.state);
}

export interface ILoaded<T> {
  readonly value: T | null;
  readonly failure: ServingError | null;
}

/** What `load` gives, asked for once and again whenever `key` changes. */
export function useLoaded<T>(load: () => Promise<T>, key: unknown): ILoaded<T> {
  const [loaded, setLoaded] = React.useState<ILoaded<T>>({ value: null, failure: null });
  const latest = React.useRef(load);
  latest.current = load;
  React.useEffect(() => {
    let isWanted = true;
    latest.current().then(
      value => {
        if (isWanted) {
          setLoaded({ value, failure: null });
        }
      },
      (reason: unknown) => {
        const failure =
          reason instanceof ServingError ? reason : new ServingError('INTERNAL', String(reason));
        if (isWanted) {
          setLoaded({ value: null, failure });
        }
      }
    );
    return () => {
      isWanted = false;
    };
  }, [key]);
  return loaded;
}

/** Escape inside the element closes it. */
export function useEscape(element: React.RefObject<HTMLElement>, onClose: () => void): void {
  React.useEffect(() => {
    const node = element.current;
    const listen = (event: KeyboardEvent) => {
      if (event.key === 'Escape') {
        event.stopPropagation();
        onClose();
      }
    };
    node?.addEventListener('keydown', listen);
    return () => node?.removeEventListener('keydown', listen);
  }, [element, onClose]);
}
