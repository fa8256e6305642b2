import assert from 'node:assert/strict';
import { test } from 'node:test';
import { daysOf, eventsOf, shareOf } from '../../src/machine/past.ts';
import type { Alert } from '../../src/protocol.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const alert = (since: number, resolved: number | null, resolution: Alert['resolution'] = 'value'): Alert => ({
  id: String(since), rule: 'disk-full', machine: 'a', metric: 'm', labels: { mountpoint: '/' }, severity: 'warning', state: resolved === null ? 'firing' : 'resolved',
  operator: 'gt', threshold: 1, value: 2, unit: '1', since, resolved, resolution, summary: null,
});

const told = (events: ReturnType<typeof eventsOf>): string[] => events.map(({ at, kind, title, lastedMs }) => `${at} ${kind} ${title} ${lastedMs}`);

test('an alert is two events once it has resolved, and one while it fires', () => {
  assert.deepEqual(told(eventsOf([alert(5000, 9000), alert(7000, null)], undefined, undefined, 1000)), [
    '9000 resolved disk-full · / undefined', '7000 warning disk-full · / null', '5000 warning disk-full · / 4000',
  ]);
  assert.match(told(eventsOf([alert(1000, 2000, 'rule_gone')], undefined, undefined, 1000))[0] ?? '', /its rule is gone/);
});

test('a hole of more than three steps is a gap, and so is one that nulls fill', () => {
  const heard = { t: [0, 1000, 4000, 8001, 9000, 10_000, 13_000], v: [1, 1, 1, 1, null, null, 1] };
  assert.deepEqual(told(eventsOf([], heard, undefined, 1000)), ['8001 gap no data 4999', '4000 gap no data 4001']);
});

test('an uptime that falls is a restart at the time that it counts from', () => {
  const uptime = { t: [0, 60_000, 120_000, 180_000], v: [5000, 5060, 40, 100] };
  assert.deepEqual(told(eventsOf([], undefined, uptime, 60_000)), ['80000 restart restarted undefined']);
  assert.deepEqual(eventsOf([], undefined, { t: [0, 60_000], v: [5000, 4990] }, 60_000), []);
});

test('a day counts the hours since the machine was first heard, and not the one that runs', () => {
  const now = 10 * DAY + 4 * HOUR + 600_000;
  const counts = { t: [9 * DAY + 20 * HOUR, 9 * DAY + 21 * HOUR, 9 * DAY + 23 * HOUR, 10 * DAY, 10 * DAY + HOUR, 10 * DAY + 2 * HOUR, 10 * DAY + 3 * HOUR], v: [300, 720, 720, 720, 360, 720, 1440] };
  const days = daysOf(counts, 720, now, 3);
  assert.deepEqual(days.map(({ at, share }) => [at / DAY, share]), [[8, null], [9, 0.75], [10, 0.875]]);
  assert.equal(shareOf(days), 0.8125);
  const justOver = daysOf({ t: counts.t.slice(0, -1), v: counts.v.slice(0, -1) }, 720, now - 540_000, 3);
  assert.equal(justOver[2]?.share, 2.5 / 3, 'an hour that ended a minute ago is not written yet');
  assert.equal(shareOf(daysOf(undefined, 720, now, 3)), null);
});
