import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heightOf, inView, linesOf, type Entry } from '../../src/fleet/lines.ts';
import { groupBy } from '../../src/fleet/order.ts';
import type { Machine } from '../../src/protocol.ts';

const head = (key: string): Entry => ({ key, title: key, note: '' });
const names = (entries: readonly Entry[]): string => entries.map((entry) => (typeof entry === 'string' ? entry : `[${entry.key}]`)).join(' ');

test('cards fill lines, and a group begins a new one', () => {
  const lines = linesOf([head('g'), 'a', 'b', 'c', head('h'), 'd'], { columns: 2, rowHeight: 100, headHeight: 40 });
  assert.deepEqual(lines.map(({ entries, top }) => [names(entries), top]), [['[g]', 0], ['a b', 40], ['c', 140], ['[h]', 240], ['d', 280]]);
  assert.equal(heightOf(lines), 380);
});

test('only the lines in view are taken', () => {
  const lines = linesOf(Array.from({ length: 1000 }, (_, index) => String(index)), { columns: 1, rowHeight: 50, headHeight: 40 });
  assert.deepEqual(inView(lines, 500, 900), [10, 19]);
  assert.deepEqual(inView(lines, -300, 120), [0, 3]);
  assert.deepEqual(inView(lines, 90_000, 91_000), [1000, 1000]);
  assert.deepEqual(inView([], 0, 100), [0, 0]);
});

test('machines without the tag are a group of their own, the last', () => {
  const machine = (id: string, role?: string): Machine => ({ id, tags: role === undefined ? {} : { role } }) as unknown as Machine;
  const groups = groupBy([machine('a'), machine('b', 'web'), machine('c', 'db'), machine('d', 'web')], 'role');
  assert.deepEqual(groups.map(({ value, machines }) => [value, machines.map(({ id }) => id).join(' ')]), [['web', 'b d'], ['db', 'c'], [null, 'a']]);
});
