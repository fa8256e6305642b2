// The process lists that came while the page is open, so that a chart's crosshair can ask what ran at its instant.

import type { Processes } from '../protocol.ts';

/** Half an hour of lists that come every five seconds. */
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
