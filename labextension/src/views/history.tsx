import * as React from 'react';
import { useLoaded, useServing, useServingState } from './context';
import { FailureNote } from './parts';

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
          {event.version === null ? '' : trans.__('version %1', event.version)} {event.detail}
        </li>
      ))}
      {value?.length === 0 && <li>{trans.__('Nothing happened yet.')}</li>}
    </ol>
  );
}
