// Where the rows of the fleet table stand: lines of one row, or of several cards side by side, and heads of groups between them.
// Pure, so that only what is in view needs to exist.

export interface GroupHead {
  key: string;
  title: string;
  note: string;
}

/** What is listed, in order: a machine's id, or the head of the group that follows. */
export type Entry = string | GroupHead;

export interface LineOf {
  entries: Entry[];
  height: number;
  top: number;
}

export interface Shape {
  columns: number;
  rowHeight: number;
  headHeight: number;
}

export function linesOf(entries: readonly Entry[], { columns, rowHeight, headHeight }: Shape): LineOf[] {
  const lines: LineOf[] = [];
  let top = 0;
  const add = (line: Entry[], height: number): void => {
    lines.push({ entries: line, height, top });
    top += height;
  };
  let cards: Entry[] = [];
  const flush = (): void => {
    if (cards.length > 0) add(cards, rowHeight);
    cards = [];
  };
  for (const entry of entries) {
    if (typeof entry === 'string') {
      cards.push(entry);
      if (cards.length === columns) flush();
    } else {
      flush();
      add([entry], headHeight);
    }
  }
  flush();
  return lines;
}

/** The lines from `from` to `to`, as indices `[first, last)`; binary, for a fleet of thousands. */
export function inView(lines: readonly LineOf[], from: number, to: number): [first: number, last: number] {
  const firstEndingBelow = (y: number): number => {
    let [low, high] = [0, lines.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const line = lines[middle];
      if (line !== undefined && line.top + line.height <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const first = firstEndingBelow(from);
  return [first, Math.max(first, Math.min(lines.length, firstEndingBelow(to) + 1))];
}

export function heightOf(lines: readonly LineOf[]): number {
  const last = lines.at(-1);
  return last === undefined ? 0 : last.top + last.height;
}
