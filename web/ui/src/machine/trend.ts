// When a disk is full if it goes on as it did: a line through what was used. Pure.

interface Points {
  t: readonly number[];
  v: readonly (number | null)[];
}

const SECOND = 1000;
/** A shorter past says nothing of days. */
const SPAN_MS_MIN = 3_600_000;
/** What is farther away is no news. */
const DAYS_MAX = 60;

/** Seconds until the limit is reached, from the newest point on; null where it is not growing, hardly, or nothing can be said. */
export function secondsToFull({ t, v }: Points, limit: number): number | null {
  const known = t.flatMap((at, index) => (v[index] === null || v[index] === undefined ? [] : [{ x: at / SECOND, y: v[index] ?? 0 }]));
  const [first, last] = [known[0], known.at(-1)];
  if (first === undefined || last === undefined || (last.x - first.x) * SECOND < SPAN_MS_MIN) return null;
  const mean = (pick: (point: { x: number; y: number }) => number): number => known.reduce((sum, point) => sum + pick(point), 0) / known.length;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const perSecond = mean((point) => (point.x - x) * (point.y - y)) / mean((point) => (point.x - x) ** 2);
  const seconds = Math.max(0, limit - last.y) / perSecond;
  return perSecond > 0 && seconds <= DAYS_MAX * 86_400 ? seconds : null;
}
