// The lines of one chart, from where the history ends to what comes live. Pure.
//
// Kept true: a sample stands in a line once, under the time at which it was measured, in the order of those times, wherever it came from.
// What neither the answer nor a message had (it was on its way to the disk, or a newer one took its place in the message) comes with `mend`.

import { append, merge } from '../charts/align.ts';
import type { HistorySeries, Machine } from '../protocol.ts';
import type { ChartColumn } from './columns.ts';
import { seriesKey } from './specs.ts';

/** The newest of each series, by its key. */
export type LivePoints = ReadonlyMap<string, readonly [time: number, value: number | null]>;

/** Messages that may come while an answer is on its way. */
const RECENT_MAX = 30;

export class Lines {
  columns: ChartColumn[] = [];
  private readonly recent: LivePoints[] = [];

  /** What the history answered; `isLive` when lines go on by themselves from there. */
  load(columns: ChartColumn[], isLive: boolean, from: number): void {
    this.columns = columns;
    // What came while the answer was on its way is not in it.
    if (isLive) for (const points of this.recent) this.grow(points, from);
  }

  /** To be used when lines go on by themselves, now or after the next answer. */
  remember(points: LivePoints): void {
    this.recent.push(points);
    if (this.recent.length > RECENT_MAX) this.recent.shift();
  }

  /** A series that did not change is told again under its old time, which adds nothing. */
  grow(points: LivePoints, from: number): void {
    for (const column of this.columns) {
      const point = points.get(column.key);
      if (point !== undefined) append(column, point[0], point[1], from);
    }
  }

  /** What the history has by now of the end of these lines; true when that is more than they had. */
  mend(series: readonly HistorySeries[]): boolean {
    const byKey = new Map(series.map((one) => [seriesKey(one.metric, one.labels), one]));
    return this.columns.filter((column) => merge(column, byKey.get(column.key) ?? { t: [], v: [] })).length > 0;
  }
}

/** The newest sample of each series that a machine told of, as a history of one. */
export function newestOf(machine: Machine | undefined): HistorySeries[] {
  return (machine?.series ?? []).flatMap((series, index) => {
    const time = machine?.times?.[index] ?? null;
    return time === null ? [] : [{ ...series, t: [time], v: [machine?.values?.[index] ?? null], min: null, max: null }];
  });
}
