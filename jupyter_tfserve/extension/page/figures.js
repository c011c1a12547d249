// A version's figures in words, as the sidebar has them. Draws nothing.
'use strict';

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];
const AGES = [
  [86400, 'd'],
  [3600, 'h'],
  [60, 'min']
];

/** A line about requests, one about batches, one about what the version takes; `now` is in unix seconds. */
function figureLines(figures, now) {
  return [trafficOf(figures), batchingOf(figures), resourcesOf(figures, now)]
    .map(parts => parts.filter(Boolean).join(', '))
    .filter(Boolean);
}

function trafficOf(figures) {
  if (figures.requests === 0) {
    return ['no requests yet'];
  }
  const { requests_per_second: rate, errors_per_second: errors, p50_ms: p50, p99_ms: p99 } = figures;
  return [
    `${showRate(rate)} requests/s`,
    errors > 0 && `${showRate(errors)} errors/s`,
    p50 !== null && `p50 ${showMs(p50)}`,
    p99 !== null && `p99 ${showMs(p99)}`
  ];
}

function batchingOf(figures) {
  const { rows_per_batch: rows = null, batch_rows: most = null, waiting = 0 } = figures;
  return [
    rows !== null && `batch size ${showRate(rows)}${most === null ? '' : ` (at most ${most})`}`,
    (rows !== null || waiting > 0) && `${waiting} waiting`
  ];
}

function resourcesOf(figures, now) {
  const { devices = [], memory_bytes: memory, disk_bytes: disk, available_since: since } = figures;
  return [
    devices.length > 0 && `on ${showDevices(devices)}`,
    memory !== null && `${showBytes(memory)} memory`,
    disk !== null && `${showBytes(disk)} on disk`,
    since !== null && `up ${showAge(now - since)}`
  ];
}

function showDevices(devices) {
  const names = [...new Set(devices)].sort();
  const counted = names.map(name => [devices.filter(one => one === name).length, name]);
  return counted.map(([count, name]) => (count === 1 ? name : `${count} x ${name}`)).join(', ');
}

function showRate(rate) {
  return rate >= 100 ? Math.round(rate).toLocaleString('en') : String(Number(rate.toPrecision(3)));
}

function showMs(milliseconds) {
  if (milliseconds >= 1000) {
    return `${Number((milliseconds / 1000).toPrecision(3))} s`;
  }
  return `${Number(milliseconds >= 10 ? Math.round(milliseconds) : milliseconds.toPrecision(2))} ms`;
}

function showBytes(size) {
  let amount = size;
  let unit = 0;
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${amount < 10 ? Number(amount.toPrecision(2)) : Math.round(amount)} ${UNITS[unit]}`;
}

function showAge(seconds) {
  const found = AGES.find(([size]) => seconds >= size);
  return found === undefined
    ? `${Math.max(Math.floor(seconds), 0)} s`
    : `${Math.floor(seconds / found[0])} ${found[1]}`;
}
