// From a history answer to the lines of one chart: chosen, named, coloured and ordered as the chart's spec says.

import { align, stack, withGaps, type Aligned, type Cell } from '../charts/align.ts';
import type { PlotSeries } from '../charts/plot.ts';
import type { HistorySeries } from '../protocol.ts';
import { seriesKey, seriesName, type PanelSpec, type SeriesSpec } from './specs.ts';

export interface ChartColumn {
  key: string;
  name: string;
  spec: SeriesSpec;
  color: number;
  t: number[];
  v: (number | null)[];
  min: (number | null)[] | null;
  max: (number | null)[] | null;
}

/** More lines than colours cannot be told apart. */
const LINES_MAX = 8;
/** Bands of many lines would cover each other. */
const BANDED_LINES_MAX = 4;
const byNumber = new Intl.Collator('en', { numeric: true }).compare;

export function choose(spec: PanelSpec, series: readonly HistorySeries[]): ChartColumn[] {
  const columns = spec.series.flatMap((one) => columnsOf(one, series));
  if (spec.shape === 'heat') return columns;
  const shown = columns.length <= LINES_MAX ? columns : largest(columns);
  const hasStack = shown.some((column) => column.spec.fill === 'stack');
  shown.forEach((column, index) => {
    if (column.spec.only === undefined && column.spec.color === undefined) column.color = index;
    // More than two areas over each other are mud.
    if (column.spec.fill === 'soft' && shown.length > 2 && column.spec.color === undefined) column.spec = { ...column.spec, fill: 'none' };
    // A total without parts under it is an area of its own.
    if (spec.id === 'cpu' && !hasStack) column.spec = { ...column.spec, fill: 'soft', color: 0 };
  });
  return shown;
}

function columnsOf(spec: SeriesSpec, series: readonly HistorySeries[]): ChartColumn[] {
  const { by, only, without } = spec;
  const found = series.filter(({ metric, labels }) => {
    const value = by === undefined ? '' : (labels[by] ?? '');
    return metric === spec.metric && (only === undefined || value in only) && (without === undefined || value !== without);
  });
  const columns = found.map((one) => ({
    key: seriesKey(one.metric, one.labels),
    name: seriesName(spec, one.labels),
    spec,
    color: only?.[one.labels[by ?? ''] ?? ''] ?? spec.color ?? 0,
    t: [...one.t],
    v: [...one.v],
    min: one.min,
    max: one.max,
  }));
  if (only === undefined) return columns.sort((a, b) => byNumber(a.name, b.name));
  const rank = Object.keys(only);
  return columns.sort((a, b) => rank.indexOf(a.name) - rank.indexOf(b.name));
}

/** Those that move the most; which they are is decided once per load, so lines do not come and go while one looks. */
function largest(columns: ChartColumn[]): ChartColumn[] {
  const size = (column: ChartColumn): number => column.v.reduce<number>((sum, value) => sum + Math.abs(value ?? 0), 0) / Math.max(1, column.v.length);
  const kept = new Set([...columns].sort((a, b) => size(b) - size(a)).slice(0, LINES_MAX));
  return columns.filter((column) => kept.has(column));
}

export interface Drawing {
  x: number[];
  /** What is drawn: stacked sums, mirrored values, then the edges of bands. */
  rows: Cell[][];
  /** What is read out, one per series. */
  values: Cell[][];
  series: PlotSeries[];
}

export function compose(columns: readonly ChartColumn[], hidden: ReadonlySet<string>, stepMs: number): Drawing {
  const banded = columns.filter((column) => column.min !== null && column.spec.fill !== 'stack');
  const edges = banded.length <= BANDED_LINES_MAX ? banded : [];
  const { x, ys } = joined(columns, edges, stepMs);
  const values = ys.slice(0, columns.length);
  const rows = values.map((cells, index) => (columns[index]?.spec.mirror === true ? negate(cells) : cells));
  const stacked = columns.flatMap((column, index) => (column.spec.fill === 'stack' && !hidden.has(column.key) ? [index] : []));
  stack(stacked.map((index) => values[index] ?? [])).forEach((sums, at) => {
    const index = stacked[at];
    if (index !== undefined) rows[index] = sums;
  });
  const bands = new Map<string, [number, number]>();
  edges.forEach((column, at) => {
    const flip = (cells: Cell[] | undefined): Cell[] => (column.spec.mirror === true ? negate(cells ?? []) : (cells ?? []));
    const low = rows.push(flip(ys[columns.length + 2 * at])) - 1;
    const high = rows.push(flip(ys[columns.length + 2 * at + 1])) - 1;
    bands.set(column.key, column.spec.mirror === true ? [high, low] : [low, high]);
  });
  const series = columns.map((column) => ({
    name: column.name,
    color: column.color,
    isHidden: hidden.has(column.key),
    // Windows are lines: each says something of all its time.
    fill: column.spec.fill === 'dots' && column.min !== null ? 'none' : (column.spec.fill ?? 'none'),
    dash: column.spec.dash ?? false,
    band: bands.get(column.key) ?? null,
  }));
  return { x, rows, values, series };
}

function joined(columns: readonly ChartColumn[], edges: readonly ChartColumn[], stepMs: number): Aligned {
  const lines = columns.map((column) => withGaps(column, stepMs));
  const bounds = edges.flatMap((column) => [
    withGaps({ t: column.t, v: column.min ?? [] }, stepMs),
    withGaps({ t: column.t, v: column.max ?? [] }, stepMs),
  ]);
  return align([...lines, ...bounds]);
}

function negate(cells: readonly Cell[]): Cell[] {
  return cells.map((cell) => (typeof cell === 'number' ? -cell : cell));
}
