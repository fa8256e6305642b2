import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromQuery, highestFirst, isOfSeveral, linesOfMachines, linesOfTags, toQuery } from '../../src/compare/state.ts';

const read = (query: string) => fromQuery(new URLSearchParams(query));

test('what is compared lives in the address', () => {
  for (const query of ['', '?metric=system.memory.utilization&top=8&range=24h&view=small', '?by=machines&machine=db-1&machine=web-1', '?by=tag&tag=role&range=7d']) assert.equal(toQuery(read(query)), query);
});

test('an address that somebody mistyped shows something sensible', () => {
  const selection = read('?by=everything&top=7&range=never&machine=a&machine=a&machine=');
  assert.deepEqual([selection.by, selection.top, selection.range, selection.machines], ['machines', 5, { kind: 'live', preset: '1h', ms: 3_600_000 }, ['a']]);
  assert.equal(read(`?${Array.from({ length: 30 }, (_, index) => `machine=m${index}`).join('&')}`).machines.length, 24);
});

const series = (labels: Record<string, string>, v: (number | null)[], bands: [number[], number[]] | null = null) => ({ metric: 'm', labels, unit: '1', t: v.map((_, index) => index), v, min: bands?.[0] ?? null, max: bands?.[1] ?? null });

test('of several series of a machine the highest speaks, and is named', () => {
  const history = { metric: 'm', unit: '1', from: 0, to: 9, tier: 'raw' as const, step_ms: 1, partial: false, unknown: [], machines: [
    { machine: 'a', series: [series({ mount: '/' }, [1, 2]), series({ mount: '/var' }, [5, null, 7])] },
    { machine: 'b', series: [] },
    { machine: 'c', series: [series({}, [9], [[4], [12]])] },
  ] };
  const lines = highestFirst(linesOfMachines(history));
  assert.deepEqual(lines.map(({ name, note, low, mean, high, last }) => [name, note, low, mean, high, last]), [['c', '', 4, 9, 12, 9], ['a', '/var', 5, 6, 7, 7], ['b', '', null, null, null, null]]);
});

test('groups by tag say how many machines they are', () => {
  const rollups = { metric: 'm', unit: '1', step_ms: 1, partial: false, series: [{ tag: { name: 'role', value: 'db' }, t: [1, 2], machines: [2, 3], min: [0, 1], max: [5, 6], mean: [2, 4] }, { tag: null, t: [], machines: [], min: [], max: [], mean: [] }] };
  assert.deepEqual(linesOfTags(rollups).map(({ name, note, href, mean, high }) => [name, note, href, mean, high]), [['db', '3 machines', '/?tag=role%3Adb', 3, 6], ['whole fleet', '0 machines', '/', null, null]]);
});

test('disks and interfaces are of several, what a machine has once is not', () => {
  const said = ['system.filesystem.utilization', 'system.network.transmit.bytes_rate', 'system.network.connection.count', 'system.cpu.utilization'].map(isOfSeveral);
  assert.deepEqual(said, [true, true, false, false]);
});

test('a range between two dates stays in the address', () => {
  const selection = fromQuery(new URLSearchParams('from=1763700000000&to=1763703600000&top=3'));
  assert.deepEqual(selection.range, { kind: 'fixed', from: 1763700000000, to: 1763703600000 });
  assert.equal(toQuery(selection), '?top=3&from=1763700000000&to=1763703600000');
});
