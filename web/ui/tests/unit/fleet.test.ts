import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHidden } from '../../src/fleet/columns.ts';
import { matcher, nextSort, order, tagCounts, type Filter, type SortKey } from '../../src/fleet/order.ts';
import { Ring } from '../../src/live/ring.ts';
import { FleetStore, fold } from '../../src/live/store.ts';
import type { Alert, Hub, Machine, Update } from '../../src/protocol.ts';

interface Part {
  status?: Machine['status'];
  cpu?: number | null;
  critical?: number;
  warning?: number;
  tags?: Record<string, string>;
  /** When its CPU was measured. */
  time?: number;
}

function machine(id: string, { status = 'up', cpu = 0.1, critical = 0, warning = 0, tags = {}, time = 0 }: Part = {}): Machine {
  return {
    id, status, last_seen: 0, interval_ms: 5000, tags, host: null, alerts: { warning, critical },
    summary: { cpu, cpu_time: time, memory: null, swap: null, disk: null, disk_mount: null, net_rx: null, net_tx: null, load1: null, pressure: null, temperature: null, uptime: null },
  };
}

const ids = (machines: readonly Machine[]): string[] => machines.map(({ id }) => id);
const sorted = (machines: Machine[], key: SortKey, direction: 'ascending' | 'descending' = 'descending'): string[] => ids(order(machines, { key, direction }));

test('worst first: down, critical, stale, warning, then the busiest', () => {
  const fleet = [machine('idle'), machine('busy', { cpu: 0.9 }), machine('warned', { warning: 1 }), machine('stale', { status: 'stale' }), machine('critical', { critical: 1 }), machine('down', { status: 'down' })];
  assert.deepEqual(sorted(fleet, 'worst'), ['down', 'critical', 'stale', 'warned', 'busy', 'idle']);
});

test('small changes of load do not reorder the worst', () => {
  assert.deepEqual(sorted([machine('b', { cpu: 0.44 }), machine('a', { cpu: 0.41 })], 'worst'), ['a', 'b']);
});

test('names sort as people count', () => {
  assert.deepEqual(sorted([machine('web-10'), machine('web-9')], 'name', 'ascending'), ['web-9', 'web-10']);
});

test('an unknown value is last in both directions', () => {
  const fleet = [machine('unknown', { cpu: null }), machine('low', { cpu: 0.1 }), machine('high', { cpu: 0.9 })];
  assert.deepEqual(sorted(fleet, 'cpu'), ['high', 'low', 'unknown']);
  assert.deepEqual(sorted(fleet, 'cpu', 'ascending'), ['low', 'high', 'unknown']);
});

test('a second press turns the order round', () => {
  const first = nextSort({ key: 'worst', direction: 'descending' }, 'name');
  assert.deepEqual(first, { key: 'name', direction: 'ascending' });
  assert.deepEqual(nextSort(first, 'name'), { key: 'name', direction: 'descending' });
});

test('every word of the search must be found, tags by key and value', () => {
  const fleet = [machine('db-1', { tags: { role: 'db', site: 'eu' } }), machine('db-2', { tags: { role: 'db', site: 'us' } }), machine('web-1', { tags: { role: 'web', site: 'eu' } })];
  const found = (filter: Partial<Filter>): string[] => ids(fleet.filter(matcher({ text: '', status: 'all', tag: '', ...filter })));
  assert.deepEqual(found({ text: 'DB' }), ['db-1', 'db-2']);
  assert.deepEqual(found({ text: 'role:db site=eu' }), ['db-1']);
  assert.deepEqual(found({ tag: 'site:eu' }), ['db-1', 'web-1']);
  assert.deepEqual(found({ text: 'nothing' }), []);
});

test('the alerting filter asks for alerts, the others for the status', () => {
  const fleet = [machine('a', { warning: 1 }), machine('b', { status: 'down' })];
  const found = (status: Filter['status']): string[] => ids(fleet.filter(matcher({ text: '', status, tag: '' })));
  assert.deepEqual([found('alerting'), found('down'), found('up')], [['a'], ['b'], ['a']]);
});

