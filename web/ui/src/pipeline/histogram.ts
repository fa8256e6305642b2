// The histogram of a latency, from its percentiles. Pure.

/** A share of how many fell into each bucket of latency, from percentiles: `[[50, 1.2], [99, 4]]`. */
export interface Bucket {
  fromMs: number;
  toMs: number;
  share: number;
}

/** Four buckets to each factor of ten: fine enough to see two humps. */
const BUCKETS_PER_DECADE = 4;

export function histogram(curve: readonly (readonly [percent: number, ms: number])[]): Bucket[] {
  const known = curve.filter(([, ms]) => ms > 0);
  const [first, last] = [known[0], known.at(-1)];
  if (first === undefined || last === undefined) return [];
  const index = (ms: number): number => Math.floor(Math.log10(ms) * BUCKETS_PER_DECADE);
  const edge = (at: number): number => 10 ** (at / BUCKETS_PER_DECADE);
  const shares = new Map<number, number>();
  let before = 0;
  for (const [percent, ms] of known) {
    shares.set(index(ms), (shares.get(index(ms)) ?? 0) + Math.max(0, percent - before));
    before = Math.max(before, percent);
  }
  const buckets: Bucket[] = [];
  for (let at = index(first[1]); at <= index(last[1]); at += 1) buckets.push({ fromMs: edge(at), toMs: edge(at + 1), share: (shares.get(at) ?? 0) / 100 });
  return buckets;
}
