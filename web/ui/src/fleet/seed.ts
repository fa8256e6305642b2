// The past of the sparklines: when a row comes into view for the first time, its last quarter of an hour is asked for, so that a page
// just opened is not an empty one. From then on the line grows by live values.
//
// Kept true: one request at a time, for all rows that have come into view by then, each machine once; a failed one only means that its lines
// start now.

import { api } from '../api.ts';
import { SPAN_MS_MAX } from '../charts/spark.ts';
import type { FleetStore } from '../live/store.ts';

/** As many as the hub answers at once. */
const AT_ONCE = 24;
const POINTS = 90;
/** Rows that were scrolled past long ago are not worth a request any more. */
const QUEUE_MAX = 48;
const METRIC = 'system.cpu.utilization';
/** A bucket of the past has its lowest and its highest value, at their times: two of one kind are at most two buckets apart. */
export const SEED_GAP_MS = (2 * SPAN_MS_MAX) / (POINTS / 2);

export class SparkSeeder {
  private readonly store: FleetStore;
  private readonly now: () => number;
  private readonly onSeed: () => void;
  private readonly abort = new AbortController();
  private queue: string[] = [];
  private isRunning = false;

  constructor(store: FleetStore, now: () => number, onSeed: () => void) {
    this.store = store;
    this.now = now;
    this.onSeed = onSeed;
  }

  want(id: string): void {
    if (this.store.seeded.has(id)) return;
    this.store.seeded.add(id);
    this.queue.push(id);
    // What is pushed out may ask again when it is next in view.
    for (const dropped of this.queue.splice(0, Math.max(0, this.queue.length - QUEUE_MAX))) this.store.seeded.delete(dropped);
    if (this.isRunning) return;
    this.isRunning = true;
    // The rows beside it want theirs, too, and none of it is worth making the first picture wait.
    setTimeout(() => void this.run());
  }

  stop(): void {
    this.abort.abort();
    for (const id of this.queue) this.store.seeded.delete(id);
    this.queue = [];
  }

  private async run(): Promise<void> {
    // What came into view last is looked at now.
    for (let ids = this.queue.splice(-AT_ONCE); ids.length > 0; ids = this.queue.splice(-AT_ONCE)) await this.fetch(ids);
    this.isRunning = false;
  }

  private async fetch(ids: string[]): Promise<void> {
    const to = this.now();
    try {
      const { machines } = await api.historyOf(ids, { metrics: [METRIC], from: to - SPAN_MS_MAX, to, maxPoints: POINTS }, this.abort.signal);
      if (this.abort.signal.aborted) return;
      for (const { machine, series: [column] } of machines) if (column !== undefined) this.store.seedSpark(machine, column.t, column.v);
      this.onSeed();
    } catch {
      // The lines start with the first live value instead.
    }
  }
}
