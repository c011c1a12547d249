import { copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { copyText } from '../clipboard';
import type { IEngineView } from '../state';
import { useServing } from './context';
import { History } from './history';
import { Log } from './log';
import { MAX_OPEN_MODELS } from './modelFold';
import { ModelSection } from './modelSection';
import { Button, ConfirmButton, FailureNote, IconButton, StateMark } from './parts';

type Shown = 'log' | 'history' | null;

/** One engine: its state, its addresses, its models, its log and its history. */
export function EngineSection(props: {
  readonly view: IEngineView;
  readonly shown: Shown;
}): React.ReactElement {
  const { model: serving, trans } = useServing();
  const { engine, models, failure } = props.view;
  const [shown, setShown] = React.useState<Shown>(props.shown);
  React.useEffect(() => setShown(props.shown), [props.shown]);
  const id = React.useId();
  const toggle = (what: Shown) => setShown(shown === what ? null : what);
  return (
    <section className="jp-tfserve-Engine" aria-labelledby={id} data-engine={engine.name}>
      <div className="jp-tfserve-Header">
        <h3 id={id}>{trans.__('Engine %1', engine.name)}</h3>
        <StateMark state={engine.state} />
      </div>
      {engine.reason !== null && <p className="jp-tfserve-reason">{engine.reason}</p>}
      {engine.restarts > 0 && (
        <p className="jp-tfserve-hint">
          {trans._n('Restarted %1 time', 'Restarted %1 times', engine.restarts)}
        </p>
      )}
      <Address protocol="REST" address={engine.rest_url} />
      <Address protocol="gRPC" address={engine.grpc_address} />
      {engine.notes.map(note => (
        <p key={note} className="jp-tfserve-hint">
          {note}
        </p>
      ))}
      {failure !== null && (
        <FailureNote failure={failure}>
          <Button onClick={() => setShown('log')}>{trans.__('Show the log')}</Button>
        </FailureNote>
      )}
      {models.map(model => (
        <ModelSection
          key={model.name}
          engine={engine}
          model={model}
          isFirstOpen={models.length <= MAX_OPEN_MODELS}
        />
      ))}
      {engine.state === 'running' && failure === null && models.length === 0 && (
        <p className="jp-tfserve-hint">{trans.__('It serves no models yet.')}</p>
      )}
      <div className="jp-tfserve-actions">
        <Button action="log" expanded={shown === 'log'} onClick={() => toggle('log')}>
          {trans.__('Log')}
        </Button>
        {engine.state === 'running' && (
          <Button action="history" expanded={shown === 'history'} onClick={() => toggle('history')}>
            {trans.__('History')}
          </Button>
        )}
        <ConfirmButton
          label={trans.__('Restart')}
          action="restart"
          question={trans.__('Restart engine %1? Requests fail until it is back.', engine.name)}
          confirm={trans.__('Restart it')}
          keep={trans.__('Keep it running')}
          onConfirm={() => void serving.restart(engine.name)}
        />
        <ConfirmButton
          label={trans.__('Stop')}
          action="stop"
          question={trans.__(
            'Stop engine %1? Requests under way are answered, later ones fail.',
            engine.name
          )}
          confirm={trans.__('Stop it')}
          keep={trans.__('Keep it running')}
          onConfirm={() => void serving.stop(engine.name)}
        />
      </div>
      {shown === 'log' && <Log engine={engine.name} />}
      {shown === 'history' && <History engine={engine.name} />}
    </section>
  );
}

function Address(props: {
  readonly protocol: string;
  readonly address: string | null;
}): React.ReactElement | null {
  const { trans } = useServing();
  const { protocol, address } = props;
  if (address === null) {
    return null;
  }
  return (
    <p className="jp-tfserve-Address">
      <span>{protocol}</span> <code>{address}</code>
      <IconButton
        icon={copyIcon}
        title={trans.__('Copy the %1 address', protocol)}
        onClick={() => void copyText(address)}
      />
    </p>
  );
}
