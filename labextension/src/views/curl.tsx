import * as React from 'react';
import { copyText } from '../clipboard';
import { ServingError } from '../request';
import { curlLine, requestOf } from '../snippets';
import { DEFAULT_ENGINE } from '../model';
import { useServing } from './context';
import { Button, FailureNote } from './parts';

interface ICurlProps {
  readonly engine: string;
  readonly model: string;
  readonly restUrl: string | null;
}

/** The languages of `api/snippets` but for curl in a POSIX shell, which has buttons of its own. */
const LANGUAGES: readonly (readonly [string, string])[] = [
  ['python', 'Python (requests)'],
  ['node', 'Node.js'],
  ['powershell', 'PowerShell'],
  ['cmd', 'curl (Windows cmd)']
];

/** Buttons that copy a command or a program, and that text itself, for those whose browser does not copy. */
export function Curl(props: ICurlProps): React.ReactElement {
  const { model: serving, trans } = useServing();
  const { engine, model, restUrl } = props;
  const [line, setLine] = React.useState('');
  const [failure, setFailure] = React.useState<ServingError | null>(null);

  const write = async (url: string, needsToken: boolean, language: string | null) => {
    const signatures = await serving.api.signatures(engine, model);
    const target = { url, model, needsToken };
    const request = language === null ? null : requestOf(target, signatures);
    if (request === null) {
      return curlLine(target, signatures);
    }
    const programs = await serving.api.programs(request, needsToken);
    return programs.find(program => program.language === language)?.text ?? null;
  };
  const copy = async (url: string, needsToken: boolean, language: string | null = null) => {
    try {
      const text = await write(url, needsToken, language);
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
        {(restUrl !== null || engine === DEFAULT_ENGINE) && (
          <select
            name="program"
            className="jp-tfserve-Programs"
            aria-label={trans.__('Copy another program')}
            value=""
            onChange={event => {
              // Through Jupyter where there is no port: with the token from the environment.
              const url = restUrl ?? serving.api.proxyUrl;
              void copy(url, restUrl === null, event.target.value);
            }}
          >
            <option value="" disabled>
              {trans.__('Copy as…')}
            </option>
            {LANGUAGES.map(([language, title]) => (
              <option key={language} value={language}>
                {title}
              </option>
            ))}
          </select>
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
