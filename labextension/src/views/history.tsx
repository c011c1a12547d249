import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { IHistoryEvent, IPolicy } from '../documents';
import { useLoaded, useServing, useServingState } from './context';
import { FailureNote } from './parts';
import { describe } from './policy';

const EVENTS_SHOWN = 50;

/** What happened on an engine, newest first. */
export function History(props: { readonly engine: string }): React.ReactElement {
  const { model: serving, trans } = useServing();
  const { engines } = useServingState();
  const load = () => serving.api.history(props.engine, EVENTS_SHOWN);
  const { value, failure } = useLoaded(load, engines);
  if (failure !== null) {
    return <FailureNote failure={failure} />;
  }
  return (
    <ol className="jp-tfserve-History" aria-label={trans.__('History of %1', props.engine)}>
      {value?.map((event, index) => (
        <li key={`${event.time}/${index}`}>
          <time dateTime={new Date(event.time * 1000).toISOString()}>
            {new Date(event.time * 1000).toLocaleTimeString()}
          </time>{' '}
          <strong>{event.kind}</strong> {event.model ?? ''}{' '}
          {event.version === null ? '' : trans.__('version %1', event.version)}{' '}
          {wordsOf(event, trans)}
        </li>
      ))}
      {value?.length === 0 && <li>{trans.__('Nothing happened yet.')}</li>}
    </ol>
  );
}

/** What the event says; a policy is JSON in the engine's history. */
function wordsOf(event: IHistoryEvent, trans: TranslationBundle): string {
  if (event.kind !== 'policy') {
    return event.detail;
  }
  try {
    return describe(JSON.parse(event.detail) as IPolicy, trans);
  } catch {
    return event.detail;
  }
}
