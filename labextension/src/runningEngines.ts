import type { IRunningSessions } from '@jupyterlab/running';
import type { TranslationBundle } from '@jupyterlab/translation';
import { servingIcon } from './icon';
import type { ServingModel } from './model';

/** Engines beside kernels and terminals, with a button that stops them. */
export function runningEngines(
  model: ServingModel,
  trans: TranslationBundle,
  open: () => void
): IRunningSessions.IManager {
  return {
    name: trans.__('Model Servers'),
    runningChanged: model.changed,
    refreshRunning: () => void model.refresh(),
    running: () =>
      model.state.engines.map(({ engine, models }) => ({
        icon: () => servingIcon,
        label: () => trans.__('Engine %1', engine.name),
        labelTitle: () => models.map(item => item.name).join('\n'),
        detail: () => engine.state,
        open,
        shutdown: () => void model.stop(engine.name)
      })),
    shutdownAll: () => {
      for (const { engine } of model.state.engines) {
        void model.stop(engine.name);
      }
    },
    shutdownLabel: trans.__('Stop'),
    shutdownAllLabel: trans.__('Stop All'),
    shutdownAllConfirmationText: trans.__(
      'Stop all model servers? Requests under way are answered, later ones fail.'
    )
  };
}
