// What the command palette finds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandOf, portOf, reachOf } from '../../src/fleet/adding.ts';
import type { Machine } from '../../src/protocol.ts';
import { commandsOf, found } from '../../src/shell/commands.ts';

const machine = (id: string, status: Machine['status'], tags = {}): Machine => ({
  id, status, tags, last_seen: 0, interval_ms: 5000, host: null, alerts: { warning: 0, critical: 0 },
  summary: { cpu: null, cpu_time: null, memory: null, swap: null, disk: null, disk_mount: null, net_rx: null, net_tx: null, load1: null, pressure: null, temperature: null, uptime: null },
});

const been: string[] = [];
const commands = commandsOf([machine('web-1', 'up', { site: 'eu' }), machine('db-1', 'down', { site: 'eu' }), machine('alerts-db', 'up')], {
  go: (path) => void been.push(path), theme: () => void been.push('theme'), pause: () => void been.push('pause'), help: () => void been.push('help'), add: () => void been.push('add'),
});
const labels = (text: string): string[] => found(commands, text).map(({ label }) => label);

test('without a text the screens come first', () => {
  assert.deepEqual(labels('').slice(0, 3), ['Fleet', 'Alerts', 'Rules']);
  assert.equal(labels('').length, 12);
});

test('every word must be found, in the name, the tags or what it is for', () => {
  assert.deepEqual(labels('site:eu'), ['db-1', 'web-1']);
  assert.deepEqual(labels('DOWN eu'), ['db-1']);
  assert.deepEqual(labels('dead letters'), ['Pipeline']);
  assert.deepEqual(labels('no such thing'), []);
});

test('what begins with the text stands before what only has it', () => {
  assert.deepEqual(labels('db'), ['db-1', 'alerts-db']);
  assert.deepEqual(labels('al'), ['Alerts', 'alerts-db']);
});

test('each leads where it says', () => {
  for (const text of ['settings', 'db-1', 'dark']) found(commands, text)[0]?.run();
  assert.deepEqual(been, ['/settings', '/machines/db-1', 'theme']);
});

test('the command of a machine to be added is one that a shell takes', () => {
  const adding = { origin: 'https://hub.example', host: 'hub.example', port: 50051, name: '', tags: '' };
  assert.equal(commandOf('program', adding), 'COLLECTOR_AGGREGATOR_URL=hub.example:50051 sysmonstm collector');
  assert.equal(commandOf('collector', { ...adding, name: 'db-1', tags: 'role=db,site=eu' }), 'COLLECTOR_AGGREGATOR_URL=hub.example:50051 COLLECTOR_MACHINE_ID=db-1 COLLECTOR_TAGS=role=db,site=eu sysmonstm-collector');
  assert.equal(commandOf('source', { ...adding, host: '::1', name: "ana's; rm" }), "COLLECTOR_AGGREGATOR_URL=[::1]:50051 COLLECTOR_MACHINE_ID='ana'\\''s; rm' cargo run --release -p collector");
  assert.equal(commandOf('demo', adding), 'sysmonstm synth run --hub https://hub.example --grpc hub.example:50051 --visible --name demo --machines 20 --duration 1h');
  assert.deepEqual([portOf('0.0.0.0:6000'), portOf('127.0.0.1:0'), portOf('')], [6000, null, null]);
  assert.deepEqual([reachOf('0.0.0.0:50051'), reachOf('') === '', reachOf('127.0.0.1:50051') === ''], ['', true, false]);
});
