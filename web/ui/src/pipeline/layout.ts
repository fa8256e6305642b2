// Where the operators of the dataflow stand in its picture, and the ways of its lines: columns by how far from the source, lines only
// between operators that are drawn. Pure. What has no figures of its own (maps, filters, concatenations) is not drawn: its edges are joined.
//
// Kept true: a line runs through columns of its own rows, never behind a box; where a longer way leads to the same operator, only that
// one is drawn, for the picture shows what depends on what, and a dozen short cuts would hide it.

export interface Edge {
  source: string;
  target: string;
}

export interface Placed {
  name: string;
  column: number;
  /** From the top, in boxes, to the middle of the box. */
  row: number;
}

/** From one operator to another, through the columns between them. */
export interface Line extends Edge {
  through: { column: number; row: number }[];
}

export interface Layout {
  nodes: Placed[];
  lines: Line[];
  columns: number;
  rows: number;
}

/** The dataflow has a few dozen channels; a graph that is larger by mistake must not hang the page. */
const EDGES_MAX = 2_000;
/** What a line takes where it passes a column, in boxes. */
const LANE = 0.3;
/** After so many looks in both directions little gets better. */
const SWEEPS = 6;

/** A place in a column: of an operator, or of a line that passes. */
interface Slot {
  name: string | null;
  row: number;
  before: Slot[];
  after: Slot[];
}

export function layout(drawn: readonly string[], channels: readonly Edge[]): Layout {
  const edges = forward(drawn, joined(drawn, channels.slice(0, EDGES_MAX)));
  const led = reached(drawn[0], edges);
  const names = drawn.filter((name) => led.has(name));
  const shown = edges.filter((edge) => led.has(edge.source) && !isShortCut(edge, edges));
  const column = columnsOf(names, shown);
  const slots = new Map(names.map((name) => [name, slotOf(name)]));
  const grid: Slot[][] = Array.from({ length: Math.max(0, ...column.values()) + 1 }, () => []);
  for (const [name, slot] of slots) grid[column.get(name) ?? 0]?.push(slot);
  const chains = shown.map((edge) => chain(edge, slots, column, grid));
  arrange(grid);
  const rows = heightOf(grid);
  const nodes = names.map((name) => ({ name, column: column.get(name) ?? 0, row: slots.get(name)?.row ?? 0 }));
  const lines = shown.map((edge, index) => ({ ...edge, through: (chains[index] ?? []).map(({ row }, step) => ({ column: (column.get(edge.source) ?? 0) + 1 + step, row })) }));
  // What is fed by operators without figures has no known way from the source: it stands below, in flow order.
  const others = drawn.filter((name) => !led.has(name)).map((name, index) => ({ name, column: index % grid.length, row: rows + Math.floor(index / grid.length) + 0.5 }));
  return { nodes: [...nodes, ...others], lines, columns: grid.length, rows: rows + Math.ceil(others.length / grid.length) };
}

const slotOf = (name: string | null): Slot => ({ name, row: 0, before: [], after: [] });
const sizeOf = ({ name }: Slot): number => (name === null ? LANE : 1);
const heightOf = (grid: readonly Slot[][]): number => Math.max(0, ...grid.map((slots) => slots.reduce((sum, slot) => sum + sizeOf(slot), 0)));

/** Without edges back against the order of `drawn` (a feedback). */
function forward(drawn: readonly string[], edges: readonly Edge[]): Edge[] {
  const order = new Map(drawn.map((name, index) => [name, index]));
  return edges.filter(({ source, target }) => (order.get(source) ?? 0) < (order.get(target) ?? 0));
}

function isShortCut({ source, target }: Edge, edges: readonly Edge[]): boolean {
  return edges.some((first) => first.source === source && first.target !== target && reached(first.target, edges).has(target));
}

/** The longest way from the source; what leads to more than it comes from stands as near to that as it can. */
function columnsOf(names: readonly string[], edges: readonly Edge[]): Map<string, number> {
  const column = new Map<string, number>();
  const of = (name: string): number => column.get(name) ?? 0;
  for (const name of names) column.set(name, Math.max(-1, ...edges.filter(({ target }) => target === name).map(({ source }) => of(source))) + 1);
  for (const name of [...names].reverse()) {
    const after = edges.filter(({ source }) => source === name);
    if (after.length > edges.filter(({ target }) => target === name).length) column.set(name, Math.max(of(name), Math.min(...after.map(({ target }) => of(target))) - 1));
  }
  // Nothing comes before the source.
  const [first] = names;
  if (first !== undefined) column.set(first, 0);
  return column;
}

/** The lanes of an edge in the columns that it passes, tied to its ends. */
function chain({ source, target }: Edge, slots: ReadonlyMap<string, Slot>, column: ReadonlyMap<string, number>, grid: Slot[][]): Slot[] {
  const lanes: Slot[] = [];
  for (let at = (column.get(source) ?? 0) + 1; at < (column.get(target) ?? 0); at += 1) {
    const lane = slotOf(null);
    grid[at]?.push(lane);
    lanes.push(lane);
  }
  const way = [slots.get(source), ...lanes, slots.get(target)].filter((slot) => slot !== undefined);
  way.slice(1).forEach((slot, index) => {
    const previous = way[index];
    if (previous === undefined) return;
    previous.after.push(slot);
    slot.before.push(previous);
  });
  return lanes;
}

/** Orders each column by where its neighbours stand, forth and back, so that few lines cross. */
function arrange(grid: readonly Slot[][]): void {
  const height = heightOf(grid);
  for (const slots of grid) stackUp(slots, height);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const isBack = sweep % 2 === 1;
    for (const slots of isBack ? [...grid].reverse() : grid) {
      const wish = new Map(slots.map((slot) => [slot, mean(isBack ? slot.after : slot.before) ?? slot.row]));
      slots.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0));
      stackUp(slots, height);
    }
  }
}

/** One below the other, in the middle of the picture. */
function stackUp(slots: readonly Slot[], height: number): void {
  let top = (height - slots.reduce((sum, slot) => sum + sizeOf(slot), 0)) / 2;
  for (const slot of slots) {
    slot.row = top + sizeOf(slot) / 2;
    top += sizeOf(slot);
  }
}

const mean = (slots: readonly Slot[]): number | null => (slots.length === 0 ? null : slots.reduce((sum, { row }) => sum + row, 0) / slots.length);

/** What records get to from here along known channels. */
function reached(first: string | undefined, edges: readonly Edge[]): Set<string> {
  const seen = new Set<string>();
  const open = first === undefined ? [] : [first];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    open.push(...edges.filter(({ source }) => source === at).map(({ target }) => target));
  }
  return seen;
}

/** Edges between drawn operators, through what stands between them. */
function joined(drawn: readonly string[], channels: readonly Edge[]): Edge[] {
  const isDrawn = new Set(drawn);
  const next = new Map<string, Set<string>>();
  for (const { source, target } of channels) next.set(source, (next.get(source) ?? new Set()).add(target));
  return drawn.flatMap((source) => {
    const targets = new Set<string>();
    const seen = new Set<string>([source]);
    const open = [...(next.get(source) ?? [])];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      if (isDrawn.has(at)) targets.add(at);
      else open.push(...(next.get(at) ?? []));
    }
    return [...targets].map((target) => ({ source, target }));
  });
}