test('tags are listed by how many machines carry them', () => {
  const fleet = [machine('a', { tags: { site: 'eu' } }), machine('b', { tags: { site: 'eu', role: 'db' } })];
  assert.deepEqual(tagCounts(fleet, 1), [{ tag: 'site:eu', machines: 2 }]);
});

test('a ring keeps the newest points and ignores what is not newer', () => {
  const ring = new Ring(3);
  for (const [time, value] of [[1, 10], [2, 20], [2, 99], [3, 30], [4, 40]] as const) ring.push(time, value);
  assert.deepEqual([0, 1, 2].map((index) => [ring.timeAt(index), ring.valueAt(index)]), [[2, 20], [3, 30], [4, 40]]);
});

test('updates that wait while paused fold into one: the newest wins, removals count', () => {
  const base: Update = { type: 'snapshot', seq: 1, time: 1, hub: { samples_per_s: 0, machines: { up: 0, stale: 0, down: 0 }, series: 0, clients: 0, latency_ms: { p50: null, p99: null, max: null }, degraded: [] }, machines: [machine('a', { cpu: 0.1 }), machine('b')], alerts: [], removed: [] };
  const folded = fold(base, { ...base, type: 'delta', seq: 2, machines: [machine('a', { cpu: 0.7 })], removed: ['b'] });
  assert.deepEqual([folded.type, ids(folded.machines), folded.machines[0]?.summary.cpu, folded.removed], ['snapshot', ['a'], 0.7, ['b']]);
});

test('hidden columns are those that were stored, and only columns that there are', () => {
  assert.deepEqual([...parseHidden(null)], ['temperature', 'uptime']);
  assert.deepEqual([...parseHidden('')], []);
  assert.deepEqual([...parseHidden('cpu nonsense name')], ['cpu']);
});

test('a snapshot has all alerts, whatever its machines: what it lacks is over', () => {
  globalThis.requestAnimationFrame = () => 0;
  const store = new FleetStore();
  const alert = (id: string, name: string) => ({ id, machine: name, rule: 'r', severity: 'warning', state: 'firing' }) as Alert;
  const update = (type: 'snapshot' | 'delta', alerts: Alert[]) => ({ type, seq: 1, time: 0, hub: {} as Hub, machines: [], alerts, removed: [] });
  const [fleet, one] = [{ machines: ['*'], detail: 'summary', rate_ms: 0 } as const, { machines: ['a'], detail: 'full', rate_ms: 0 } as const];
  store.apply(update('snapshot', [alert('1', 'a'), alert('2', 'b'), alert('3', 'b')]), { ...fleet, machines: ['*'] });
  store.apply(update('snapshot', [alert('2', 'b'), alert('4', 'c')]), { ...one, machines: ['a'] });
  store.apply(update('delta', [{ ...alert('4', 'c'), state: 'resolved' }, alert('5', 'a')]), { ...one, machines: ['a'] });
  assert.deepEqual([...store.alerts.keys()], ['2', '5']);
});

test('a sample that the past and a message have stands in the line once, under the time at which it was measured', () => {
  globalThis.requestAnimationFrame = () => 0;
  const store = new FleetStore();
  for (const time of [10_000, 15_000, 20_000]) store.mergeMachine({ ...machine('a', { time }), last_seen: time + 2_700 });
  store.seedSpark('a', [5_000, 10_000, 15_000], [0.1, 0.2, 0.3]);
  const ring = store.sparks.get('a');
  assert.deepEqual(Array.from({ length: ring?.length ?? 0 }, (_, at) => ring?.timeAt(at)), [5_000, 10_000, 15_000, 20_000]);
  store.mergeMachine(machine('b', { time: 10_000 }));
  store.seedSpark('b', [], []);
  assert.equal(store.sparks.get('b')?.length, 1);
});
