import * as React from 'react';
import type { ICardDocument } from '../cardDocument';
import type { IModel } from '../documents';
import { findEngine } from '../state';
import { useServing, useServingState } from './context';
import { Curl } from './curl';
import { MAX_OPEN_MODELS, ModelFold } from './modelFold';
import { Button, StateMark } from './parts';
import { Versions } from './versions';

interface ICardProps {
  readonly card: ICardDocument;
  readonly onOpenPanel: () => void;
}

/** What is served, kept up to date without a kernel; what was served then, if that is not known. */
export function Card(props: ICardProps): React.ReactElement {
  const { trans } = useServing();
  const state = useServingState();
  const { card } = props;
  const view = card.engine === null ? undefined : findEngine(state, card.engine);
  const isLive =
    state.phase === 'ready' && view?.engine.state === 'running' && view.failure === null;
  const models = isLive ? view.models : card.models;
  const restUrl = isLive ? view.engine.rest_url : card.restUrl;
  const grpcAddress = isLive ? view.engine.grpc_address : card.grpcAddress;
  // What the cell was told is about the state that it saw.
  const notes = isLive && !isSame(models, card.models) ? view.engine.notes : card.notes;
  return (
    <section
      className="jp-tfserve-Card-content"
      data-live={isLive}
      aria-label={trans.__('TensorFlow model server')}
    >
      <div className="jp-tfserve-Header">
        <h3>{trans.__('TensorFlow model server')}</h3>
        {isLive ? (
          <StateMark state={trans.__('live')} />
        ) : (
          <StateMark state={view?.engine.state ?? trans.__('as it was')} />
        )}
        <Button action="open-panel" onClick={props.onOpenPanel}>
          {trans.__('Open the sidebar')}
        </Button>
      </div>
      {!isLive && <Staleness card={card} phase={state.phase} reason={view?.engine.reason} />}
      <p className="jp-tfserve-Addresses">
        {restUrl !== null && (
          <span>
            REST <code>{restUrl}</code>
          </span>
        )}
        {grpcAddress !== null && (
          <span>
            gRPC <code>{grpcAddress}</code>
          </span>
        )}
      </p>
      {models.map(model => (
        <CardModel
          key={model.name}
          model={model}
          engine={isLive ? card.engine : null}
          restUrl={restUrl}
          isFirstOpen={models.length <= MAX_OPEN_MODELS}
        />
      ))}
      {models.length === 0 && (
        <p className="jp-tfserve-hint">{trans.__('It serves no models yet.')}</p>
      )}
      {notes.map(note => (
        <p key={note} className="jp-tfserve-hint">
          {note}
        </p>
      ))}
    </section>
  );
}

/** Whether the same versions of the same models are in the same states. */
function isSame(left: readonly IModel[], right: readonly IModel[]): boolean {
  const described = (models: readonly IModel[]): string =>
    JSON.stringify(
      models.map(model => [model.name, model.versions.map(each => [each.version, each.state])])
    );
  return described(left) === described(right);
}

function CardModel(props: {
  readonly model: IModel;
  readonly engine: string | null;
  readonly restUrl: string | null;
  readonly isFirstOpen: boolean;
}): React.ReactElement {
  const { model, engine, restUrl, isFirstOpen } = props;
  const curl = model.curl ?? '';
  return (
    <div className="jp-tfserve-Model" data-model={model.name}>
      <ModelFold model={model} isFirstOpen={isFirstOpen}>
        <Versions model={model} engine={engine} />
        {engine !== null && <Curl engine={engine} model={model.name} restUrl={restUrl} />}
        {engine === null && curl !== '' && <pre>{curl}</pre>}
      </ModelFold>
    </div>
  );
}

/** Why the card shows the past, and what to do about it. */
function Staleness(props: {
  readonly card: ICardDocument;
  readonly phase: string;
  readonly reason: string | null | undefined;
}): React.ReactElement {
  const { trans } = useServing();
  const { card, phase, reason } = props;
  const time = new Date(card.time * 1000).toLocaleString();
  let why = trans.__(
    'The engine does not run now. Start it in the sidebar, or run the cell again.'
  );
  if (card.engine === null) {
    why = trans.__(
      'This engine is kept by %1. To see it as it is, run the cell again.',
      card.owner
    );
  } else if (phase === 'loading') {
    why = trans.__('Asking the Jupyter server…');
  } else if (phase === 'failed') {
    why = trans.__('The Jupyter server cannot be asked; the sidebar says why.');
  }
  return (
    <p className="jp-tfserve-hint" role="status">
      {trans.__('As of %1.', time)} {why} {reason ?? ''}
    </p>
  );
}
