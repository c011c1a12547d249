import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { IModel, IPolicy } from '../documents';
import { useServing } from './context';

const CHOICES: readonly IPolicy[] = [
  { latest: { num_versions: 1 } },
  { latest: { num_versions: 2 } },
  { latest: { num_versions: 3 } },
  { all: {} }
];

/** Which versions are served: labels can name only those. */
export function Policy(props: {
  readonly engine: string;
  readonly model: IModel;
}): React.ReactElement | null {
  const { model: serving, trans } = useServing();
  const { engine, model } = props;
  const id = React.useId();
  const now = model.policy;
  if (now === undefined) {
    return null;
  }
  const choices = CHOICES.some(choice => keyOf(choice) === keyOf(now))
    ? CHOICES
    : [now, ...CHOICES];
  return (
    <div className="jp-tfserve-Policy">
      <label htmlFor={id}>{trans.__('Serve')}</label>
      <select
        id={id}
        name="policy"
        value={keyOf(now)}
        onChange={event => {
          const chosen = choices.find(choice => keyOf(choice) === event.target.value);
          if (chosen !== undefined) {
            void serving.setPolicy(engine, model.name, chosen);
          }
        }}
      >
        {choices.map(choice => (
          <option key={keyOf(choice)} value={keyOf(choice)}>
            {describe(choice, trans)}
          </option>
        ))}
      </select>
    </div>
  );
}

function keyOf(policy: IPolicy): string {
  return JSON.stringify(policy);
}

/** In words which versions it serves. */
export function describe(policy: IPolicy, trans: TranslationBundle): string {
  if (policy.latest !== undefined) {
    const count = policy.latest.num_versions;
    return trans._n('the latest version', 'the latest %1 versions', count);
  }
  if (policy.specific !== undefined) {
    return trans.__('versions %1', policy.specific.versions.join(', '));
  }
  return trans.__('all versions');
}
