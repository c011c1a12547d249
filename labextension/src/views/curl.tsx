import * as React from 'react';
import { copyText } from '../clipboard';
import { ServingError } from '../request';
import { curlLine } from '../snippets';
import { DEFAULT_ENGINE } from '../model';
import { useServing } from './context';
import { Button, FailureNote } from './parts';

interface ICurlProps {
  readonly engine: string;
  readonly model: string;
  readonly restUrl: string | null;
}

/** Buttons that copy a command, and the command itself, for those whose browser does not copy. */
export function Curl(props: ICurlProps): React.ReactElement {
  const { model: serving, trans } = useServing();
  const { engine, model, restUrl } = props;
  const [line, setLine] = React.useState('');
  const [failure, setFailure] = React.useState<ServingError | null>(null);

  const copy = async (url: string, needsToken: boolean) => {
    try {
      const signatures = await serving.api.signatures(engine, model);
      const text = curlLine({ url, model, needsToken }, signatures);
      if (text === null) {
        throw new ServingError(
          'UNIMPLEMENTED',
          trans.__('REST cannot carry the inputs of this model.'),
          trans.__('Use gRPC, or `%%tfserve query` in a notebook.')
        );
      }
      setLine(text);
      setFailure(null);
      await copyText(text);
    } catch (reason) {
      setLine('');
      setFailure(
        reason instanceof ServingError ? reason : new ServingError('INTERNAL', String(reason))
      );
    }
  };

  return (
    <div className="jp-tfserve-Curl">
      <div className="jp-tfserve-actions">
        {restUrl !== null && (
          <Button
            action="copy-curl"
            title={trans.__('Copy the command for a terminal on the machine of the Jupyter server')}
            onClick={() => void copy(restUrl, false)}
          >
            {trans.__('Copy curl')}
          </Button>
        )}
        {engine === DEFAULT_ENGINE && (
          <Button
            action="copy-curl-jupyter"
            title={trans.__(
              'Copy the command for any terminal: through Jupyter, with its token in JUPYTER_TOKEN'
            )}
            onClick={() => void copy(serving.api.proxyUrl, true)}
          >
            {trans.__('curl via Jupyter')}
          </Button>
        )}
      </div>
      {line !== '' && (
        <div className="jp-tfserve-Copied">
          <p role="status">{trans.__('Copied:')}</p>
          <pre>{line}</pre>
        </div>
      )}
      {failure !== null && <FailureNote failure={failure} />}
    </div>
  );
}
