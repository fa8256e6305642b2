import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choose, compose } from '../../src/machine/columns.ts';
import { mountsOf } from '../../src/machine/disks.ts';
import { clockOf, tilesOf } from '../../src/machine/facts.ts';
import { glob, thresholdsFor } from '../../src/machine/notes.ts';
import { bounds, fixed, fromQuery, live, shift, toQuery, typed, untilNow, zoom } from '../../src/machine/range.ts';
import { PANELS, seriesKey, type PanelSpec } from '../../src/machine/specs.ts';
import type { HistorySeries, Labels, Machine, Rule } from '../../src/protocol.ts';
import { secondsToFull } from '../../src/machine/trend.ts';
import { parse } from '../../src/router.ts';

const panel = (id: string): PanelSpec => {
  const found = PANELS.find((one) => one.id === id);
  assert.ok(found);
  return found;
};

const series = (metric: string, labels: Labels, v: (number | null)[], band = false): HistorySeries => ({
  metric, labels, unit: '1', t: v.map((_, index) => index * 1000), v,
  min: band ? v.map((value) => (value === null ? null : value - 1)) : null,
  max: band ? v.map((value) => (value === null ? null : value + 1)) : null,
});

test('an address leads to its screen, and a broken one to none', () => {
  assert.deepEqual(parse('/'), { screen: 'fleet' });
  assert.deepEqual(parse('/machines/a%20b'), { screen: 'machine', id: 'a b' });
  assert.deepEqual(parse('/machines/%E0%A4%A'), { screen: 'missing' });
  assert.deepEqual(parse('/machines/a/b'), { screen: 'missing' });
});

test('a range survives its way through the address', () => {
  for (const range of [live('1h'), live('7d'), fixed(1_000_000, 2_000_000)]) assert.deepEqual(fromQuery(new URLSearchParams(toQuery(range))), range);
  assert.deepEqual(fromQuery(new URLSearchParams('range=nonsense&from=5&to=2')), live('1h'));
});

test('a length that no button has is a range, too, and nonsense is none', () => {
  assert.deepEqual(live('3h'), { kind: 'live', preset: '3h', ms: 3 * 3_600_000 });
  assert.deepEqual(fromQuery(new URLSearchParams(toQuery(live('90m')))), live('90m'));
  for (const text of ['', '3x', '1s', '400d', '-3h']) assert.deepEqual(live(text), live('1h'), text);
});

test('a range can be typed', () => {
  const now = new Date(2026, 10, 21, 12, 0).getTime();
  const at = (hours: number, minutes: number): number => new Date(2026, 10, 21, hours, minutes).getTime();
  assert.deepEqual(typed('3h', now), live('3h'));
  assert.deepEqual(typed(' now-3h to now ', now), live('3h'));
  assert.deepEqual(typed('10:00 to 11:30', now), fixed(at(10, 0), at(11, 30)));
  assert.deepEqual(typed('now-2h to 11:30', now), fixed(at(10, 0), at(11, 30)));
  assert.deepEqual(typed('2026-11-21T10:00 to 2026-11-21T11:00', now), fixed(at(10, 0), at(11, 0)));
  assert.deepEqual(typed('2026-11-21T10:00', now), fixed(at(10, 0), now));
  for (const text of ['', 'soon', '11:30 to 10:00', 'a to b to c', '13:00']) assert.equal(typed(text, now), null, text);
});

test('a pan ends at now', () => {
  assert.deepEqual(untilNow(fixed(5_000_000, 9_000_000), 8_000_000), fixed(4_000_000, 8_000_000));
  assert.deepEqual(untilNow(fixed(5_000_000, 7_000_000), 8_000_000), fixed(5_000_000, 7_000_000));
  assert.deepEqual(untilNow(live('1h'), 0), live('1h'));
});

test('a shift never goes past now, and a zoom never below half a minute', () => {
  const hour = 3_600_000;
  assert.deepEqual(bounds(shift(live('1h'), -1, 10 * hour), 0), [8.5 * hour, 9.5 * hour]);
  assert.deepEqual(shift(live('1h'), 1, 10 * hour), live('1h'));
  assert.deepEqual(bounds(shift(fixed(8 * hour, 9.8 * hour), 1, 10 * hour), 0)[1], 10 * hour);
  const [from, to] = bounds(zoom(fixed(0, 40_000), 0.5, hour), 0);
  assert.equal(to - from, 30_000);
});

test('CPU modes stack in a fixed order without idle, and the total is read beside them', () => {
  const mode = (name: string, value: number): HistorySeries => series('system.cpu.mode.utilization', { 'cpu.mode': name }, [value]);
  const columns = choose(panel('cpu'), [mode('system', 0.2), mode('idle', 0.5), mode('user', 0.3), series('system.cpu.utilization', {}, [0.5])]);
  assert.deepEqual(columns.map(({ name }) => name), ['user', 'system', 'total']);
  const drawing = compose(columns, new Set(), 1000);
  assert.deepEqual(drawing.rows.slice(0, 3), [[0.3], [0.5], [0.5]]);
  assert.deepEqual(drawing.values, [[0.3], [0.2], [0.5]]);
});

test('a hidden part of a stack lifts nothing', () => {
  const columns = choose(panel('memory'), [series('system.memory.used', {}, [4]), series('system.memory.cached', {}, [2])]);
  const hidden = new Set([columns[0]?.key ?? '']);
  assert.deepEqual(compose(columns, hidden, 1000).rows, [[4], [2]]);
});

