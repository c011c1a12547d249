/** Calls of the server extension below `<base_url>/jupyter-tfserve/api/`; every failure is a `ServingError`. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type {
  IEngine,
  IEngineState,
  IFigures,
  IHistoryEvent,
  IOpened,
  IPolicy,
  IProgram,
  ISignatures,
  IStatus
} from './documents';
import type { IRequest } from './snippets';

export const NAMESPACE = 'jupyter-tfserve';

/** What went wrong, and the next step for a person. */
export class ServingError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string | null = null
  ) {
    super(message);
  }
}

interface IErrorDocument {
  readonly error?: unknown;
  readonly code?: unknown;
  readonly hint?: unknown;
}

export class ServingApi {
  constructor(
    private readonly settings: ServerConnection.ISettings,
    private readonly trans: TranslationBundle
  ) {}

  /** The address of the data plane behind Jupyter's own door. */
  get proxyUrl(): string {
    return new URL(URLExt.join(this.settings.baseUrl, NAMESPACE), window.location.href).href;
  }

  status(): Promise<IStatus> {
    return this.call<IStatus>('GET', ['status']);
  }

  engineState(engine: string): Promise<IEngineState> {
    return this.call<IEngineState>('GET', ['engines', engine, 'control', 'state']);
  }

  figures(engine: string): Promise<IFigures> {
    return this.call<IFigures>('GET', ['engines', engine, 'control', 'figures']);
  }

  /** The running engine; started if there is none of that name. */
  start(engine: string): Promise<IEngine> {
    return this.call<IEngine>('POST', ['engines'], { name: engine });
  }

  async stop(engine: string): Promise<void> {
    await this.call('DELETE', ['engines', engine]);
  }

  async restart(engine: string): Promise<void> {
    await this.call('POST', ['engines', engine, 'restart'], {});
  }

  async log(engine: string, lines: number): Promise<readonly string[]> {
    const path = ['engines', engine, 'log'];
    const reply = await this.call<{ lines: string[] }>('GET', path, undefined, { lines });
    return reply.lines;
  }

  async history(engine: string, limit: number): Promise<readonly IHistoryEvent[]> {
    const path = ['engines', engine, 'control', 'history'];
    const reply = await this.call<{ events: IHistoryEvent[] }>('GET', path, undefined, { limit });
    return reply.events;
  }

  open(engine: string, path: string, name: string | null): Promise<IOpened> {
    const body = { path, name, create: false };
    return this.call<IOpened>('POST', ['engines', engine, 'control', 'open'], body);
  }

  signatures(engine: string, model: string): Promise<ISignatures> {
    return this.call<ISignatures>('GET', this.modelPath(engine, model, 'signatures'));
  }

  /** Programs that send the request, by language; the Jupyter server writes them. */
  async programs(request: IRequest, needsToken: boolean): Promise<readonly IProgram[]> {
    const body = { url: request.url, body: request.body, needs_token: needsToken };
    return (await this.call<{ programs: IProgram[] }>('POST', ['snippets'], body)).programs;
  }

  async removeModel(engine: string, model: string): Promise<void> {
    await this.call('DELETE', this.modelPath(engine, model));
  }

  async setPolicy(engine: string, model: string, policy: IPolicy): Promise<void> {
    await this.call('PUT', this.modelPath(engine, model, 'policy'), policy);
  }

  /** The version that the label named before. */
  async setLabel(engine: string, model: string, label: string, version: number) {
    const path = this.modelPath(engine, model, 'labels', label);
    return (await this.call<{ previous: number | null }>('PUT', path, { version })).previous;
  }

  async removeLabel(engine: string, model: string, label: string): Promise<number> {
    const path = this.modelPath(engine, model, 'labels', label);
    return (await this.call<{ previous: number }>('DELETE', path)).previous;
  }

  private modelPath(engine: string, model: string, ...rest: string[]): string[] {
    return ['engines', engine, 'control', 'models', model, ...rest];
  }

  private async call<T>(
    method: string,
    path: readonly string[],
    body?: object,
    query: Record<string, number> = {}
  ): Promise<T> {
    const parts = path.map(part => encodeURIComponent(part));
    const address = URLExt.join(this.settings.baseUrl, NAMESPACE, 'api', ...parts);
    const init: RequestInit = { method };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
    }
    const url = address + URLExt.objectToQueryString(query);
    let response: Response;
    let text: string;
    try {
      response = await ServerConnection.makeRequest(url, init, this.settings);
      text = await response.text();
    } catch {
      throw new ServingError(
        'UNREACHABLE',
        this.trans.__('The Jupyter server does not answer.'),
        this.trans.__('Check that it runs and that you are connected to it.')
      );
    }
    const document = parse(text);
    if (!response.ok || document === undefined) {
      throw this.failure(response.status, document);
    }
    return document as T;
  }

  private failure(status: number, document: unknown): ServingError {
    const { error, code, hint } = (document ?? {}) as IErrorDocument;
    if (typeof error === 'string' && typeof code === 'string') {
      return new ServingError(code, error, typeof hint === 'string' ? hint : null);
    }
    if (status === 404) {
      return new ServingError(
        'EXTENSION_MISSING',
        this.trans.__('The Jupyter server does not know about model serving.'),
        this.trans.__(
          'Install jupyter_tfserve where the Jupyter server runs, then restart that server.'
        )
      );
    }
    return new ServingError(
      'UNKNOWN',
      this.trans.__('The Jupyter server answered with status %1.', status),
      this.trans.__('Reload the page; if it stays so, look at the log of the Jupyter server.')
    );
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
