import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rule } from '../../src/protocol.ts';
import { alsoWatched, besides, bodyOf, draftOf, durationText, keeperOf, NEW_RULE, pairs, parseDuration, question, scope, shortageOf } from '../../src/rules/form.ts';
import { bestScale, fromBase, scalesOf, toBase } from '../../src/rules/scale.ts';

const rule: Rule = { name: 'hot', metric: 'system.cpu.utilization', input: 'sample', operator: 'gt', threshold: 0.9, clear: 0.8, for_s: 90, no_data_s: 600, severity: 'warning', enabled: true, source: 'own', summary: 'CPU busy', machines: ['db-*'], tags: { site: 'eu' }, labels: {}, group_by: ['tag:site'] };

test('a rule that is read and saved unchanged is the same rule', () => {
  const made = bodyOf(draftOf(rule, '1'), '1');
  assert.ok('body' in made);
  const { source: _source, ...sent } = rule;
  assert.deepEqual(made.body, sent);
});

test('a rule says on how many series it is not in force, and sends nothing of it back', () => {
  assert.deepEqual([{}, { unjudged_series: 0 }, { unjudged_series: 12_345 }].map(shortageOf), ['', '', 'not on 12.3\u00a0k series: the hub is full']);
  const made = bodyOf(draftOf({ ...rule, unjudged_series: 2 }, '1'), '1');
  assert.ok('body' in made && !('unjudged_series' in made.body));
});

test('of many rules that watch the same a few are named', () => {
  const others = (count: number): Rule[] => Array.from({ length: count }, (_, at) => ({ ...rule, name: `r${at}` }));
  assert.deepEqual(alsoWatched(others(0)), []);
  assert.equal(alsoWatched(others(4)).length, 4);
  assert.deepEqual(alsoWatched(others(34)).slice(2), ['also watched by r2, warning', 'and by 31 more']);
});

test('a threshold is typed in the unit that is shown, and sent in the base unit', () => {
  for (const [metric, unit, shown, base, name] of [
    ['system.memory.utilization', '1', 90, 0.9, '%'],
    ['system.memory.available', 'By', 512, 512 * 1024 ** 2, 'MiB'],
    ['system.network.receive.bytes_rate', 'By/s', 3, 3 * 1024, 'KiB/s'],
    ['system.temperature', 'Cel', 85, 85, '°C'],
    ['system.uptime', 's', 2, 7200, 'h'],
    ['system.process.count', '1', 400, 400, ''],
  ] as const) {
    const scale = bestScale(scalesOf(metric, unit, 'sample'), base);
    assert.equal(scale.unit, name, metric);
    assert.equal(toBase(scale, shown), base, metric);
    assert.equal(fromBase(scale, base), shown, metric);
  }
  assert.equal(scalesOf('system.memory.utilization', '1', 'minute_count')[0]?.unit, 'samples');
});

test('what cannot be read is said at its field', () => {
  const made = bodyOf({ ...NEW_RULE, threshold: 'high', clear: 'x', for_s: 'soon', no_data_s: 'never', tags: 'role', labels: 'a=b, c' }, '1');
  assert.ok('errors' in made);
  assert.deepEqual(Object.keys(made.errors).sort(), ['clear', 'for_s', 'labels', 'no_data_s', 'tags', 'threshold']);
});

test('times are read and written as people write them', () => {
  for (const [text, seconds] of [['90', 90], ['5m', 300], ['1h30m', 5400], ['1 h 30 m', 5400], ['2d', 172_800], ['', null], ['5x', null], ['-5m', null]] as const) assert.equal(parseDuration(text), seconds, text);
  for (const [seconds, text] of [[90, '1m30s'], [300, '5m'], [90_000, '1d1h'], [0, '0s']] as const) assert.equal(durationText(seconds), text);
});

test('pairs keep what stands behind the first equals sign', () => {
  assert.deepEqual(pairs('role=db*, mount=/a=b,'), { role: 'db*', mount: '/a=b' });
  assert.deepEqual(pairs(' '), {});
  assert.equal(pairs('role'), null);
});

test('a rule is told in a line', () => {
  const plain = (text: string): string => text.replaceAll('\u00a0', ' ');
  assert.equal(plain(question(rule, 'CPU', '1')), 'CPU > 90 % for 1 min 30 s, or silent for 10 min');
  assert.equal(plain(question({ ...rule, input: 'minute_count', threshold: 4, for_s: 0, no_data_s: null }, 'Payments', '1')), 'Payments, samples a minute > 4');
  assert.equal(scope(rule), 'db-*, site=eu');
  assert.equal(scope({ ...rule, machines: [], tags: {} }), 'everywhere');
});

test('who changes a rule is the file, oneself, or the hub for its own transactions', () => {
  assert.deepEqual([{ ...rule }, { ...rule, source: 'file' as const }, { ...rule, name: 'synthetic-probe' }].map(keeperOf), ['own', 'file', 'hub']);
});

test('a rule is beside those in force that watch the same values, whatever they ask of them', () => {
  const later = { ...rule, name: 'hotter', threshold: 0.99, severity: 'critical' as const };
  const [elsewhere, off] = [{ ...later, name: 'elsewhere', machines: ['web-*'] }, { ...later, name: 'off', enabled: false }];
  const all = [rule, later, elsewhere, off];
  assert.deepEqual(all.map((one) => besides(one, all).map(({ name }) => name)), [['hotter'], ['hot'], [], []]);
});
