/** A version's figures as words and as a curve, in the words of the kernel's own card. Pure. */

import type { TranslationBundle } from '@jupyterlab/translation';
import type { IFigurePoint, IVersionFigures } from './documents';

export const CURVE_WIDTH = 90;
export const CURVE_HEIGHT = 18;
const CURVE_SECONDS = 60;
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** The figures by what they are about: requests, batches, what the version takes. What is not known is left out. */
export function describeFigures(
  figures: IVersionFigures,
  now: number,
  trans: TranslationBundle
): string[][] {
  const groups = [
    describeTraffic(figures, trans),
    describeBatching(figures, trans),
    describeResources(figures, now, trans)
  ];
  return groups.filter(group => group.length > 0);
}

function describeTraffic(figures: IVersionFigures, trans: TranslationBundle): string[] {
  const { p50_ms, p99_ms } = figures;
  const parts = [
    figures.requests === 0
      ? trans.__('no requests yet')
      : trans.__('%1 requests/s', showRate(figures.requests_per_second))
  ];
  if (figures.errors_per_second > 0) {
    parts.push(trans.__('%1 errors/s', showRate(figures.errors_per_second)));
  }
  if (p50_ms !== null && p99_ms !== null) {
    parts.push(trans.__('p50 %1', showMs(p50_ms)), trans.__('p99 %1', showMs(p99_ms)));
  }
  return parts;
}

function describeBatching(figures: IVersionFigures, trans: TranslationBundle): string[] {
  const rows = figures.rows_per_batch ?? null;
  const most = figures.batch_rows ?? null;
  const waiting = figures.waiting ?? 0;
  const parts: string[] = [];
  if (rows !== null) {
    const text = trans.__('batch size %1', showRate(rows));
    parts.push(most === null ? text : trans.__('%1 (at most %2)', text, most));
  }
  if (rows !== null || waiting > 0) {
    parts.push(trans.__('%1 waiting', waiting));
  }
  return parts;
}

function describeResources(
  figures: IVersionFigures,
  now: number,
  trans: TranslationBundle
): string[] {
  const { memory_bytes, disk_bytes, available_since } = figures;
  const devices = showDevices(figures.devices ?? []);
  const parts: string[] = [];
  if (devices !== '') {
    parts.push(trans.__('on %1', devices));
  }
  if (memory_bytes !== null) {
    parts.push(trans.__('%1 memory', showBytes(memory_bytes)));
  }
  if (disk_bytes !== null) {
    parts.push(trans.__('%1 on disk', showBytes(disk_bytes)));
  }
  if (available_since !== null) {
    parts.push(trans.__('up %1', showAge(now - available_since)));
  }
  return parts;
}

/** `CPU`, `GPU:0`, or of several processes `2 x CPU`. */
export function showDevices(devices: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const device of [...devices].sort()) {
    counts.set(device, (counts.get(device) ?? 0) + 1);
  }
  return Array.from(counts, ([device, count]) =>
    count === 1 ? device : `${count} x ${device}`
  ).join(', ');
}

/** What the curve shows, for those who do not see it; empty if there is none to draw. */
export function describeCurve(history: readonly IFigurePoint[], trans: TranslationBundle): string {
  const highest = highestRate(history);
  if (history.length < 2 || highest === 0) {
    return '';
  }
  return trans.__(
    'Requests a second in the last %1 s, %2 at most',
    history.length,
    showRate(highest)
  );
}

/** The points of the curve of the last minute; the right edge is now. */
export function curvePoints(history: readonly IFigurePoint[]): string {
  const highest = highestRate(history);
  const step = CURVE_WIDTH / (CURVE_SECONDS - 1);
  return history
    .map((point, index) => {
      const x = CURVE_WIDTH - (history.length - 1 - index) * step;
      const y = CURVE_HEIGHT - 1 - ((CURVE_HEIGHT - 2) * point.requests_per_second) / highest;
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
}

export function showRate(rate: number): string {
  if (rate >= 100) {
    return Math.round(rate)
      .toString()
      .replace(/\B(?=(\d{3})+$)/g, ',');
  }
  return String(Number(rate.toPrecision(3)));
}

export function showMs(milliseconds: number): string {
  if (milliseconds >= 1000) {
    return `${Number((milliseconds / 1000).toPrecision(3))} s`;
  }
  const shown = milliseconds >= 10 ? Math.round(milliseconds) : milliseconds.toPrecision(2);
  return `${Number(shown)} ms`;
}

export function showBytes(size: number): string {
  let amount = size;
  let unit = 0;
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  const shown = amount < 10 ? Number(amount.toPrecision(2)) : Math.round(amount);
  return `${shown} ${UNITS[unit]}`;
}

export function showAge(seconds: number): string {
  if (seconds >= 86_400) {
    return `${Math.floor(seconds / 86_400)} d`;
  }
  if (seconds >= 3600) {
    return `${Math.floor(seconds / 3600)} h`;
  }
  return seconds >= 60
    ? `${Math.floor(seconds / 60)} min`
    : `${Math.max(Math.floor(seconds), 0)} s`;
}

function highestRate(history: readonly IFigurePoint[]): number {
  return history.reduce((highest, point) => Math.max(highest, point.requests_per_second), 0);
}
