// The past of the sparklines: when a row comes into view for the first time, its last quarter of an hour is asked for, so that a page
// just opened is not an empty one. From then on the line grows by live values.
//
// Kept true: a few requests at a time, newest wish first, each machine once; a failed one only means that the line starts now.

import { api } from '../api.ts';
import { SPAN_MS_MAX } from '../charts/spark.ts';
import type { FleetStore } from '../live/store.ts';

const AT_ONCE = 3;
const POINTS = 90;
/** Rows that were scrolled past long ago are not worth a request any more. */
const QUEUE_MAX = 40;
const METRIC = 'system.cpu.utilization';
/** A bucket of the past has its lowest and its highest value, at their times: two of one kind are at most two buckets apart. */
export const SEED_GAP_MS = (2 * SPAN_MS_MAX) / (POINTS / 2);

export class SparkSeeder {
  private readonly store: FleetStore;
  private readonly now: () => number;
  private readonly onSeed: () => void;
  private readonly abort = new AbortController();
  private queue: string[] = [];
  private running = 0;

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
    this.pump();
  }

  stop(): void {
    this.abort.abort();
    for (const id of this.queue) this.store.seeded.delete(id);
    this.queue = [];
  }

  private pump(): void {
    while (this.running < AT_ONCE) {
      const id = this.queue.pop();
      if (id === undefined) return;
      this.running += 1;
      void this.fetch(id).finally(() => {
        this.running -= 1;
        this.pump();
      });
    }
  }

  private async fetch(id: string): Promise<void> {
    const to = this.now();
    try {
      const { series } = await api.history(id, { metrics: [METRIC], from: to - SPAN_MS_MAX, to, maxPoints: POINTS }, this.abort.signal);
      const column = series[0];
      if (column === undefined || this.abort.signal.aborted) return;
      this.store.seedSpark(id, column.t, column.v);
      this.onSeed();
    } catch {
      // The line starts with the first live value instead.
    }
  }
}
