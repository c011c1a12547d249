import * as React from 'react';
import type { IModel } from '../documents';
import { type ILabelMove, isLabel, previewMove } from '../labels';
import { useEscape, useServing } from './context';
import { Button } from './parts';

/** What the form begins with; an empty label stands for a new one. */
export interface ILabelChoice {
  readonly label: string;
  readonly version: number | null;
}

interface ILabelFormProps {
  readonly engine: string;
  readonly model: IModel;
  readonly choice: ILabelChoice;
  readonly onClose: () => void;
}

/** Choose a label and a version, see what changes for callers, apply. */
export function LabelForm(props: ILabelFormProps): React.ReactElement {
  const { model: serving, trans } = useServing();
  const { engine, model, choice, onClose } = props;
  const known = Object.keys(model.labels).sort();
  const [label, setLabel] = React.useState(choice.label);
  const [newLabel, setNewLabel] = React.useState('');
  const [version, setVersion] = React.useState(choice.version ?? otherVersion(model, choice.label));
  const form = React.useRef<HTMLFormElement>(null);
  const id = React.useId();
  useEscape(form, onClose);
  React.useEffect(() => form.current?.querySelector('select')?.focus(), []);

  const chosen = label === '' ? newLabel.trim() : label;
  const from = model.labels[chosen] ?? null;
  const move = (to: number | null): ILabelMove => ({
    engine,
    model: model.name,
    label: chosen,
    from,
    to
  });
  const canApply = isLabel(chosen) && version !== null && version !== from;
  const apply = (to: number | null) => {
    onClose();
    void serving.moveLabel(move(to));
  };

  return (
    <form
      ref={form}
      className="jp-tfserve-Form"
      aria-label={trans.__('Move a label of %1', model.name)}
      onSubmit={event => {
        event.preventDefault();
        if (canApply) {
          apply(version);
        }
      }}
    >
      <label htmlFor={`${id}-label`}>{trans.__('Label')}</label>
      <select
        id={`${id}-label`}
        name="label"
        value={label}
        onChange={event => setLabel(event.target.value)}
      >
        {known.map(name => (
          <option key={name} value={name}>
            {trans.__('%1 (now version %2)', name, model.labels[name])}
          </option>
        ))}
        <option value="">{trans.__('New label…')}</option>
      </select>
      {label === '' && (
        <>
          <label htmlFor={`${id}-new`}>{trans.__('Name')}</label>
          <input
            id={`${id}-new`}
            name="new-label"
            value={newLabel}
            placeholder="stable"
            autoComplete="off"
            onChange={event => setNewLabel(event.target.value)}
          />
        </>
      )}
      <label htmlFor={`${id}-version`}>{trans.__('Version')}</label>
      <select
        id={`${id}-version`}
        name="version"
        value={version ?? ''}
        onChange={event => setVersion(Number(event.target.value))}
      >
        {model.versions.map(item => (
          <option key={item.version} value={item.version}>
            {item.version} · {item.state}
          </option>
        ))}
      </select>
      <div className="jp-tfserve-Preview" role="status">
        {isLabel(chosen) && version !== null ? (
          previewMove(move(version), model, trans).map(line => <p key={line}>{line}</p>)
        ) : (
          <p>{trans.__('Give the label a name without “/”.')}</p>
        )}
      </div>
      <div className="jp-tfserve-actions">
        <button
          type="submit"
          className="jp-tfserve-Button jp-mod-accept"
          disabled={!canApply}
          data-action="apply-label"
        >
          {trans.__('Apply')}
        </button>
        {from !== null && (
          <Button
            action="remove-label"
            onClick={() => apply(null)}
            title={previewMove(move(null), model, trans).join(' ')}
          >
            {trans.__('Remove label')}
          </Button>
        )}
        <Button onClick={onClose}>{trans.__('Cancel')}</Button>
      </div>
    </form>
  );
}

/** The newest version that is ready and that the label does not name yet. */
function otherVersion(model: IModel, label: string): number | null {
  const ready = model.versions.filter(version => version.state === 'AVAILABLE');
  const other = ready.find(version => version.version !== model.labels[label]);
  return (other ?? ready[0] ?? model.versions[0])?.version ?? null;
}
