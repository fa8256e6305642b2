import assert from 'node:assert/strict';
import { test } from 'node:test';
import { detailOf } from '../../src/audit/detail.ts';

const silence = (detail: string): string => detailOf({ action: 'silence_created', detail });

test('a silence says what it fits, until when and why; what is not understood stays as it is', () => {
  assert.match(silence('{"rules":["disk-full"],"machines":["db-1"],"tags":{},"labels":{}} until 2026-11-22T02:28:47.415Z: known: a new disk'), /^rule disk-full, machine db-1; until .*:28:47; known: a new disk$/);
  assert.match(silence('{} until 2026-11-22T02:28:47.415Z'), /^every alert; until .*:28:47$/);
  for (const odd of ['', 'until', '{broken} until 2026-11-22T02:28:47.415Z: why']) assert.equal(silence(odd), odd);
  assert.equal(detailOf({ action: 'rule_updated', detail: '{} until 2026-11-22T02:28:47.415Z' }), '{} until 2026-11-22T02:28:47.415Z');
});
