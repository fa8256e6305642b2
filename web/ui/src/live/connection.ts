// The life of the live connection as a pure state machine: what to do when the socket opens, speaks, falls silent or closes.
// client.ts feeds it events and carries out the effects, so every rule about reconnecting is tested without a network.
//
// Kept true: `seq` rises by one or the state is asked for anew; nothing is applied between a subscribe and its snapshot, unless the
// subscribe goes on from what an earlier connection to the same hub had told, of the same subscription;
// the wait between two attempts doubles from 0.5 s to 30 s, with jitter so that a restarted hub is not hit by all browsers at once.

import type { Resume, ServerMessage } from '../protocol.ts';

export type Phase = 'connecting' | 'live' | 'reconnecting';

export interface Connection {
  phase: Phase;
  /** Failed attempts since the last snapshot. */
  attempt: number;
  lastSeq: number | null;
  awaitsSnapshot: boolean;
  /** The hub's run that the state is from, and how far its picture is told; null where that is not whole. */
  instance: string | null;
  at: number | null;
  lastMessageAt: number;
  /** Of when what is shown is, while there is no connection. */
  lostAt: number | null;
  probing: boolean;
}

export type Event =
  | { kind: 'opened'; now: number }
  | { kind: 'message'; message: ServerMessage; now: number }
  | { kind: 'closed'; now: number; random: number }
  | { kind: 'tick'; now: number }
  | { kind: 'subscribed'; resumes: boolean };

export type Effect =
  | { do: 'subscribe'; resume: Resume | null }
  | { do: 'apply' }
  | { do: 'close' }
  | { do: 'connect'; afterMs: number };

const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** The hub pings unseen by scripts, and a quiet fleet sends nothing: after this long we ask for a snapshot as a sign of life. A hub at work
 * tells of its own figures every second, so a longer silence would only call a hub that stands still live. */
const SILENCE_MS = 15_000;
const PROBE_ANSWER_MS = 10_000;

export function initial(now: number): Connection {
  return { phase: 'connecting', attempt: 0, lastSeq: null, awaitsSnapshot: true, instance: null, at: null, lastMessageAt: now, lostAt: null, probing: false };
}

/** Half of the doubled wait is fixed and half is random. */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}

export function step(state: Connection, event: Event): [Connection, Effect[]] {
  switch (event.kind) {
    case 'opened':
      return [{ ...state, lastSeq: null, awaitsSnapshot: true, lastMessageAt: event.now, probing: false }, []];
    case 'subscribed':
      return [event.resumes ? state : { ...state, awaitsSnapshot: true, at: null }, []];
    case 'message':
      return onMessage(state, event.message, event.now);
    case 'closed':
      return [
        { ...state, phase: 'reconnecting', attempt: state.attempt + 1, lostAt: state.lostAt ?? (state.phase === 'live' ? state.lastMessageAt : event.now), probing: false },
        [{ do: 'connect', afterMs: backoffMs(state.attempt, event.random) }],
      ];
    case 'tick':
      return onTick(state, event.now);
  }
}

function onMessage(state: Connection, message: ServerMessage, now: number): [Connection, Effect[]] {
  const heard: Connection = { ...state, lastSeq: message.seq, lastMessageAt: now, probing: false };
  if (message.type === 'hello') return onHello(state, heard, message.instance ?? null);
  const isMissing = state.lastSeq !== null && message.seq !== state.lastSeq + 1;
  if (message.type === 'snapshot') {
    const at = message.at || null;
    return [{ ...heard, phase: 'live', attempt: 0, awaitsSnapshot: false, lostAt: null, at }, [{ do: 'apply' }]];
  }
  if (isMissing && !state.awaitsSnapshot) return [{ ...heard, awaitsSnapshot: true, at: null }, [{ do: 'subscribe', resume: null }]];
  if (message.type === 'error' || state.awaitsSnapshot) return [heard, []];
  return [{ ...heard, at: message.at || null }, [{ do: 'apply' }]];
}

/** The same hub is asked for what we missed: until it comes the state is what it was, so the connection counts as live again. */
function onHello(state: Connection, heard: Connection, instance: string | null): [Connection, Effect[]] {
  const resume = instance !== null && instance === state.instance && state.at !== null ? { instance, at: state.at } : null;
  if (resume === null) return [{ ...heard, instance, at: null }, [{ do: 'subscribe', resume }]];
  return [{ ...heard, phase: 'live', attempt: 0, awaitsSnapshot: false, lostAt: null }, [{ do: 'subscribe', resume }]];
}

function onTick(state: Connection, now: number): [Connection, Effect[]] {
  if (state.phase === 'reconnecting') return [state, []];
  const silence = now - state.lastMessageAt;
  if (state.probing && silence >= SILENCE_MS + PROBE_ANSWER_MS) return [state, [{ do: 'close' }]];
  if (!state.probing && silence >= SILENCE_MS) return [{ ...state, probing: true }, [{ do: 'subscribe', resume: null }]];
  return [state, []];
}
