// Where the operators of the dataflow stand in its picture: columns by how far from the source, edges only between those that are drawn.
// Pure. What has no figures of its own (maps, filters, concatenations) is not drawn: its edges are joined.

export interface Edge {
  source: string;
  target: string;
}

export interface Placed {
  name: string;
  column: number;
  row: number;
}

export interface Layout {
  nodes: Placed[];
  edges: Edge[];
  columns: number;
  rows: number;
}

/** The dataflow has a few dozen channels; a graph that is larger by mistake must not hang the page. */
const EDGES_MAX = 2_000;

export function layout(drawn: readonly string[], channels: readonly Edge[]): Layout {
  const edges = joined(drawn, channels.slice(0, EDGES_MAX));
  const depth = depths(drawn, edges);
  const led = reached(drawn[0], edges);
  const perColumn = new Map<number, number>();
  const nodes = drawn.filter((name) => led.has(name)).map((name) => {
    const column = depth.get(name) ?? 0;
    const row = perColumn.get(column) ?? 0;
    perColumn.set(column, row + 1);
    return { name, column, row };
  });
  const columns = Math.max(0, ...perColumn.keys()) + 1;
  const rows = Math.max(0, ...perColumn.values());
  // What is fed by operators without figures has no known way from the source: it stands below, in flow order.
  const others = drawn.filter((name) => !led.has(name)).map((name, index) => ({ name, column: index % columns, row: rows + Math.floor(index / columns) }));
  return { nodes: [...nodes, ...others], edges, columns, rows: rows + Math.ceil(others.length / columns) };
}

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

/** The longest way from a source; an edge back against the order of `drawn` (a feedback) counts for nothing. */
function depths(drawn: readonly string[], edges: readonly Edge[]): Map<string, number> {
  const order = new Map(drawn.map((name, index) => [name, index]));
  const depth = new Map<string, number>();
  for (const name of drawn) {
    const before = edges.filter(({ source, target }) => target === name && (order.get(source) ?? 0) < (order.get(name) ?? 0));
    depth.set(name, Math.max(-1, ...before.map(({ source }) => depth.get(source) ?? 0)) + 1);
  }
  return depth;
}

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
