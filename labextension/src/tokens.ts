/** What other extensions may ask for. */

import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Token } from '@lumino/coreutils';
import type { ServingCommands } from './commands';
import type { ServingModel } from './model';
import type { IServing } from './views/context';

export const IServingModel = new Token<ServingModel>(
  'jupyter-tfserve:IServingModel',
  'What the Jupyter server serves, kept up to date, and how to change it.'
);

/** What the places need that show serving: for the plugins of this package only. */
export interface IServingViews {
  readonly serving: IServing;
  readonly commands: ServingCommands;
  /** Null where there are no settings. */
  readonly settings: Promise<ISettingRegistry.ISettings | null>;
}

export const IServingViews = new Token<IServingViews>('jupyter-tfserve:IServingViews');

export const PLUGIN_ID = 'jupyter-tfserve:plugin';
export const PANEL_ID = 'jupyter-tfserve-panel';
export const I18N_DOMAIN = 'jupyter_tfserve';
