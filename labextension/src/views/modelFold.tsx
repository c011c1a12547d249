import * as React from 'react';
import { type IModel, isFailed, type VersionState } from '../documents';
import { useServing } from './context';
import { StateMark } from './parts';

/** So many models are shown whole; of more, each is a line until somebody opens it. */
export const MAX_OPEN_MODELS = 3;

/** A model's name, which shows and hides the rest; while that is hidden, how the model is in one line. */
export function ModelFold(props: {
  readonly model: IModel;
  readonly isFirstOpen: boolean;
  readonly headingId?: string;
  readonly children: React.ReactNode;
}): React.ReactElement {
  const { model, headingId } = props;
  const [isOpen, setOpen] = React.useState(props.isFirstOpen);
  return (
    <details
      className="jp-tfserve-Fold"
      open={isOpen}
      onToggle={event => {
        // Forms inside may have folds of their own one day.
        if (event.target === event.currentTarget) {
          setOpen(event.currentTarget.open);
        }
      }}
    >
      <summary>
        <h4 id={headingId} title={model.base_path}>
          {model.name}
        </h4>
        {!isOpen && <InOneLine model={model} />}
      </summary>
      {isOpen && props.children}
    </details>
  );
}

function InOneLine(props: { readonly model: IModel }): React.ReactElement {
  const { trans } = useServing();
  const { model } = props;
  const state = worstState(model);
  const served = model.versions.filter(version => version.state === 'AVAILABLE');
  const labels = Object.keys(model.labels)
    .sort()
    .map(label => trans.__('%1: %2', label, model.labels[label]));
  return (
    <div className="jp-tfserve-StateAndLabels">
      {state === null ? (
        <span className="jp-tfserve-hint">{trans.__('No version yet.')}</span>
      ) : (
        <StateMark state={state} isFailed={model.versions.some(isFailed)} />
      )}
      {served.length > 0 && <span>{served.map(version => `v${version.version}`).join(', ')}</span>}
      {labels.length > 0 && <span className="jp-tfserve-hint">{labels.join(', ')}</span>}
    </div>
  );
}

/** What a person should look at first: a failure, then what is on its way, then what serves. */
function worstState(model: IModel): VersionState | null {
  const { versions } = model;
  const moving: readonly VersionState[] = ['START', 'LOADING', 'UNLOADING'];
  const found =
    versions.find(isFailed) ??
    versions.find(version => moving.includes(version.state)) ??
    versions.find(version => version.state === 'AVAILABLE') ??
    versions[0];
  return found?.state ?? null;
}
