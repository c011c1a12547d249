/** Serving where a person's files and notebooks are: the file browser's menu, and the card in a cell. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { cardFactory } from '../cardRenderer';
import { CommandIDs } from '../commands';
import { IServingViews } from '../tokens';

const FOLDER = '.jp-DirListing-item[data-isdir="true"]';

export const fileBrowserPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-tfserve:file-browser',
  description: 'Serves the folder that is selected in the file browser.',
  autoStart: true,
  requires: [IServingViews],
  optional: [IFileBrowserFactory],
  activate: (
    app: JupyterFrontEnd,
    { serving, commands }: IServingViews,
    browsers: IFileBrowserFactory | null
  ) => {
    if (browsers === null) {
      return;
    }
    const { contents } = app.serviceManager;
    const title = serving.trans.__('Serve the Models in This Folder');
    commands.add(CommandIDs.serveSelected, title, {}, async () => {
      const [selected] = Array.from(browsers.tracker.currentWidget?.selectedItems() ?? []);
      if (selected !== undefined) {
        await commands.serve(contents.localPath(selected.path));
      }
    });
    app.contextMenu.addItem({ command: CommandIDs.serveSelected, selector: FOLDER, rank: 8 });
  }
};

export const cardPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-tfserve:card',
  description: 'Shows the live card of a model server in notebooks.',
  autoStart: true,
  requires: [IServingViews],
  optional: [IRenderMimeRegistry],
  activate: (
    _: JupyterFrontEnd,
    { serving, commands }: IServingViews,
    registry: IRenderMimeRegistry | null
  ) => {
    registry?.addFactory(cardFactory(serving, () => void commands.show()));
  }
};
