// What the alerts screen says of groups and standings.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counts, title, worthShowing } from '../../src/alerts/groups.ts';
import { labelsOf, nameOf } from '../../src/alerts/silence.ts';
import type { AlertGroup, Labels } from '../../src/protocol.ts';

const group = (key: Labels, active: number, silenced = 0, inhibited = 0): AlertGroup => ({
  key, active, silenced, inhibited, count: active + silenced + inhibited, severity: 'warning', severity_active: null, since: 0, members: [],
});

test('a group is called by what its alerts share', () => {
  assert.equal(title(group({ rule: 'disk-full' }, 2)), 'disk-full');
  assert.equal(title(group({ 'tag:site': 'eu', 'label:mountpoint': '/var' }, 2)), 'site eu, mountpoint /var');
  assert.equal(title(group({ 'tag:site': '' }, 2)), 'no site');
});

test('a group counts its alerts, and how they stand when not all are active', () => {
  assert.equal(counts(group({}, 3)), '3');
  assert.equal(counts(group({}, 1, 2)), '3: 1 active, 2 silenced');
  assert.equal(counts(group({}, 0, 0, 4)), '4: 4 inhibited');
});

test('a group of one is not shown', () => {
  assert.deepEqual(worthShowing([group({ rule: 'a' }, 1), group({ rule: 'b' }, 1, 1)]).map(title), ['b']);
});

test('what is silenced is named with its labels, and broken labels are none', () => {
  assert.equal(nameOf({ rule: 'full', machine: 'db-1', labels: { mountpoint: '/' } }), 'full on db-1 \u00b7 /');
  assert.deepEqual(labelsOf('{"a":"b"}'), { a: 'b' });
  assert.deepEqual(labelsOf('{'), {});
});
