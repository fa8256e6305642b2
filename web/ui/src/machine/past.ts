// What happened to a machine, read from its alerts and its series: restarts, holes in its data, how much of each day it was heard.
// Pure: answers of the API in, lists out.

import { MACHINE_DOWN } from '../alerts/present.ts';
import type { Alert, HistorySeries, Machine } from '../protocol.ts';

export interface MachineEvent {
  at: number;
  kind: 'critical' | 'warning' | 'info' | 'resolved' | 'restart' | 'gap';
  title: string;
  /** How long it lasted; null while it lasts, undefined where that has no meaning. */
  lastedMs?: number | null;
}

type Points = Pick<HistorySeries, 't' | 'v'>;

const SECOND = 1000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** By then the hour that is over has been written. */
const SETTLED = 5 * 60_000;
/** Clocks and rounding: an uptime that falls by less is no restart. */
const RESTART_S = 30;

/** Newest first. `heard` is any series that comes with every sample, `uptime` tells restarts; either may be missing. */
export function eventsOf(alerts: readonly Alert[], heard: Points | undefined, uptime: Points | undefined, stepMs: number): MachineEvent[] {
  const events = [...alerts.flatMap(ofAlert), ...gaps(heard, stepMs), ...restarts(uptime)];
  return events.sort((a, b) => b.at - a.at);
}

function ofAlert({ rule, labels, severity, since, resolved, resolution }: Alert): MachineEvent[] {
  const title = [rule, ...Object.values(labels)].join(' · ');
  const fired: MachineEvent = { at: since, kind: severity, title, lastedMs: resolved === null ? null : resolved - since };
  if (resolved === null) return [fired];
  return [fired, { at: resolved, kind: 'resolved', title: resolution === 'rule_gone' ? `${title}: its rule is gone` : title }];
}

/** A hole is wider than three steps: one late sample is none. */
function gaps(heard: Points | undefined, stepMs: number): MachineEvent[] {
  const found: MachineEvent[] = [];
  let previous: number | null = null;
  heard?.t.forEach((at, index) => {
    if (heard.v[index] === null) return;
    if (previous !== null && at - previous > 3 * stepMs) found.push({ at: previous, kind: 'gap', title: 'no data', lastedMs: at - previous });
    previous = at;
  });
  return found;
}

function restarts(uptime: Points | undefined): MachineEvent[] {
  const found: MachineEvent[] = [];
  let previous: number | null = null;
  uptime?.v.forEach((value, index) => {
    const at = uptime.t[index];
    if (value === null || at === undefined) return;
    if (previous !== null && value < previous - RESTART_S) found.push({ at: at - value * SECOND, kind: 'restart', title: 'restarted' });
    previous = value;
  });
  return found;
}


/** Why a chart has nothing at a time, as far as the events tell. */
export function whyMissing(at: number, events: readonly MachineEvent[], machine: Pick<Machine, 'status' | 'last_seen'> | undefined): string {
  const isTail = machine?.last_seen != null && at > machine.last_seen;
  if (isTail) return machine.status === 'down' ? 'the machine is down' : 'nothing newer has come';
  const gap = events.find(({ kind, at: from, lastedMs }) => kind === 'gap' && from <= at && at <= from + (lastedMs ?? 0));
  if (gap === undefined) return 'only this source gave none';
  const until = gap.at + (gap.lastedMs ?? 0);
  // A machine that starts up is heard a little later.
  const isWithin = (event: MachineEvent): boolean => gap.at <= event.at && event.at <= until;
  if (events.some((event) => event.kind === 'restart' && isWithin(event))) return 'the machine restarted';
  return events.some((event) => event.title === MACHINE_DOWN && isWithin(event)) ? 'the machine was down' : 'the machine was not heard';
}

export interface Day {
  /** Its first moment. */
  at: number;
  /** How much of it the machine was heard, 0..1; null where nothing is known. */
  share: number | null;
}

/** The last `days` days, oldest first. `counts` has the samples of each whole hour that was written, of which a machine that is up sends `perHour`. */
export function daysOf(counts: Points | undefined, perHour: number, now: number, days: number): Day[] {
  const heard = new Map<number, number>();
  counts?.t.forEach((at, index) => heard.set(Math.floor(at / HOUR), Math.min(1, (counts.v[index] ?? 0) / perHour)));
  // It may have come in the middle of its first hour.
  const first = heard.size === 0 ? Infinity : Math.min(...heard.keys());
  heard.set(first, 1);
  const running = Math.floor((now - SETTLED) / HOUR);
  const today = Math.floor(now / DAY);
  return Array.from({ length: days }, (_, index) => {
    const day = today - days + 1 + index;
    const hours = Array.from({ length: 24 }, (_hour, hour) => day * 24 + hour).filter((hour) => hour >= first && hour < running);
    const sum = hours.reduce((all, hour) => all + (heard.get(hour) ?? 0), 0);
    return { at: day * DAY, share: hours.length === 0 ? null : sum / hours.length };
  });
}

/** Of all days that something is known of. */
export function shareOf(days: readonly Day[]): number | null {
  const known = days.flatMap(({ share }) => (share === null ? [] : [share]));
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length;
}
