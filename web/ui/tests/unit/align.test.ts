import assert from 'node:assert/strict';
import { test } from 'node:test';
import { align, append, holes, stack, withGaps } from '../../src/charts/align.ts';
import { bucketCount, bucketMeans } from '../../src/charts/downsample.ts';
import { describe, trend } from '../../src/charts/summary.ts';

test('a distance of more than two steps becomes a gap, two steps do not', () => {
  assert.deepEqual(withGaps({ t: [0, 5, 15, 26], v: [1, 2, 3, 4] }, 5), { t: [0, 5, 15, 20, 26], v: [1, 2, 3, null, 4] });
});

test('series of different times share one axis, and only real gaps are null', () => {
  const aligned = align([{ t: [0, 2000], v: [1, 2] }, { t: [1000, 2000], v: [3, null] }]);
  assert.deepEqual(aligned.x, [0, 1, 2]);
  assert.deepEqual(aligned.ys, [[1, undefined, 2], [undefined, 3, null]]);
});

test('a stack sums upwards and stays open where nothing is known', () => {
  assert.deepEqual(stack([[1, null, 2], [3, null, undefined]]), [[1, null, 2], [4, null, 2]]);
  assert.deepEqual(stack([]), []);
});

test('a live point that is not newer is ignored, and old ones leave', () => {
  const column = { t: [1, 2], v: [10, 20] as (number | null)[] };
  append(column, 2, 99, 0);
  assert.deepEqual(column, { t: [1, 2], v: [10, 20] });
  append(column, 3, null, 2);
  assert.deepEqual(column, { t: [2, 3], v: [20, null] });
});

test('a strip never has cells narrower than a sample or three pixels', () => {
  assert.equal(bucketCount(0, 60_000, 5000, 900), 12);
  assert.equal(bucketCount(0, 3_600_000, 5000, 300), 100);
});

test('buckets hold means, and an empty one holds nothing', () => {
  const column = { t: [0, 1, 5, 9, 20], v: [1, 3, null, 7, 9] };
  assert.deepEqual(bucketMeans(column, { from: 0, to: 9, count: 3 }), [2, null, 7]);
});

test('a chart tells its range, last value and trend', () => {
  const values = [0.1, 0.1, 0.2, 0.5, 0.6];
  assert.equal(trend(values, 0.5), 'rising');
  assert.equal(trend([1, 2, 1, 2, 1], 1), 'steady');
  const text = describe('CPU', 'ratio', [{ name: 'total', t: [1, 2, 3, 4, 5], v: values }]).replaceAll('\u00a0', ' ');
  assert.equal(text, 'CPU. total: 10 % to 60 %, now 60 %, rising');
  assert.equal(describe('CPU', 'ratio', []), 'CPU: no data in this range');
});

test('a gap of one series stays a gap where others have values', () => {
  const holed = withGaps({ t: [0, 10, 50], v: [1, 1, 2] }, 10);
  const { ys } = align([holed, { t: [5, 15, 25, 35, 45, 55], v: [1, 1, 1, 1, 1, 1] }]);
  assert.deepEqual(ys[0], [1, undefined, 1, undefined, null, null, null, null, 2, undefined]);
});

test('a hole is where no series has a value for more than two steps, and after the last one', () => {
  const aligned = { x: [0, 10, 20, 50, 60, 70, 80, 90], ys: [[1, 1, null, undefined, 1, null, null, null], [null, 1, null, null, null, null, 2, 2]] };
  assert.deepEqual(holes(aligned, 10_000, 100_000), [[10, 60]]);
  assert.deepEqual(holes(aligned, 10_000, 400_000), [[10, 60], [90, 400]]);
  assert.deepEqual(holes({ x: [], ys: [] }, 10_000, 400_000), []);
});
