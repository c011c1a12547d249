/** Small parts that several views share. */

import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { ServingError } from '../request';

interface IButtonProps {
  readonly onClick: () => void;
  readonly children: React.ReactNode;
  readonly kind?: 'plain' | 'accept' | 'warn';
  readonly title?: string;
  readonly disabled?: boolean;
  readonly expanded?: boolean;
  readonly action?: string;
}

export function Button(props: IButtonProps): React.ReactElement {
  return (
    <button
      type="button"
      className={`jp-tfserve-Button jp-mod-${props.kind ?? 'plain'}`}
      onClick={props.onClick}
      title={props.title}
      disabled={props.disabled}
      aria-expanded={props.expanded}
      data-action={props.action}
    >
      {props.children}
    </button>
  );
}

/** A button that is a picture; `title` is its name for those who do not see it. */
export function IconButton(props: {
  readonly icon: LabIcon;
  readonly title: string;
  readonly action?: string;
  readonly onClick: () => void;
}): React.ReactElement {
  return (
    <button
      type="button"
      className="jp-tfserve-Button jp-mod-icon"
      title={props.title}
      aria-label={props.title}
      data-action={props.action}
      onClick={props.onClick}
    >
      <props.icon.react tag="span" width="14px" aria-hidden="true" />
    </button>
  );
}

/** A failure with its reason and the next step. */
export function FailureNote(props: {
  readonly failure: ServingError;
  readonly children?: React.ReactNode;
}): React.ReactElement {
  const { failure } = props;
  return (
    <div className="jp-tfserve-Note jp-mod-failure" role="alert" data-code={failure.code}>
      <p>{failure.message}</p>
      {failure.hint !== null && <p className="jp-tfserve-hint">{failure.hint}</p>}
      {props.children !== undefined && <div className="jp-tfserve-actions">{props.children}</div>}
    </div>
  );
}

/** A button that asks once more before it does something that callers notice. */
export function ConfirmButton(props: {
  readonly label: string;
  readonly question: string;
  readonly confirm: string;
  readonly keep: string;
  readonly action: string;
  readonly onConfirm: () => void;
}): React.ReactElement {
  const [isAsking, setAsking] = React.useState(false);
  const confirm = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    if (isAsking) {
      confirm.current?.querySelector('button')?.focus();
    }
  }, [isAsking]);
  if (!isAsking) {
    return (
      <Button onClick={() => setAsking(true)} action={props.action}>
        {props.label}
      </Button>
    );
  }
  return (
    <div className="jp-tfserve-Note" role="group" aria-label={props.question} ref={confirm}>
      <p>{props.question}</p>
      <div className="jp-tfserve-actions">
        <Button
          kind="warn"
          action={`confirm-${props.action}`}
          onClick={() => {
            setAsking(false);
            props.onConfirm();
          }}
        >
          {props.confirm}
        </Button>
        <Button onClick={() => setAsking(false)}>{props.keep}</Button>
      </div>
    </div>
  );
}

/** A state as a coloured dot and its name: colour alone says nothing to many people. */
export function StateMark(props: {
  readonly state: string;
  readonly isFailed?: boolean;
}): React.ReactElement {
  return (
    <span
      className="jp-tfserve-State"
      data-state={props.isFailed === true ? 'failed' : props.state.toLowerCase()}
    >
      {props.state}
    </span>
  );
}
