/** Where else serving is seen: the launcher, the status bar, the list of what runs. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILauncher } from '@jupyterlab/launcher';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { IStatusBar } from '@jupyterlab/statusbar';
import { CommandIDs } from '../commands';
import { runningEngines } from '../runningEngines';
import { StatusItem } from '../statusItem';
import { IServingViews } from '../tokens';

const STATUS_RANK = 90;

export const launcherPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-tfserve:launcher',
  description: 'Model serving in the launcher.',
  autoStart: true,
  requires: [IServingViews],
  optional: [ILauncher],
  activate: (_: JupyterFrontEnd, { serving }: IServingViews, launcher: ILauncher | null) => {
    const category = serving.trans.__('Other');
    launcher?.add({ command: CommandIDs.openPanel, category, rank: 20 });
  }
};

export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-tfserve:status-item',
  description: 'The state of model serving in the status bar.',
  autoStart: true,
  requires: [IServingViews],
  optional: [IStatusBar],
  activate: async (_: JupyterFrontEnd, views: IServingViews, statusBar: IStatusBar | null) => {
    if (statusBar === null) {
      return;
    }
    const item = new StatusItem(views.serving, () => void views.commands.show());
    statusBar.registerStatusItem('jupyter-tfserve:status', {
      item,
      align: 'left',
      rank: STATUS_RANK
    });
    const settings = await views.settings;
    const apply = () => item.setHidden(settings?.composite.showStatusItem === false);
    settings?.changed.connect(apply);
    apply();
  }
};

export const runningPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-tfserve:running',
  description: 'Engines in the list of what runs.',
  autoStart: true,
  requires: [IServingViews],
  optional: [IRunningSessionManagers],
  activate: (
    _: JupyterFrontEnd,
    { serving, commands }: IServingViews,
    managers: IRunningSessionManagers | null
  ) => {
    managers?.add(runningEngines(serving.model, serving.trans, () => void commands.show()));
  }
};
