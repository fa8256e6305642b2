// From the columns of a history answer to the rows that uPlot draws: one shared time axis, gaps as gaps, stacks added up.
//
// Kept true: no value is invented. Two neighbours of a series farther apart than two steps get a null between them, which uPlot
// leaves open; `undefined` marks a time that only another series has, which uPlot draws across.

export interface Column {
  /** Milliseconds, ascending. */
  t: readonly number[];
  v: readonly (number | null)[];
}

/** What is under way is not missing: a minute is closed some time after its end. */
const TAIL_S = 150;

export type Cell = number | null | undefined;

export interface Aligned {
  /** Seconds, as uPlot counts. */
  x: number[];
  ys: Cell[][];
}

/** The same column with one null placed into every hole wider than two steps. */
export function withGaps(column: Column, stepMs: number): Column {
  const t: number[] = [];
  const v: (number | null)[] = [];
  let previous: number | null = null;
  for (let index = 0; index < column.t.length; index += 1) {
    const at = column.t[index];
    if (at === undefined) continue;
    if (previous !== null && at - previous > 2 * stepMs) {
      t.push(previous + stepMs);
      v.push(null);
    }
    t.push(at);
    v.push(column.v[index] ?? null);
    previous = at;
  }
  return { t, v };
}

/** All columns on the union of their times. */
export function align(columns: readonly Column[]): Aligned {
  const times = new Set<number>();
  for (const column of columns) for (const at of column.t) times.add(at);
  const sorted = [...times].sort((a, b) => a - b);
  const row = new Map(sorted.map((at, index) => [at, index]));
  const ys = columns.map((column) => {
    const cells = new Array<Cell>(sorted.length).fill(undefined);
    column.t.forEach((at, index) => {
      const slot = row.get(at);
      if (slot !== undefined) cells[slot] = column.v[index] ?? null;
    });
    // A gap lasts until the next value, over the times that only others have: a line would be drawn across them.
    let isGap = false;
    cells.forEach((cell, index) => {
      if (cell !== undefined) isGap = cell === null;
      else if (isGap) cells[index] = null;
    });
    return cells;
  });
  return { x: sorted.map((at) => at / 1000), ys };
}

/** Running sums, bottom first. A time at which no series has a value stays a gap; a series that lacks one value adds nothing there. */
export function stack(ys: readonly Cell[][]): Cell[][] {
  const length = ys[0]?.length ?? 0;
  const sums: Cell[][] = ys.map(() => new Array<Cell>(length).fill(null));
  for (let at = 0; at < length; at += 1) {
    if (ys.every((cells) => cells[at] === null || cells[at] === undefined)) continue;
    let sum = 0;
    ys.forEach((cells, index) => {
      sum += cells[at] ?? 0;
      const into = sums[index];
      if (into !== undefined) into[at] = sum;
    });
  }
  return sums;
}

/** In seconds. */
export type Hole = readonly [from: number, to: number];

/** Where no series has a value for more than two steps. After the newest value there is a hole, too, once it is as old. */
export function holes({ x, ys }: Aligned, stepMs: number, untilMs: number): Hole[] {
  const found: Hole[] = [];
  const least = (2 * stepMs) / 1000;
  let previous: number | null = null;
  const mark = (at: number, atLeast: number): void => {
    if (previous !== null && at - previous > atLeast) found.push([previous, at]);
  };
  x.forEach((at, row) => {
    if (!ys.some((cells) => typeof cells[row] === 'number')) return;
    mark(at, least);
    previous = at;
  });
  mark(untilMs / 1000, Math.max(least, TAIL_S));
  return found;
}

/** Appends a live point; a time that is not newer than the last one is ignored. Points before `from` leave. */
export function append(column: { t: number[]; v: (number | null)[] }, at: number, value: number | null, from: number): void {
  const last = column.t.at(-1);
  if (last !== undefined && at <= last) return;
  column.t.push(at);
  column.v.push(value);
  let stale = 0;
  while ((column.t[stale] ?? Infinity) < from) stale += 1;
  if (stale > 0) {
    column.t.splice(0, stale);
    column.v.splice(0, stale);
  }
}

/** Puts samples that came later in their places; of two at one time the first stands. False when none was new. */
export function merge(column: { t: number[]; v: (number | null)[] }, more: Column): boolean {
  const known = new Set(column.t);
  const added = more.t.flatMap((at, index) => (known.has(at) ? [] : [[at, more.v[index] ?? null] as const]));
  if (added.length === 0) return false;
  const all = [...column.t.map((at, index) => [at, column.v[index] ?? null] as const), ...added].sort(([a], [b]) => a - b);
  column.t.splice(0, Infinity, ...all.map(([at]) => at));
  column.v.splice(0, Infinity, ...all.map(([, value]) => value));
  return true;
}
