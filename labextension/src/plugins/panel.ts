/** The model that all plugins share, and the sidebar with its commands and settings. */

import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { PALETTE, ServingCommands } from '../commands';
import { ServingModel } from '../model';
import { PanelWidget } from '../panelWidget';
import { ServingApi } from '../request';
import { I18N_DOMAIN, IServingModel, IServingViews, PLUGIN_ID } from '../tokens';

const SIDEBAR_RANK = 850;
const DEFAULT_LOG_LINES = 200;

export const modelPlugin: JupyterFrontEndPlugin<ServingModel> = {
  id: 'jupyter-tfserve:model',
  description: 'Keeps what the Jupyter server serves up to date.',
  autoStart: true,
  provides: IServingModel,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load(I18N_DOMAIN);
    const { serverSettings, events } = app.serviceManager;
    return new ServingModel(new ServingApi(serverSettings, trans), events, trans);
  }
};

export const panelPlugin: JupyterFrontEndPlugin<IServingViews> = {
  id: PLUGIN_ID,
  description: 'The sidebar of model serving, its commands and its settings.',
  autoStart: true,
  requires: [IServingModel],
  provides: IServingViews,
  optional: [ITranslator, ICommandPalette, ILayoutRestorer, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    model: ServingModel,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    registry: ISettingRegistry | null
  ): IServingViews => {
    const trans = (translator ?? nullTranslator).load(I18N_DOMAIN);
    let settings: ISettingRegistry.ISettings | null = null;
    const logLines = () => Number(settings?.composite.logLines ?? DEFAULT_LOG_LINES);
    const serving = { model, trans, logLines };
    const panel = new PanelWidget(serving);
    app.shell.add(panel, 'left', { rank: SIDEBAR_RANK, type: 'Model Serving' });
    restorer?.add(panel, panel.id);

    const commands = new ServingCommands(app, model, panel, trans);
    commands.addAll();
    for (const command of PALETTE) {
      const category = trans.__('Model Serving');
      palette?.addItem({ command, category, args: { isPalette: true } });
    }

    const loaded = registry?.load(PLUGIN_ID).then(
      found => {
        const apply = () => model.setPollSeconds(Number(found.composite.pollSeconds));
        settings = found;
        found.changed.connect(apply);
        apply();
        return found;
      },
      // Without its schema the extension works with its defaults.
      () => null
    );
    return { serving, commands, settings: loaded ?? Promise.resolve(null) };
  }
};
