/** The plugins. Every service but the front end itself is optional, so that they fit Notebook 7 as well. */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { cardPlugin, fileBrowserPlugin } from './plugins/content';
import { modelPlugin, panelPlugin } from './plugins/panel';
import { launcherPlugin, runningPlugin, statusPlugin } from './plugins/places';

export { IServingModel } from './tokens';

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  modelPlugin,
  panelPlugin,
  launcherPlugin,
  statusPlugin,
  runningPlugin,
  fileBrowserPlugin,
  cardPlugin
];

export default plugins;
