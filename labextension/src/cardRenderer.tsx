import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';
import { CARD_MIME, type ICardDocument, parseCard } from './cardDocument';
import { type IServing, ServingContext } from './views/context';
import { Card } from './views/card';

/** Before text/html, which carries the same card for those who do not have this extension. */
const RANK = 40;

/** A cell's output that follows the engine, not the kernel. */
class CardRenderer extends ReactWidget implements IRenderMime.IRenderer {
  constructor(
    private readonly serving: IServing,
    private readonly onOpenPanel: () => void
  ) {
    super();
    this.addClass('jp-tfserve-Card');
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.card = parseCard(model.data[CARD_MIME]);
    this.update();
    return Promise.resolve();
  }

  protected override render(): React.ReactElement {
    if (this.card === null) {
      return <p>{this.serving.trans.__('This card cannot be read. Run the cell again.')}</p>;
    }
    return (
      <ServingContext.Provider value={this.serving}>
        <Card card={this.card} onOpenPanel={this.onOpenPanel} />
      </ServingContext.Provider>
    );
  }

  private card: ICardDocument | null = null;
}

/** Makes cards. Safe: what a notebook says is shown as text, and its commands are never run. */
export function cardFactory(
  serving: IServing,
  onOpenPanel: () => void
): IRenderMime.IRendererFactory {
  return {
    safe: true,
    mimeTypes: [CARD_MIME],
    defaultRank: RANK,
    createRenderer: () => new CardRenderer(serving, onOpenPanel)
  };
}
