/** A label's move: what it means for callers, and how it is taken back. Pure. */

import type { TranslationBundle } from '@jupyterlab/translation';
import type { IModel } from './documents';

/** `null` stands for "no version": the label is new, or it is taken away. */
export interface ILabelMove {
  readonly engine: string;
  readonly model: string;
  readonly label: string;
  readonly from: number | null;
  readonly to: number | null;
}

/** TensorFlow Serving takes any text; ours must fit into one part of an address. */
export function isLabel(text: string): boolean {
  // eslint-disable-next-line no-control-regex
  return text.trim() !== '' && !/[\u0000-\u001f\u007f/]/.test(text) && !['.', '..'].includes(text);
}

export function undoOf(move: ILabelMove): ILabelMove {
  return { ...move, from: move.to, to: move.from };
}

/** Whether the label still is where the move put it; somebody else may have moved it since. */
export function isUndoable(move: ILabelMove, model: IModel | undefined): boolean {
  return model !== undefined && (model.labels[move.label] ?? null) === move.to;
}

/** What callers will see, a sentence each. */
export function previewMove(
  move: ILabelMove,
  model: IModel,
  trans: TranslationBundle
): readonly string[] {
  const { label, from, to } = move;
  const address = `/v1/models/${model.name}/labels/${label}`;
  if (from === to) {
    return [
      from === null
        ? trans.__('There is no label %1.', label)
        : trans.__('%1 names version %2 already: nothing changes.', label, from)
    ];
  }
  if (to === null) {
    return [
      trans.__('Requests to %1 will fail: no version has that name any more.', address),
      trans.__('Callers that name a version, or none, see no change.')
    ];
  }
  const first =
    from === null
      ? trans.__('Requests to %1 get version %2; until now they fail.', address, to)
      : trans.__('The next request to %1 gets version %2 instead of %3.', address, to, from);
  const lines = [first, trans.__('Callers that name a version, or none, see no change.')];
  if (from !== null) {
    lines.push(trans.__('Requests under way are answered by version %1.', from));
  }
  const state = model.versions.find(version => version.version === to)?.state;
  if (state !== 'AVAILABLE') {
    lines.push(
      trans.__('Version %1 is %2: the server may refuse this.', to, state ?? trans.__('not there'))
    );
  }
  return lines;
}

/** What was done, for people who see it and for people who hear it. */
export function describeMove(move: ILabelMove, trans: TranslationBundle): string {
  const { model, label, from, to } = move;
  if (to === null) {
    return trans.__('%1: label %2 was taken from version %3.', model, label, from ?? '');
  }
  if (from === null) {
    return trans.__('%1: label %2 now names version %3.', model, label, to);
  }
  return trans.__('%1: label %2 moved from version %3 to version %4.', model, label, from, to);
}
