import * as React from 'react';
import { type IModel, isFailed, type IVersion, type IVersionFigures, labelsOf } from '../documents';
import { showAge } from '../figures';
import { useServing } from './context';
import { useFigures, VersionFigures } from './figures';
import { StateMark } from './parts';

export const LABEL_MIME = 'application/vnd.jupyter-tfserve.label';

const SECOND_MS = 1000;

interface IVersionsProps {
  readonly model: IModel;
  /** Whose figures are followed; null to show those of the snapshot. */
  readonly engine: string | null;
  /** What a chip does, or a label that is dropped on a version; without it chips are text. */
  readonly onLabel?: (label: string, version: number | null) => void;
}

/** A model's versions with their states, their figures, and the labels that name them. */
export function Versions(props: IVersionsProps): React.ReactElement {
  const { trans } = useServing();
  const { model } = props;
  if (model.versions.length === 0) {
    const problem = model.problem ?? '';
    return (
      <p className="jp-tfserve-hint">{problem === '' ? trans.__('No version yet.') : problem}</p>
    );
  }
  return <VersionTable {...props} />;
}

function VersionTable(props: IVersionsProps): React.ReactElement {
  const { trans } = useServing();
  const { model, engine, onLabel } = props;
  const table = React.useRef<HTMLTableElement>(null);
  const figures = useFigures(engine, table)?.models[model.name];
  const dropping = (version: number): React.HTMLAttributes<HTMLTableRowElement> =>
    onLabel === undefined
      ? {}
      : {
          onDragOver: event => {
            if (event.dataTransfer.types.includes(`${LABEL_MIME}.${model.name.toLowerCase()}`)) {
              event.preventDefault();
            }
          },
          onDrop: event => {
            event.preventDefault();
            onLabel(event.dataTransfer.getData(LABEL_MIME), version);
          }
        };
  return (
    <table
      ref={table}
      className="jp-tfserve-Versions"
      aria-label={trans.__('Versions of %1', model.name)}
    >
      <thead>
        <tr>
          <th scope="col">{trans.__('Version')}</th>
          <th scope="col">{trans.__('State and labels')}</th>
        </tr>
      </thead>
      <tbody>
        {model.versions.map(version => (
          <tr key={version.version} data-version={version.version} {...dropping(version.version)}>
            <th scope="row">{version.version}</th>
            <td>
              <div className="jp-tfserve-StateAndLabels">
                <StateMark state={version.state} isFailed={isFailed(version)} />
                <Elapsed since={version.changing_since ?? null} />
                {labelsOf(model, version.version).map(label => (
                  <Chip key={label} label={label} model={model} onLabel={onLabel} />
                ))}
              </div>
              <FiguresOf figures={engine === null ? version.figures : figures?.[version.version]} />
              {hasRetry(version) && <p className="jp-tfserve-reason">{version.last_error}</p>}
              {isFailed(version) && (
                <>
                  <p className="jp-tfserve-reason">
                    {version.error_code}: {version.error_message}
                  </p>
                  <p className="jp-tfserve-hint">
                    {trans.__('Save the model again as a new version; the log may say more.')}
                  </p>
                </>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** An attempt to load it failed, and it is on its way again. */
function hasRetry(version: IVersion): boolean {
  return (version.last_error ?? '') !== '' && !isFailed(version);
}

/** How long it has been so, counted on while it lasts. */
function Elapsed(props: { readonly since: number | null }): React.ReactElement | null {
  const { trans } = useServing();
  const { since } = props;
  const [now, setNow] = React.useState(Date.now() / 1000);
  React.useEffect(() => {
    if (since === null) {
      return;
    }
    setNow(Date.now() / 1000);
    const timer = window.setInterval(() => setNow(Date.now() / 1000), SECOND_MS);
    return () => window.clearInterval(timer);
  }, [since]);
  if (since === null) {
    return null;
  }
  return <span className="jp-tfserve-hint">{trans.__('for %1', showAge(now - since))}</span>;
}

function FiguresOf(props: {
  readonly figures: IVersionFigures | null | undefined;
}): React.ReactElement | null {
  const { figures } = props;
  return figures === null || figures === undefined ? null : <VersionFigures figures={figures} />;
}

function Chip(props: {
  readonly label: string;
  readonly model: IModel;
  readonly onLabel: IVersionsProps['onLabel'] | undefined;
}): React.ReactElement {
  const { trans } = useServing();
  const { label, model, onLabel } = props;
  if (onLabel === undefined) {
    return (
      <span className="jp-tfserve-Chip" data-label={label}>
        {label}
      </span>
    );
  }
  return (
    <button
      type="button"
      className="jp-tfserve-Chip"
      data-label={label}
      draggable
      aria-haspopup="dialog"
      title={trans.__('Move label %1 to another version', label)}
      onClick={() => onLabel(label, null)}
      onDragStart={event => {
        event.dataTransfer.setData(LABEL_MIME, label);
        // Only names of types can be read while something is dragged: this one tells the model.
        event.dataTransfer.setData(`${LABEL_MIME}.${model.name}`, '');
        event.dataTransfer.effectAllowed = 'move';
      }}
    >
      {label}
    </button>
  );
}
