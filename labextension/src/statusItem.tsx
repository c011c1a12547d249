import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';
import { summarize } from './state';
import { type IServing, ServingContext, useServing, useServingState } from './views/context';

/** The state of serving in one line, which opens the sidebar. */
export class StatusItem extends ReactWidget {
  constructor(
    private readonly serving: IServing,
    private readonly onOpen: () => void
  ) {
    super();
    this.addClass('jp-tfserve-StatusItem');
  }

  protected override render(): React.ReactElement {
    return (
      <ServingContext.Provider value={this.serving}>
        <Summary onOpen={this.onOpen} />
      </ServingContext.Provider>
    );
  }
}

function Summary(props: { readonly onOpen: () => void }): React.ReactElement {
  const { trans } = useServing();
  const state = useServingState();
  return (
    <button type="button" title={trans.__('Show Model Serving')} onClick={props.onOpen}>
      {summarize(state, trans)}
    </button>
  );
}
