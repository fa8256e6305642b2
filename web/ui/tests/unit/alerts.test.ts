// What the alerts screen says of groups and standings.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterFrom, filterQuery, passes } from '../../src/alerts/filter.ts';
import { counts, title, worthShowing } from '../../src/alerts/groups.ts';
import { noisiest } from '../../src/alerts/noisy.ts';
import { clearSince, isActive, worstFirst } from '../../src/alerts/present.ts';
import { labelsOf, nameOf } from '../../src/alerts/silence.ts';
import { fits } from '../../src/alerts/silences.ts';
import type { Alert, AlertGroup, Labels } from '../../src/protocol.ts';

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

test('alerts of which nobody is told are no active ones, and come last', () => {
  const alert = (id: string, severity: string, standing?: string) => ({ id, severity, standing, since: 0 }) as Alert;
  const alerts = [alert('a', 'critical', 'silenced'), alert('b', 'info', 'active'), alert('c', 'warning'), alert('d', 'warning', 'inhibited')];
  assert.deepEqual(worstFirst(alerts).map(({ id }) => id), ['c', 'b', 'a', 'd']);
  assert.deepEqual(alerts.filter(isActive).map(({ id }) => id), ['b', 'c']);
});

test('a group of one is not shown', () => {
  assert.deepEqual(worthShowing([group({ rule: 'a' }, 1), group({ rule: 'b' }, 1, 1)]).map(title), ['b']);
});

test('what is silenced is named with its labels, and broken labels are none', () => {
  assert.equal(nameOf({ rule: 'full', machine: 'db-1', labels: { mountpoint: '/' } }), 'full on db-1 \u00b7 /');
  assert.deepEqual(labelsOf('{"a":"b"}'), { a: 'b' });
  assert.deepEqual(labelsOf('{'), {});
});

test('a row passes with every word of the text, in any case, and its severity', () => {
  const row = { text: 'critical db-1 Disk-full 96 %', severity: 'critical' };
  assert.ok(passes({ text: 'DB-1 disk', severity: '' }, row));
  assert.ok(passes({ text: '', severity: 'critical' }, row));
  assert.ok(!passes({ text: 'db-1 cpu', severity: '' }, row));
  assert.ok(!passes({ text: 'db-1', severity: 'warning' }, row));
  for (const filter of [{ list: 'history', text: 'a b', severity: 'info' }, { list: 'active', text: '', severity: '' }] as const) assert.deepEqual(filterFrom(new URLSearchParams(filterQuery(filter))), filter);
});

test('the noisiest rules are those with most alerts; one alert is no noise', () => {
  const alert = (rule: string, machine: string, since: number, resolved: number | null): Alert => ({
    id: `${rule}${since}`, rule, machine, metric: 'm', labels: {}, severity: 'info', state: resolved === null ? 'firing' : 'resolved', operator: 'gt', threshold: 1, value: 1, unit: '1', since, resolved, summary: null,
  });
  const alerts = [alert('a', 'x', 0, 10), alert('b', 'x', 0, 10), alert('b', 'y', 20, null), alert('c', 'x', 0, 1), alert('c', 'x', 2, 3), alert('c', 'x', 4, 5)];
  assert.deepEqual(noisiest(alerts, 100).map(({ rule, fired, machines, firingMs }) => [rule, fired, machines, firingMs]), [['c', 3, 1, 3], ['b', 2, 2, 90]]);
});

test('a silence is called by what it fits', () => {
  assert.equal(fits({ rules: ['disk-full'], machines: ['db-*'], tags: { site: 'eu' }, labels: { mountpoint: '/' } }), 'rule disk-full, machine db-*, site eu, mountpoint /');
  assert.equal(fits({}), 'every alert');
});

test('all is clear since the last alert ended, which nobody knows while one fires', () => {
  const ended = (resolved: number | null): Alert => ({ resolved }) as Alert;
  assert.equal(clearSince([ended(3), ended(9), ended(5)]), 9);
  assert.equal(clearSince([ended(3), ended(null)]), null);
  assert.equal(clearSince([]), null);
});
