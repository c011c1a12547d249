import * as React from 'react';
import { useLoaded, useServing, useServingState } from './context';
import { Button, FailureNote } from './parts';

/** The end of an engine's log, asked for anew when the engine changed and on request. */
export function Log(props: { readonly engine: string }): React.ReactElement {
  const { model: serving, trans, logLines } = useServing();
  const { engines } = useServingState();
  const [turn, setTurn] = React.useState(0);
  const tail = React.useRef<HTMLPreElement>(null);
  const [key, setKey] = React.useState<unknown>(null);
  React.useEffect(() => setKey({ engines, turn }), [engines, turn]);
  const { value, failure } = useLoaded(() => serving.api.log(props.engine, logLines()), key);
  React.useEffect(() => {
    tail.current?.scrollTo({ top: tail.current.scrollHeight });
  }, [value]);
  return (
    <div className="jp-tfserve-Log">
      {failure !== null && <FailureNote failure={failure} />}
      {value !== null && (
        // A region that scrolls must be reachable by keyboard.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <pre ref={tail} tabIndex={0} aria-label={trans.__('Log of engine %1', props.engine)}>
          {value.length === 0 ? trans.__('The log is empty.') : value.join('\n')}
        </pre>
      )}
      <Button onClick={() => setTurn(turn + 1)}>{trans.__('Refresh')}</Button>
    </div>
  );
}
