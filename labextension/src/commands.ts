/** Everything that can be done to serving, as commands: for menus, the palette, shortcuts and other programs. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyJSONObject, ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { copyText } from './clipboard';
import { servingIcon } from './icon';
import { isLabel } from './labels';
import { DEFAULT_ENGINE, type ServingModel } from './model';
import type { PanelWidget } from './panelWidget';
import { curlLine } from './snippets';
import { findEngine, findModel } from './state';
import { PANEL_ID } from './tokens';

export const CommandIDs = {
  openPanel: 'jupyter-tfserve:open-panel',
  serve: 'jupyter-tfserve:serve',
  serveSelected: 'jupyter-tfserve:serve-selected',
  restart: 'jupyter-tfserve:restart',
  stop: 'jupyter-tfserve:stop',
  refresh: 'jupyter-tfserve:refresh',
  showLog: 'jupyter-tfserve:show-log',
  showHistory: 'jupyter-tfserve:show-history',
  copyCurl: 'jupyter-tfserve:copy-curl',
  moveLabel: 'jupyter-tfserve:move-label',
  undo: 'jupyter-tfserve:undo'
} as const;

/** Those that make sense without an argument. */
export const PALETTE = [
  CommandIDs.openPanel,
  CommandIDs.serve,
  CommandIDs.restart,
  CommandIDs.stop,
  CommandIDs.refresh,
  CommandIDs.showLog,
  CommandIDs.showHistory,
  CommandIDs.copyCurl,
  CommandIDs.undo
];

type Arguments = ReadonlyPartialJSONObject;

export class ServingCommands {
  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly model: ServingModel,
    private readonly panel: PanelWidget,
    private readonly trans: TranslationBundle
  ) {}

  /** Adds all but those that need another part of the front end. */
  addAll(): void {
    const { trans } = this;
    const engine = { engine: text(trans.__('The engine; the default one if it is left out')) };
    this.add(CommandIDs.openPanel, trans.__('Model Serving'), {}, () => this.show());
    this.add(
      CommandIDs.serve,
      trans.__('Serve a Folder of SavedModels…'),
      { path: text(trans.__('The folder; asked for if it is left out')) },
      args => this.serve(stringOf(args.path))
    );
    this.add(CommandIDs.restart, trans.__('Restart the Model Server'), engine, args =>
      this.report(this.model.restart(engineOf(args)))
    );
    this.add(CommandIDs.stop, trans.__('Stop the Model Server'), engine, args =>
      this.report(this.model.stop(engineOf(args)))
    );
    this.add(CommandIDs.refresh, trans.__('Refresh'), {}, () => this.model.refresh());
    this.add(CommandIDs.showLog, trans.__('Show the Log'), {}, () => this.show('log'));
    this.add(CommandIDs.showHistory, trans.__('Show the History'), {}, () => this.show('history'));
    this.add(
      CommandIDs.copyCurl,
      trans.__('Copy a curl Command'),
      { ...engine, model: text(trans.__('The model; the first one if it is left out')) },
      args => this.copyCurl(engineOf(args), stringOf(args.model))
    );
    this.add(
      CommandIDs.moveLabel,
      trans.__('Move a Label'),
      {
        ...engine,
        model: text(trans.__('The model')),
        label: text(trans.__('The label')),
        version: { type: ['integer', 'null'], description: trans.__('The version; null: none') }
      },
      args => this.moveLabel(args)
    );
    this.add(CommandIDs.undo, trans.__('Undo the Last Move of a Label'), {}, () =>
      this.model.undo()
    );
  }

  add(
    id: string,
    label: string,
    properties: ReadonlyJSONObject,
    execute: (args: Arguments) => unknown
  ): void {
    this.app.commands.addCommand(id, {
      label,
      icon: args => (args.isPalette === true ? undefined : servingIcon),
      describedBy: { args: { type: 'object', properties } },
      execute
    });
  }

  /** The sidebar, with a detail of every engine if one is named. */
  async show(shown: 'log' | 'history' | null = null): Promise<void> {
    if (shown !== null) {
      this.panel.showDetail(shown);
    }
    this.app.shell.activateById(PANEL_ID);
    await this.model.refresh();
  }

  async serve(path: string | null): Promise<void> {
    this.app.shell.activateById(PANEL_ID);
    if (path === null) {
      this.panel.showStart('');
    } else {
      await this.report(this.model.serve(path));
    }
  }

  private async copyCurl(engine: string, name: string | null): Promise<void> {
    const view = findEngine(this.model.state, engine);
    const model = name ?? view?.models[0]?.name;
    const url = view?.engine.rest_url ?? null;
    if (model === undefined || url === null) {
      Notification.warning(this.trans.__('No model is served over REST.'), this.next());
      return;
    }
    const line = curlLine({ url, model }, await this.model.api.signatures(engine, model));
    if (line === null) {
      Notification.warning(
        this.trans.__('REST cannot carry the inputs of %1.', model),
        this.next()
      );
      return;
    }
    await copyText(line);
    Notification.success(this.trans.__('Copied a curl command for %1.', model), {
      autoClose: 3000
    });
  }

  private async moveLabel(args: Arguments): Promise<void> {
    const { label, version } = args;
    const engine = engineOf(args);
    const model = findModel(this.model.state, engine, stringOf(args.model) ?? '');
    const isWhole = version === null || Number.isSafeInteger(version);
    if (model === undefined || typeof label !== 'string' || !isLabel(label) || !isWhole) {
      await this.show();
      return;
    }
    const from = model.labels[label] ?? null;
    const to = version as number | null;
    await this.report(this.model.moveLabel({ engine, model: model.name, label, from, to }));
  }

  /** A command may be run while the sidebar is closed: then its failure must be seen elsewhere. */
  private async report(outcome: Promise<boolean>): Promise<void> {
    const isDone = await outcome;
    const { actionFailure } = this.model.state;
    if (!isDone && actionFailure !== null && !this.panel.isVisible) {
      Notification.error(`${actionFailure.message} ${actionFailure.hint ?? ''}`, this.next());
    }
  }

  private next(): Notification.IOptions<null> {
    const callback = () => void this.show();
    return {
      autoClose: 8000,
      actions: [{ label: this.trans.__('Show Model Serving'), callback }]
    };
  }
}

function text(description: string): ReadonlyJSONObject {
  return { type: 'string', description };
}

function stringOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function engineOf(args: Arguments): string {
  return stringOf(args.engine) ?? DEFAULT_ENGINE;
}
