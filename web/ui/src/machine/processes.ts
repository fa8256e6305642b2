// What ran at the instant under the crosshair: of the lists that came while the page is open, else of those that the hub has kept.

import { messageOf } from '../api.ts';
import { bytes, clockTime, percent } from '../format.ts';
import type { Processes } from '../protocol.ts';
import type { ProcessOrder } from './specs.ts';

/** A list with its time in words; without one, why. */
export interface ShownProcesses {
  list: Processes | null;
  note: string;
}

/** Processes that fit into a line; the lists below the charts have more. */
const TOP = 3;

/** What stands below a chart; empty where there is nothing to say. */
export function topLine({ list, note }: ShownProcesses, order: ProcessOrder): string {
  if (list === null) return note === '' ? '' : `Top processes, ${note}`;
  const names = list[order].slice(0, TOP).map(({ name, cpu, memory }) => `${name} ${order === 'by_cpu' ? percent(cpu) : bytes(memory)}`);
  return `Top processes${note === '' ? '' : ` ${note}`}: ${names.length === 0 ? 'no process to speak of' : names.join(', ')}`;
}

/** An hour and a half of lists that come with each third frame of five seconds. */
const LISTS_MAX = 360;
/** Between two lists the older one holds, for so many of their distances. */
const HOLDS = 1.5;
const DISTANCE_MS_MIN = 5_000;

export class ProcessLog {
  private readonly lists: Processes[] = [];

  /** A list that is known, or older than the newest, is passed over. */
  add(list: Processes | null | undefined): void {
    if (list === null || list === undefined || list.time <= (this.lists.at(-1)?.time ?? 0)) return;
    this.lists.push(list);
    if (this.lists.length > LISTS_MAX) this.lists.shift();
  }

  get newest(): Processes | null {
    return this.lists.at(-1) ?? null;
  }

  /** What ran at an instant; null where no list says so. */
  at(ms: number): Processes | null {
    const index = this.lists.findLastIndex(({ time }) => time <= ms);
    const [found, next] = [this.lists[index], this.lists[index + 1]];
    if (found === undefined) {
      const first = this.lists[0];
      return first !== undefined && first.time - ms <= this.distance() ? first : null;
    }
    if (next !== undefined && next.time - ms < ms - found.time) return next.time - ms <= this.distance() * HOLDS ? next : null;
    return ms - found.time <= this.distance() * HOLDS ? found : null;
  }

  /** Between the two newest lists. */
  private distance(): number {
    const [before, last] = [this.lists.at(-2), this.lists.at(-1)];
    return Math.max(DISTANCE_MS_MIN, before === undefined || last === undefined ? 0 : last.time - before.time);
  }
}

const MINUTE_MS = 60_000;
/** A crosshair that moves on within this asks nothing. */
const REST_MS = 120;
/** Minutes remembered: a day is 1,440 of them, and nobody rests on each. */
const MINUTES_MAX = 500;
/** A minute that was not over when it was asked for may have a busier list by now, and one without any may have one. */
const FRESH_MS = 15_000;

interface Answer {
  list: Processes | null;
  /** Why there is none, where that is not because nothing is known. */
  failure: string | null;
  isLasting: boolean;
  at: number;
}

export interface Asking {
  ask(at: number, signal: AbortSignal): Promise<Processes | null>;
  /** An answer is there. */
  answered(): void;
  now(): number;
}

/** The hub has a list of each minute; each is asked for once, when the crosshair rests on it. */
export class PastProcesses {
  private readonly asking: Asking;
  private readonly answers = new Map<number, Answer>();
  private request: { minute: number; abort: AbortController; timer: ReturnType<typeof setTimeout> } | null = null;

  constructor(asking: Asking) {
    this.asking = asking;
  }

  at(ms: number): ShownProcesses {
    const minute = Math.floor(ms / MINUTE_MS);
    const known = this.answers.get(minute);
    if (known === undefined || (!known.isLasting && this.asking.now() - known.at > FRESH_MS)) this.seek(minute, ms);
    else this.stop();
    if (known === undefined) return { list: null, note: `${clockTime(ms)}: looking it up` };
    if (known.list !== null) return { list: known.list, note: `at ${clockTime(known.list.time)}` };
    return { list: null, note: `${clockTime(ms)}: ${known.failure ?? 'nothing is known'}` };
  }

  /** The crosshair is gone, and nobody waits for an answer. */
  stop(): void {
    if (this.request === null) return;
    clearTimeout(this.request.timer);
    this.request.abort.abort();
    this.request = null;
  }

  private seek(minute: number, ms: number): void {
    if (this.request?.minute === minute) return;
    this.stop();
    const abort = new AbortController();
    const timer = setTimeout(() => void this.fetch(minute, ms, abort.signal), REST_MS);
    this.request = { minute, abort, timer };
  }

  private async fetch(minute: number, ms: number, signal: AbortSignal): Promise<void> {
    let found: { list: Processes | null; failure: string | null };
    try {
      found = { list: await this.asking.ask(ms, signal), failure: null };
    } catch (error) {
      found = { list: null, failure: messageOf(error) };
    }
    if (signal.aborted) return;
    this.request = null;
    const at = this.asking.now();
    this.answers.delete(minute);
    this.answers.set(minute, { ...found, at, isLasting: found.list !== null && (minute + 1) * MINUTE_MS + FRESH_MS < at });
    const oldest = this.answers.keys().next();
    if (this.answers.size > MINUTES_MAX && oldest.done !== true) this.answers.delete(oldest.value);
    this.asking.answered();
  }
}
