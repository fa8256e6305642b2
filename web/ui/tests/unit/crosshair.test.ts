// The crosshair of the page and what a chart says of the time under it.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { isPinned, moveCrosshair, onCrosshair, pin } from '../../src/charts/crosshair.ts';
import { readAt } from '../../src/charts/readout.ts';
import { whyMissing, type MachineEvent } from '../../src/machine/past.ts';

afterEach(() => pin(null));

test('a pinned time stays, wherever the pointer goes, until it is let go', () => {
  const told: (number | null)[] = [];
  const stop = onCrosshair((at) => told.push(at));
  moveCrosshair(10);
  pin(20);
  moveCrosshair(30);
  moveCrosshair(null);
  assert.equal(isPinned(), true);
  pin(null);
  moveCrosshair(40);
  stop();
  moveCrosshair(50);
  assert.deepEqual(told, [10, 20, null, 40]);
});

test('on data the nearest row is read, in a hole none, with the reason', () => {
  const [x, holes] = [[100, 105, 200, 205], [[105, 200]] as const];
  const why = (at: number): string => `at ${at}`;
  assert.deepEqual(readAt(null, null, x, holes, why), { shown: null, text: '' });
  const on = readAt(1, 106 - 1.5, x, holes, why);
  assert.equal(on.shown, 1);
  assert.doesNotMatch(on.text, /no data/);
  const off = readAt(1, 120, x, holes, why);
  assert.equal(off.shown, -1);
  assert.match(off.text, /no data: at 120000$/);
  assert.match(readAt(0, 50, x, holes, why).text, /no data: before the first there is$/);
  assert.equal(readAt(0, 97, x, holes, why).shown, 0);
  pin(120);
  assert.match(readAt(1, 120, x, holes).text, /no data · pinned$/);
});

const gap = (at: number, lastedMs: number): MachineEvent => ({ at, kind: 'gap', title: 'no data', lastedMs });
const restart = (at: number): MachineEvent => ({ at, kind: 'restart', title: 'restarted' });
const down = (at: number): MachineEvent => ({ at, kind: 'critical', title: 'machine-down', lastedMs: 1000 });
const up = { status: 'up', last_seen: 100_000 } as const;

test('a hole is told by what happened to the machine', () => {
  assert.equal(whyMissing(5000, [gap(1000, 8000), restart(6000)], up), 'the machine restarted');
  assert.equal(whyMissing(5000, [gap(1000, 8000), down(6000), restart(60_000)], up), 'the machine was down');
  assert.equal(whyMissing(5000, [gap(1000, 8000)], up), 'the machine was not heard');
  assert.equal(whyMissing(5000, [gap(20_000, 8000)], up), 'only this source gave none');
});

test('after the newest value it is told by how the machine is now', () => {
  assert.equal(whyMissing(200_000, [], { status: 'down', last_seen: 100_000 }), 'the machine is down');
  assert.equal(whyMissing(200_000, [], { status: 'stale', last_seen: 100_000 }), 'nothing newer has come');
});
