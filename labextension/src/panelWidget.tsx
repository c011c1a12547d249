import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';
import { servingIcon } from './icon';
import { PANEL_ID } from './tokens';
import { type IServing, ServingContext } from './views/context';
import { type IPanelRequest, Panel } from './views/panel';

/** The sidebar. */
export class PanelWidget extends ReactWidget {
  constructor(private readonly serving: IServing) {
    super();
    this.id = PANEL_ID;
    this.addClass('jp-tfserve-Panel');
    this.title.icon = servingIcon;
    this.title.caption = serving.trans.__('Model Serving');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', serving.trans.__('Model Serving'));
  }

  /** Show the form that serves a folder; null puts it away. */
  showStart(path: string | null): void {
    this.request = { ...this.request, startPath: path };
    this.update();
  }

  showDetail(shown: IPanelRequest['shown']): void {
    this.request = { ...this.request, shown };
    this.update();
  }

  protected override render(): React.ReactElement {
    return (
      <ServingContext.Provider value={this.serving}>
        <Panel request={this.request} onStart={path => this.showStart(path)} />
      </ServingContext.Provider>
    );
  }

  private request: IPanelRequest = { startPath: null, shown: null };
}