test('transmitted bytes are drawn below zero but read as they are, band included', () => {
  const columns = choose(panel('network'), [series('system.network.transmit.bytes_rate', { device: 'eth0' }, [5], true)]);
  const { rows, values, series: lines } = compose(columns, new Set(), 1000);
  assert.deepEqual([rows, values], [[[-5], [-4], [-6]], [[5]]]);
  assert.deepEqual(lines[0]?.band, [2, 1]);
});

test('no more lines than colours: the largest stay', () => {
  const many = Array.from({ length: 12 }, (_, index) => series('system.temperature', { sensor: `s${index}` }, [index]));
  assert.deepEqual(choose(panel('temperature'), many).map(({ name }) => name), ['s4', 's5', 's6', 's7', 's8', 's9', 's10', 's11']);
});

test('a series has one key whatever the order of its labels', () => {
  assert.equal(seriesKey('m', { a: '1', b: '2' }), seriesKey('m', { b: '2', a: '1' }));
});

test('rule patterns match whole names', () => {
  assert.deepEqual([glob('web-*', 'web-12'), glob('web-?', 'web-12'), glob('a.b', 'axb'), glob('*', '')], [true, false, false, true]);
});

test('a rule on a share is drawn in the unit of its chart', () => {
  const rule = { name: 'm', metric: 'system.memory.utilization', operator: 'gte', threshold: 0.9, severity: 'warning', enabled: true } satisfies Rule;
  assert.deepEqual(thresholdsFor(panel('memory'), [rule], () => 1000), [{ value: 900, severity: 'warning' }]);
  assert.deepEqual(thresholdsFor(panel('memory'), [rule], () => null), []);
  assert.deepEqual(thresholdsFor(panel('load'), [rule], () => 1000), []);
});

test('file systems are gathered per mount, fullest first', () => {
  const labels = (mountpoint: string): Labels => ({ device: 'd', fstype: 'ext4', mountpoint });
  const machine = {
    series: [
      { metric: 'system.filesystem.utilization', labels: labels('/'), unit: '1' },
      { metric: 'system.filesystem.utilization', labels: labels('/data'), unit: '1' },
      { metric: 'system.filesystem.readonly', labels: labels('/'), unit: '1' },
    ],
    values: [0.2, 0.9, 1],
  } as unknown as Machine;
  assert.deepEqual(mountsOf(machine).map(({ mountpoint, utilization, isReadonly }) => [mountpoint, utilization, isReadonly]), [['/data', 0.9, false], ['/', 0.2, true]]);
});

test('what a machine tells itself over its loopback is not drawn as traffic', () => {
  const columns = choose(panel('network'), [series('system.network.receive.bytes_rate', { device: 'lo' }, [5]), series('system.network.receive.bytes_rate', { device: 'eth0' }, [1])]);
  assert.deepEqual(columns.map(({ name }) => name), ['in eth0']);
});

test('a disk that fills evenly is full when its line says, and one that does not is never', () => {
  const hours = [0, 1, 2, 3, 4].map((hour) => hour * 3_600_000);
  assert.equal(Math.round((secondsToFull({ t: hours, v: [10, 20, 30, null, 50] }, 100) ?? 0) / 3600), 5);
  assert.equal(secondsToFull({ t: hours, v: [50, 40, 30, 20, 10] }, 100), null);
  assert.equal(secondsToFull({ t: hours, v: [10, 10, 10, 10, 10.0001] }, 100), null);
  assert.equal(secondsToFull({ t: [0, 60_000], v: [10, 20] }, 100), null);
  assert.equal(secondsToFull({ t: [], v: [] }, 100), null);
});

test('a processor has tiles of its newest payments, a host those of a host', () => {
  const base = { id: 'a', status: 'up', last_seen: 0, interval_ms: 1000, tags: {}, host: null, alerts: { warning: 0, critical: 0 }, summary: { cpu: 0.9, cpu_time: 0, memory: null, swap: null, disk: null, disk_mount: null, net_rx: null, net_tx: null, load1: null, pressure: null, temperature: null, uptime: null } } as const;
  const paid = (metric: string, merchant: string): { metric: string; labels: Labels; unit: string } => ({ metric, labels: { merchant }, unit: '1' });
  const processor: Machine = { ...base, series: [paid('payment.amount', 'toys'), paid('payment.amount', 'cafe'), paid('payment.failed', 'toys'), paid('payment.failed', 'cafe'), paid('payment.latency', 'toys')], values: [12, 30, 1, 0, 0.25] };
  assert.deepEqual(tilesOf(processor).map(({ value, note, level }) => `${value} ${note} ${level}`), ['30.0 EUR cafe ok', '1 of 2 merchants critical', '250\u00a0ms toys ok']);
  assert.deepEqual(tilesOf(base).slice(0, 2).map(({ label, level }) => `${label} ${level}`), ['CPU warn', 'Memory ok']);
});

test('a clock that is off is told, the way of a sample is not', () => {
  const heard = (at: number, ...times: (number | null)[]): string | null => clockOf({ last_seen: at, times } as Machine)?.replaceAll('\u00a0', ' ') ?? null;
  assert.equal(heard(100_000, 99_000, 40_000, null), null);
  assert.equal(heard(100_000, 220_000), '2 min ahead');
  assert.equal(heard(100_000, 40_000), '1 min behind');
  assert.equal(heard(100_000), null);
});
