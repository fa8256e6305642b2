// What the alerts screen says of groups and standings.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterFrom, filterQuery, type AlertFilter } from '../../src/alerts/filter.ts';
import { counts, title, worthShowing } from '../../src/alerts/groups.ts';
import { noisiest } from '../../src/alerts/noisy.ts';
import { Pace } from '../../src/alerts/pace.ts';
import { counted, leastMs, moreRows, moreWords, noteWords } from '../../src/alerts/paging.ts';
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

test('the filter lives in the address, which may not say anything', () => {
  for (const filter of [{ list: 'history', text: 'a b', severity: 'info' }, { list: 'active', text: '', severity: '' }] as const) assert.deepEqual(filterFrom(new URLSearchParams(filterQuery(filter))), filter);
  assert.deepEqual(filterFrom(new URLSearchParams('list=x&severity=bad')), { list: 'active', text: '', severity: '' });
  assert.equal(filterFrom(new URLSearchParams({ q: 'x'.repeat(300) })).text.length, 200);
});

test('a list says how many it has of how many, and how to see more', () => {
  const all = { text: '', severity: '' } as const;
  const said = (rows: number, total: number | null, next: string, filter: Pick<AlertFilter, 'text' | 'severity'> = all, page = rows): string[] => {
    const answered = { rows, total, next };
    return [counted(answered), moreWords(answered, page, 100), noteWords(answered, { list: 'active', ...filter }, 'All clear.')];
  };
  assert.deepEqual(said(0, 0, ''), ['', '', 'All clear.']);
  assert.deepEqual(said(0, 0, '', { text: 'a', severity: '' }), ['', '', 'No row is like that.']);
  assert.deepEqual(said(100, 1100, ''), ['100 of 1,100', 'Show more', '']);
  assert.deepEqual(said(1100, 1100, ''), ['1,100', '', '']);
  assert.deepEqual(said(5000, 6000, ''), ['5,000 of 6,000', '', 'No more are shown at once: words or a severity find the others.']);
  assert.deepEqual(said(100, null, '7.1'), ['newest 100', 'Show more of the last 7 days', '']);
  assert.deepEqual(said(130, null, '7.1', all, 30), ['newest 130', 'Look further back', '']);
  assert.deepEqual(said(0, null, '7.1'), ['', 'Look further back', 'Nothing like that among the newest.']);
  assert.deepEqual(said(252, null, ''), ['252', '', '']);
  assert.deepEqual([100, 600, 4900].map(moreRows), [600, 1100, 5000]);
  assert.deepEqual([0, 100, 1000, 1100, 5000].map(leastMs), [2000, 2000, 2000, 4000, 10000]);
});

test('what changes all the time is read once in its span, a burst as one, and at once when a person asks', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  let [runs, isPaused] = [0, false];
  const pace = new Pace(() => 2_000, () => { runs += 1; }, () => isPaused);
  pace.soon();
  assert.equal(runs, 1);
  for (let ms = 0; ms < 15_000; ms += 100) {
    pace.soon(500);
    context.mock.timers.tick(100);
  }
  assert.equal(runs, 8);
  pace.now();
  assert.equal(runs, 9);
  context.mock.timers.tick(10_000);
  assert.equal(runs, 9);
  pace.soon(500);
  assert.equal(runs, 9);
  context.mock.timers.tick(500);
  assert.equal(runs, 10);
  pace.soon();
  isPaused = true;
  context.mock.timers.tick(10_000);
  assert.equal(runs, 10);
  pace.now();
  assert.equal(runs, 11);
  pace.soon();
  pace.stop();
  isPaused = false;
  context.mock.timers.tick(10_000);
  assert.equal(runs, 11);
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
