import assert from 'node:assert/strict';
import { test } from 'node:test';
import { histogram, layout } from '../../src/pipeline/layout.ts';

test('operators stand behind what feeds them, whatever is between', () => {
  const plan = layout(['source', 'window', 'evaluate', 'history'], [
    { source: 'source', target: 'Map' }, { source: 'Map', target: 'window' }, { source: 'source', target: 'evaluate' }, { source: 'window', target: 'Concat' },
    { source: 'evaluate', target: 'Concat' }, { source: 'Concat', target: 'history' }, { source: 'history', target: 'source' },
  ]);
  assert.deepEqual(plan.nodes.map(({ name, column, row }) => [name, column, row]), [['source', 0, 0], ['window', 1, 0], ['evaluate', 1, 1], ['history', 2, 0]]);
  assert.equal(plan.columns, 3);
  assert.ok(plan.edges.some(({ source, target }) => source === 'window' && target === 'history'));
});

test('what no known channel leads to stands below, in flow order', () => {
  const plan = layout(['source', 'batch', 'rollup', 'contribute', 'tell'], [{ source: 'source', target: 'batch' }, { source: '0.5', target: 'rollup' }, { source: 'rollup', target: 'contribute' }]);
  assert.deepEqual(plan.nodes.map(({ name, column, row }) => [name, column, row]), [['source', 0, 0], ['batch', 1, 0], ['rollup', 0, 1], ['contribute', 1, 1], ['tell', 0, 2]]);
  assert.deepEqual([plan.columns, plan.rows], [2, 3]);
});

test('a picture of nothing is empty', () => {
  assert.deepEqual(layout([], []).nodes, []);
});

test('a loop between operators that are not drawn ends', () => {
  assert.deepEqual(layout(['a', 'b'], [{ source: 'a', target: 'x' }, { source: 'x', target: 'y' }, { source: 'y', target: 'x' }, { source: 'y', target: 'b' }]).edges, [{ source: 'a', target: 'b' }]);
});

test('percentiles become the shares of buckets, which are whole together', () => {
  const buckets = histogram([[50, 1], [90, 1.2], [99, 12], [100, 95]]);
  assert.equal(buckets.length, 8);
  assert.ok(Math.abs(buckets.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
  assert.ok((buckets[0]?.share ?? 0) > 0.89);
  assert.deepEqual(histogram([]), []);
});
