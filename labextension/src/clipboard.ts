import { Clipboard } from '@jupyterlab/apputils';

/** The text is on the clipboard. Pages that are not served over HTTPS have no `navigator.clipboard`. */
export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    Clipboard.copyToSystem(text);
  }
}
