import assert from 'node:assert/strict';
import { test } from 'node:test';
import { histogram } from '../../src/pipeline/histogram.ts';
import { layout } from '../../src/pipeline/layout.ts';
import { tiersOf } from '../../src/pipeline/tiers.ts';

test('operators stand behind what feeds them, whatever is between', () => {
  const plan = layout(['source', 'window', 'evaluate', 'history'], [
    { source: 'source', target: 'Map' }, { source: 'Map', target: 'window' }, { source: 'source', target: 'evaluate' }, { source: 'window', target: 'Concat' },
    { source: 'evaluate', target: 'Concat' }, { source: 'Concat', target: 'history' }, { source: 'history', target: 'source' },
  ]);
  assert.deepEqual(plan.nodes.map(({ name, column, row }) => [name, column, row]), [['source', 0, 1], ['window', 1, 0.5], ['evaluate', 1, 1.5], ['history', 2, 1]]);
  assert.equal(plan.columns, 3);
  assert.ok(plan.lines.some(({ source, target }) => source === 'window' && target === 'history'));
});

test('what no known channel leads to stands below, in flow order', () => {
  const plan = layout(['source', 'batch', 'rollup', 'contribute', 'tell'], [{ source: 'source', target: 'batch' }, { source: '0.5', target: 'rollup' }, { source: 'rollup', target: 'contribute' }]);
  assert.deepEqual(plan.nodes.map(({ name, column, row }) => [name, column, row]), [['source', 0, 0.5], ['batch', 1, 0.5], ['rollup', 0, 1.5], ['contribute', 1, 1.5], ['tell', 0, 2.5]]);
  assert.deepEqual([plan.columns, plan.rows], [2, 3]);
});

test('a line passes columns in a lane of its own, behind no box, and a short cut beside a longer way is left out', () => {
  const edge = (text: string): { source: string; target: string } => ({ source: text.charAt(0), target: text.charAt(1) });
  const plan = layout(['a', 'b', 'c', 'e', 'd', 'f'], ['ab', 'bc', 'cd', 'ad', 'ae', 'ed', 'df', 'af', 'ef'].map(edge));
  assert.deepEqual(plan.lines.map(({ source, target }) => source + target).sort(), ['ab', 'ae', 'bc', 'cd', 'df', 'ed']);
  const late = plan.lines.find(({ source, target }) => source + target === 'ed');
  assert.equal(late?.through.length, 1);
  const middle = (name: string): number => plan.nodes.find((node) => node.name === name)?.row ?? NaN;
  assert.ok(Math.abs((late?.through[0]?.row ?? NaN) - middle('c')) > 0.5, 'the lane is beside the box of its column');
  assert.deepEqual([plan.columns, plan.rows], [5, 2]);
});

test('lines that would cross are untangled', () => {
  const plan = layout(['s', 'a', 'b', 'x', 'y'], [['s', 'a'], ['s', 'b'], ['a', 'y'], ['b', 'x']].map(([source = '', target = '']) => ({ source, target })));
  const row = (name: string): number => plan.nodes.find((node) => node.name === name)?.row ?? NaN;
  assert.equal(row('a') < row('b'), row('y') < row('x'));
});

test('a picture of nothing is empty', () => {
  assert.deepEqual(layout([], []).nodes, []);
});

test('a loop between operators that are not drawn ends', () => {
  assert.deepEqual(layout(['a', 'b'], [{ source: 'a', target: 'x' }, { source: 'x', target: 'y' }, { source: 'y', target: 'x' }, { source: 'y', target: 'b' }]).lines, [{ source: 'a', target: 'b', through: [] }]);
});

test('percentiles become the shares of buckets, which are whole together', () => {
  const buckets = histogram([[50, 1], [90, 1.2], [99, 12], [100, 95]]);
  assert.equal(buckets.length, 8);
  assert.ok(Math.abs(buckets.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
  assert.ok((buckets[0]?.share ?? 0) > 0.89);
  assert.deepEqual(histogram([]), []);
});

test('each tier says how long it is kept, where, and what was made', () => {
  const stages = [{ name: 'graph', lag_ms: 1, totals: { accepted: 1200, minute_rows: 20, hour_rows: 1 } }];
  const setting = (key: string, value: string) => ({ key, value, source: 'default' });
  const settings = [setting('history.raw', '24h'), setting('history.minute', '7d'), setting('history.hour', '90d')];
  const lines = tiersOf({ stages, sinks: [] }, settings, 60).map(({ tier, kept, made, where }) => [tier, kept, made, where].join(' | '));
  assert.deepEqual(lines, ['hot | while its machine is known | 60 series | memory', 'raw | 24h | 1,200 samples | SQLite in the data folder', 'minute | 7d | 20 rows | SQLite in the data folder', 'hour | 90d | 1 rows | SQLite in the data folder']);
  const off = tiersOf({ stages, sinks: [] }, [...settings, setting('history.enabled', 'false')], 60);
  assert.deepEqual(off.map(({ kept, where }) => `${kept} ${where}`), ['while its machine is known memory', ...Array<string>(3).fill('– nowhere: the history is off')]);
  const sink = (name: string, detail?: string) => ({ name, status: 'up' as const, required: false, since: 0, latency_ms: null, last_error: null, ...(detail === undefined ? {} : { detail }) });
  const served = tiersOf({ stages: [], sinks: [sink('redis'), sink('postgres', 'PostgreSQL 15.14')] }, [setting('timescale.url', 'postgres://***')], null);
  assert.deepEqual(served.map(({ made, where }) => `${made} ${where}`), ['– memory and Redis', '– samples PostgreSQL 15.14', '– rows PostgreSQL 15.14', '– rows PostgreSQL 15.14']);
});
