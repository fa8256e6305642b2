// What a chart says of the time under the crosshair: when it is, whether it is pinned, and why nothing was measured there.

import { bothTimes } from '../format.ts';
import type { Hole } from './align.ts';
import { isPinned } from './crosshair.ts';

/** No row has this number: its values are read as none. */
const NO_ROW = -1;

export interface Readout {
  /** The row that the legend reads out; null for the newest values. */
  shown: number | null;
  text: string;
}

/** Where the rows begin, with as much before them as there is between the first two. */
function beginning([first = Infinity, second = first]: readonly number[]): number {
  return first - (second - first);
}

/** `row` is the nearest one with data, `at` the time itself, in seconds like `x`. `whyNot` says why a hole is one. */
export function readAt(row: number | null, at: number | null, x: readonly number[], holes: readonly Hole[], whyNot: (atMs: number) => string = () => ''): Readout {
  if (row === null || at === null) return { shown: null, text: '' };
  const isBefore = at < beginning(x);
  const isHole = isBefore || holes.some(([from, to]) => from < at && at < to);
  const why = isBefore ? 'before the first there is' : isHole ? whyNot(at * 1000) : '';
  const parts = [bothTimes((isHole ? at : (x[row] ?? at)) * 1000)];
  if (isHole) parts.push(why === '' ? 'no data' : `no data: ${why}`);
  if (isPinned()) parts.push('pinned');
  return { shown: isHole ? NO_ROW : row, text: parts.join(' · ') };
}
