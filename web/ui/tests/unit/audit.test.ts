import assert from 'node:assert/strict';
import { test } from 'node:test';
import { detailOf, detailsOf } from '../../src/audit/detail.ts';

const silence = (detail: string): string => detailOf({ action: 'silence_created', detail });

test('a silence says what it fits, until when and why; what is not understood stays as it is', () => {
  assert.match(silence('{"rules":["disk-full"],"machines":["db-1"],"tags":{},"labels":{}} until 2026-11-22T02:28:47.415Z: known: a new disk'), /^rule disk-full, machine db-1; until .*:28:47; known: a new disk$/);
  for (const without of ['', ': ']) assert.match(silence(`{} until 2026-11-22T02:28:47.415Z${without}`), /^every alert; until .*:28:47$/);
  for (const odd of ['', 'until', '{broken} until 2026-11-22T02:28:47.415Z: why']) assert.equal(silence(odd), odd);
  assert.equal(detailOf({ action: 'rule_updated', detail: '{} until 2026-11-22T02:28:47.415Z' }), '{} until 2026-11-22T02:28:47.415Z');
});

const METRICS = new Map([['system.cpu.utilization', { display: 'CPU', unit: '1' }], ['system.memory.used', { display: 'Memory used', unit: 'By' }]]);
/** Values have narrow and fixed spaces. */
const plain = (text: string): string => text.replaceAll(/[\u00a0\u202f]/g, ' ');
const entry = (action: 'rule_created' | 'rule_updated' | 'rule_deleted' | 'rules_reloaded', detail: string, subject = 'busy'): { action: typeof action; subject: string; detail: string } => ({ action, subject, detail });
const rules = (metric: string): Map<string, { metric: string }> => new Map([['busy', { metric }]]);

test('a change of a rule is told with the words of its editor, and values as they are shown', () => {
  const said = (detail: string): string | undefined => detailsOf([entry('rule_updated', detail)], rules('system.cpu.utilization'), METRICS).map(plain)[0];
  assert.equal(said('threshold: 0.9 -> 0.8, no_data_s: none -> 600'), 'Threshold: 90 % → 80 %; Or when silent for: never → 10 min');
  assert.equal(said('enabled: true -> false'), 'In force: yes → no');
  assert.equal(said('for_s: 0 -> 300, clear: 0.7 -> null'), 'For: at once → 5 min; Resolves at: 70 % → the threshold');
  assert.equal(said('summary: "a, b: -> \\"c\\"" -> "", machines: [] -> ["db-1","x, y: z"]'), 'What it tells people: a, b: -> "c" → nothing; Machines: all → db-1, x, y: z');
  assert.equal(said('tags: {} -> {"role":"db*"}, operator: "gt" -> "lte"'), 'Tags: any → role=db*; Is: above → at most');
  assert.equal(said('nothing became different'), 'nothing became different');
  for (const odd of ['threshold: 0.9 -> ', 'threshold: 0.9 -> 0.8, summ', 'summary: "cut off']) assert.equal(said(odd), odd);
});

test('a rule that came or went is told as its question, and an older threshold in the unit that it had then', () => {
  const entries = [
    entry('rule_updated', 'threshold: 1073741824 -> 2147483648'),
    entry('rule_updated', 'metric: "system.cpu.utilization" -> "system.memory.used", threshold: 0.9 -> 1073741824'),
    entry('rule_updated', 'threshold: 0.8 -> 0.9'),
    entry('rule_created', 'enabled: true, for_s: 300, input: "sample", machines: ["db-*"], metric: "system.cpu.utilization", operator: "gt", severity: "warning", threshold: 0.8'),
    entry('rule_updated', 'threshold: 1 -> 2', 'gone'),
    entry('rules_reloaded', '3 rules', ''),
  ];
  assert.deepEqual(detailsOf(entries, rules('system.memory.used'), METRICS).map(plain), [
    'Threshold: 1 GiB → 2 GiB',
    'Metric: CPU → Memory used; Threshold: 90 % → 1 GiB',
    'Threshold: 80 % → 90 %',
    'CPU > 80 % for 5 min; db-*; warning',
    'Threshold: 1 → 2',
    '3 rules',
  ]);
});
