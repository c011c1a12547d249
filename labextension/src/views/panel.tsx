import { refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { describeMove, isUndoable } from '../labels';
import { findModel, type IServingState } from '../state';
import { useServing, useServingState } from './context';
import { EngineSection } from './engineSection';
import { Button, FailureNote, IconButton } from './parts';
import { StartForm } from './startForm';

/** What a command wants the panel to show. */
export interface IPanelRequest {
  readonly startPath: string | null;
  readonly shown: 'log' | 'history' | null;
}

/** The whole sidebar. */
export function Panel(props: {
  readonly request: IPanelRequest;
  readonly onStart: (path: string | null) => void;
}): React.ReactElement {
  const { model: serving, trans } = useServing();
  const state = useServingState();
  const { request, onStart } = props;
  return (
    <div className="jp-tfserve-Panel-content" aria-busy={state.busy !== ''}>
      <div className="jp-tfserve-Header">
        <h2>{trans.__('Model Serving')}</h2>
        <IconButton
          icon={refreshIcon}
          action="refresh"
          title={trans.__('Ask the Jupyter server now')}
          onClick={() => void serving.refresh()}
        />
        <Button
          action="start"
          kind="accept"
          expanded={request.startPath !== null}
          onClick={() => onStart(request.startPath === null ? '' : null)}
        >
          {trans.__('Serve a folder…')}
        </Button>
      </div>
      {request.startPath !== null && (
        <StartForm key={request.startPath} path={request.startPath} onClose={() => onStart(null)} />
      )}
      {state.busy !== '' && <p className="jp-tfserve-Busy">{state.busy}…</p>}
      <Outcome state={state} />
      <LookFailure state={state} />
      {state.phase === 'loading' && <p className="jp-tfserve-hint">{trans.__('Asking…')}</p>}
      {state.phase === 'ready' && state.engines.length === 0 && (
        <p className="jp-tfserve-hint">
          {trans.__('Nothing is served. Serve a folder, or run `%tfserve start` in a notebook.')}
        </p>
      )}
      {state.engines.map(view => (
        <EngineSection key={view.engine.name} view={view} shown={request.shown} />
      ))}
      <Announcer />
    </div>
  );
}

/** How the last thing that was asked for ended. */
function Outcome(props: { readonly state: IServingState }): React.ReactElement {
  const { model: serving, trans } = useServing();
  const { actionFailure, notes, lastMove } = props.state;
  const isShown =
    lastMove !== null &&
    isUndoable(lastMove, findModel(props.state, lastMove.engine, lastMove.model));
  return (
    <>
      {actionFailure !== null && (
        <FailureNote failure={actionFailure}>
          <Button onClick={() => serving.dismiss()}>{trans.__('Dismiss')}</Button>
        </FailureNote>
      )}
      {notes.map(note => (
        <p key={note} className="jp-tfserve-Note">
          {note}
        </p>
      ))}
      {isShown && (
        <div className="jp-tfserve-Note jp-mod-done" data-outcome="moved">
          <p>{describeMove(lastMove, trans)}</p>
          <div className="jp-tfserve-actions">
            <Button action="undo" onClick={() => void serving.undo()}>
              {trans.__('Undo')}
            </Button>
            <Button onClick={() => serving.dismiss()}>{trans.__('Dismiss')}</Button>
          </div>
        </div>
      )}
    </>
  );
}

function LookFailure(props: { readonly state: IServingState }): React.ReactElement | null {
  const { model: serving, trans } = useServing();
  const { lookFailure, apiLevel, engines } = props.state;
  if (lookFailure !== null) {
    return (
      <FailureNote failure={lookFailure}>
        {engines.length > 0 && <p>{trans.__('Below is what was known last.')}</p>}
        <Button action="retry" onClick={() => void serving.refresh()}>
          {trans.__('Try again')}
        </Button>
      </FailureNote>
    );
  }
  if (apiLevel !== null) {
    return (
      <p className="jp-tfserve-Note" role="status">
        {trans.__(
          'This page and the Jupyter server have different versions of jupyter_tfserve. Restart the server and reload the page if something does not work.'
        )}
      </p>
    );
  }
  return null;
}

/** Says aloud what happens, by whomever. */
function Announcer(): React.ReactElement {
  const { model: serving } = useServing();
  const [text, setText] = React.useState('');
  React.useEffect(() => {
    const listen = (_: unknown, said: string) => setText(said);
    serving.announced.connect(listen);
    return () => {
      serving.announced.disconnect(listen);
    };
  }, [serving]);
  return (
    <div className="jp-tfserve-Announcer" aria-live="polite">
      {text}
    </div>
  );
}
