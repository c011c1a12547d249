import * as React from 'react';
import type { IEngine, IModel } from '../documents';
import { useServing } from './context';
import { Curl } from './curl';
import { type ILabelChoice, LabelForm } from './labelForm';
import { ModelFold } from './modelFold';
import { Button, ConfirmButton } from './parts';
import { Policy } from './policy';
import { Versions } from './versions';

/** One model with all that can be done to it. */
export function ModelSection(props: {
  readonly engine: IEngine;
  readonly model: IModel;
  readonly isFirstOpen: boolean;
}): React.ReactElement {
  const { model: serving, trans } = useServing();
  const { engine, model } = props;
  const [choice, setChoice] = React.useState<ILabelChoice | null>(null);
  const section = React.useRef<HTMLElement>(null);
  const id = React.useId();
  const close = () => {
    setChoice(null);
    // Focus would be lost with the form.
    section.current?.querySelector<HTMLElement>('[data-action="move-label"]')?.focus();
  };
  return (
    <section
      ref={section}
      className="jp-tfserve-Model"
      aria-labelledby={id}
      data-model={model.name}
    >
      <ModelFold model={model} isFirstOpen={props.isFirstOpen} headingId={id}>
        <Policy engine={engine.name} model={model} />
        <Versions
          model={model}
          engine={engine.name}
          onLabel={(label, version) => setChoice({ label, version })}
        />
        {choice !== null && (
          <LabelForm
            key={`${choice.label}/${choice.version ?? ''}`}
            engine={engine.name}
            model={model}
            choice={choice}
            onClose={close}
          />
        )}
        <div className="jp-tfserve-actions">
          {model.versions.length > 0 && (
            <Button
              action="move-label"
              expanded={choice !== null}
              onClick={() => setChoice(choice === null ? firstChoice(model) : null)}
            >
              {trans.__('Labels…')}
            </Button>
          )}
          <ConfirmButton
            label={trans.__('Remove')}
            action="unload"
            question={trans.__(
              'Remove %1 from the server? Requests for it will fail. Its files stay.',
              model.name
            )}
            confirm={trans.__('Remove it')}
            keep={trans.__('Keep it')}
            onConfirm={() => void serving.removeModel(engine.name, model.name)}
          />
        </div>
        <Curl engine={engine.name} model={model.name} restUrl={engine.rest_url} />
      </ModelFold>
    </section>
  );
}

function firstChoice(model: IModel): ILabelChoice {
  return { label: Object.keys(model.labels).sort()[0] ?? '', version: null };
}
