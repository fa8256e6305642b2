// Fewer cells for the heat strip: the mean of each bucket of time, null where a bucket holds nothing.

import type { Column } from './align.ts';

export interface Buckets {
  from: number;
  to: number;
  count: number;
}

/** How many buckets a strip of this width gets: never narrower than a sample, or every other cell would be empty. */
export function bucketCount(from: number, to: number, stepMs: number, widthPx: number): number {
  const bySample = Math.max(1, Math.floor((to - from) / Math.max(1, stepMs)));
  const byWidth = Math.max(1, Math.floor(widthPx / 3));
  return Math.min(bySample, byWidth);
}

export function bucketMeans(column: Column, { from, to, count }: Buckets): (number | null)[] {
  const sums = new Array<number>(count).fill(0);
  const counts = new Array<number>(count).fill(0);
  const width = (to - from) / count;
  column.t.forEach((at, index) => {
    const value = column.v[index];
    if (value === null || value === undefined || at < from || at > to) return;
    const bucket = Math.min(count - 1, Math.floor((at - from) / width));
    sums[bucket] = (sums[bucket] ?? 0) + value;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  });
  return sums.map((sum, index) => {
    const n = counts[index] ?? 0;
    return n === 0 ? null : sum / n;
  });
}
