// The frame that all charts share, in pixels, so that one time stands at one place down the whole page.

import { clockTime, dayMonth } from '../format.ts';

export const FRAME = { left: 68, right: 22, top: 8, bottom: 28 } as const;

const DAY_MS = 86_400_000;

/** A time on an axis: the finer the range, the finer the text. */
export function axisTime(ms: number, spanMs: number): string {
  if (spanMs > 4 * DAY_MS) return dayMonth(ms);
  const time = clockTime(ms);
  return spanMs > 10 * 60_000 ? time.slice(0, 5) : time;
}
