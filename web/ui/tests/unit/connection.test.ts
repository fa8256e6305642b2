import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs, initial, step, type Connection, type Effect, type Event } from '../../src/live/connection.ts';
import type { ServerMessage } from '../../src/protocol.ts';

const hello: ServerMessage = { type: 'hello', protocol: 1, server_time: 0, session: 's', version: 'v', seq: 0 };
const hub = { samples_per_s: 0, machines: { up: 0, stale: 0, down: 0 }, series: 0, clients: 0, latency_ms: { p50: null, p99: null, max: null }, degraded: [] };
const update = (type: 'snapshot' | 'delta', seq: number): ServerMessage => ({ type, seq, time: 0, hub, machines: [], alerts: [], removed: [] });
const message = (one: ServerMessage, now = 0): Event => ({ kind: 'message', message: one, now });

/** Feeds events in turn; the effects are those of the last one. */
function run(...events: Event[]): [Connection, Effect[]] {
  let state = initial(0);
  let effects: Effect[] = [];
  for (const event of events) [state, effects] = step(state, event);
  return [state, effects];
}

const opening: Event[] = [{ kind: 'opened', now: 0 }, message(hello), { kind: 'subscribed', resumes: false }];

test('a hello is answered with a subscription, and a snapshot makes the connection live', () => {
  assert.deepEqual(run({ kind: 'opened', now: 0 }, message(hello))[1], [{ do: 'subscribe', resume: null }]);
  const [state, effects] = run(...opening, message(update('snapshot', 1)));
  assert.equal(state.phase, 'live');
  assert.deepEqual(effects, [{ do: 'apply' }]);
});

test('nothing is applied between a subscription and its snapshot', () => {
  assert.deepEqual(run(...opening, message(update('delta', 1)))[1], []);
  assert.deepEqual(run(...opening, message(update('snapshot', 1)), { kind: 'subscribed', resumes: false }, message(update('delta', 2)))[1], []);
});

test('a missing sequence number asks for everything anew and applies nothing', () => {
  const [state, effects] = run(...opening, message(update('snapshot', 1)), message(update('delta', 3)));
  assert.deepEqual(effects, [{ do: 'subscribe', resume: null }]);
  assert.equal(state.awaitsSnapshot, true);
});

test('an error message counts in the sequence', () => {
  const refused: ServerMessage = { type: 'error', seq: 2, detail: 'no' };
  assert.deepEqual(run(...opening, message(update('snapshot', 1)), message(refused), message(update('delta', 3)))[1], [{ do: 'apply' }]);
});

test('the wait doubles from half a second to half a minute, at least half of it fixed', () => {
  assert.deepEqual([0, 1, 2, 10, 500].map((attempt) => backoffMs(attempt, 1)), [500, 1000, 2000, 30_000, 30_000]);
  assert.equal(backoffMs(0, 0), 250);
});

test('a loss keeps the time of the newest message until a snapshot comes', () => {
  const lost: Event = { kind: 'closed', now: 100, random: 1 };
  const [state, effects] = run(...opening, { ...message(update('snapshot', 1)), now: 90 } as Event, lost, { kind: 'closed', now: 700, random: 1 });
  assert.equal(state.lostAt, 90);
  assert.deepEqual(effects, [{ do: 'connect', afterMs: 1000 }]);
  const [back] = step(step(step(state, { kind: 'opened', now: 800 })[0], message(hello))[0], message(update('snapshot', 1)));
  assert.deepEqual([back.lostAt, back.attempt, back.phase], [null, 0, 'live']);
});

test('silence is probed once, and an unanswered probe closes the socket', () => {
  const [probing, asked] = run(...opening, message(update('snapshot', 1)), { kind: 'tick', now: 15_000 });
  assert.deepEqual(asked, [{ do: 'subscribe', resume: null }]);
  assert.deepEqual(step(probing, { kind: 'tick', now: 20_000 })[1], []);
  assert.deepEqual(step(probing, { kind: 'tick', now: 25_000 })[1], [{ do: 'close' }]);
});

test('a connection to the same hub goes on from what the one before had told, another one starts anew', () => {
  const from = (instance: string): ServerMessage => ({ ...hello, instance }) as ServerMessage;
  const at = (one: ServerMessage, version: number): ServerMessage => ({ ...one, at: version }) as ServerMessage;
  const told: Event[] = [
    { kind: 'opened', now: 0 }, message(from('a')), { kind: 'subscribed', resumes: false },
    message(at(update('snapshot', 1), 0)), message(at(update('delta', 2), 7)), message(at(update('delta', 3), 9)),
  ];
  const again: Event[] = [{ kind: 'closed', now: 5, random: 1 }, { kind: 'opened', now: 6 }];
  const [back, effects] = run(...told, ...again, message(from('a')));
  assert.deepEqual(effects, [{ do: 'subscribe', resume: { instance: 'a', at: 9 } }]);
  assert.deepEqual([back.phase, back.lostAt], ['live', null]);
  const [resumed] = step(back, { kind: 'subscribed', resumes: true });
  assert.deepEqual(step(resumed, message(at(update('delta', 1), 12)))[1], [{ do: 'apply' }]);
  assert.deepEqual(step(resumed, message(at(update('snapshot', 1), 12)))[1], [{ do: 'apply' }]);
  assert.deepEqual(run(...told, ...again, message(from('b')))[1], [{ do: 'subscribe', resume: null }]);
  // Neither from the middle of a snapshot, nor when another screen asks for something else meanwhile.
  assert.deepEqual(run(...told.slice(0, 4), ...again, message(from('a')))[1], [{ do: 'subscribe', resume: null }]);
  const [, other] = run(...told, { kind: 'closed', now: 5, random: 1 }, { kind: 'subscribed', resumes: false }, ...again.slice(1), message(from('a')));
  assert.deepEqual(other, [{ do: 'subscribe', resume: null }]);
});
