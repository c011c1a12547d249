import * as React from 'react';
import { useEscape, useServing } from './context';
import { Button } from './parts';

/** A folder to serve. */
export function StartForm(props: {
  readonly path: string;
  readonly onClose: () => void;
}): React.ReactElement {
  const { model: serving, trans } = useServing();
  const [path, setPath] = React.useState(props.path);
  const input = React.useRef<HTMLInputElement>(null);
  const form = React.useRef<HTMLFormElement>(null);
  const id = React.useId();
  useEscape(form, props.onClose);
  React.useEffect(() => input.current?.focus(), []);
  return (
    <form
      ref={form}
      className="jp-tfserve-Form"
      aria-label={trans.__('Serve a folder')}
      onSubmit={event => {
        event.preventDefault();
        void serving.serve(path.trim() === '' ? '.' : path.trim()).then(isServed => {
          if (isServed) {
            props.onClose();
          }
        });
      }}
    >
      <label htmlFor={id}>{trans.__('Folder')}</label>
      <input
        id={id}
        ref={input}
        name="path"
        value={path}
        placeholder="saved_models"
        autoComplete="off"
        spellCheck={false}
        aria-describedby={`${id}-hint`}
        onChange={event => setPath(event.target.value)}
      />
      <p id={`${id}-hint`} className="jp-tfserve-hint">
        {trans.__(
          'One model (my_model/1/saved_model.pb) or a folder of models, from where Jupyter’s files begin.'
        )}
      </p>
      <div className="jp-tfserve-actions">
        <button type="submit" className="jp-tfserve-Button jp-mod-accept" data-action="serve">
          {trans.__('Serve')}
        </button>
        <Button onClick={props.onClose}>{trans.__('Cancel')}</Button>
      </div>
    </form>
  );
}
