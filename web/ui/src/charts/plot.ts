// uPlot, wrapped: our theme, our axes, bands, threshold lines, alert marks, a crosshair shared by the page, drag to zoom.
// Takes aligned rows (align.ts) and draws them; knows nothing of machines, metrics or requests.

import uPlot from 'uplot';
import { clockTime, dayMonth, quantity, type Quantity } from '../format.ts';
import type { Cell } from './align.ts';
import { FRAME } from './frame.ts';
import { moveCrosshair, SYNC_KEY } from './crosshair.ts';
import { preferences } from '../preferences.ts';
import { paintHoles, paintMarks, paintThresholds, type Mark, type Threshold } from './annotations.ts';
import { alpha, palette } from './palette.ts';

export interface PlotSeries {
  name: string;
  /** Index into the palette. */
  color: number;
  isHidden: boolean;
  fill: 'none' | 'soft' | 'stack';
  dash: boolean;
  /** Indices of the rows that hold the least and the most of an aggregate, drawn as a band around the line. */
  band: [low: number, high: number] | null;
}

export interface PlotOptions {
  kind: Quantity;
  fromZero: boolean;
  /** Values below zero are drawn downwards but read without a sign (transmit under receive). */
  isMirrored: boolean;
  height: number;
  onZoom(fromMs: number, toMs: number): void;
  onBack(): void;
  /** The row under the pointer, or null. */
  onCursor(row: number | null): void;
}

export interface PlotData {
  x: number[];
  rows: Cell[][];
  series: PlotSeries[];
  /** A fixed top of the axis; without it the axis follows the data. */
  yMax: number | null;
  /** Where nothing was measured, in seconds. */
  holes: readonly (readonly [from: number, to: number])[];
}

/** A drag shorter than this is a click. */
const ZOOM_PX_MIN = 6;

export class Plot {
  private plot: uPlot | null = null;
  private shape = '';
  private data: PlotData = { x: [], rows: [], series: [], yMax: null, holes: [] };
  private window: [number, number] = [0, 1];
  private thresholds: Threshold[] = [];
  private marks: Mark[] = [];
  private readonly host: HTMLElement;
  private readonly options: PlotOptions;

  constructor(host: HTMLElement, options: PlotOptions) {
    this.host = host;
    this.options = options;
  }

  annotate(thresholds: Threshold[], marks: Mark[]): void {
    this.thresholds = thresholds;
    this.marks = marks;
    this.plot?.redraw(false, true);
  }

  draw(data: PlotData, fromMs: number, toMs: number): void {
    this.data = data;
    this.window = [fromMs / 1000, toMs / 1000];
    const shape = JSON.stringify(data.series);
    if (this.plot === null || shape !== this.shape) this.build(shape);
    else this.plot.setData(this.table(), true);
  }

  /** Colours are baked into the chart, so a new theme needs a new one. */
  retheme(): void {
    if (this.plot !== null) this.build(this.shape);
  }

  resize(): void {
    const width = this.host.clientWidth;
    if (this.plot !== null && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.options.height });
  }

  /** Moves the crosshair by keyboard, and with it that of all charts of the page. */
  moveCursor(direction: -1 | 1): void {
    const plot = this.plot;
    if (plot === null || this.data.x.length === 0) return;
    const current = plot.cursor.idx ?? (direction > 0 ? -1 : this.data.x.length);
    const next = Math.min(this.data.x.length - 1, Math.max(0, current + direction));
    const at = this.data.x[next];
    if (at !== undefined) plot.setCursor({ left: plot.valToPos(at, 'x'), top: this.options.height / 3 });
  }

  destroy(): void {
    this.plot?.destroy();
    this.plot = null;
  }

  private table(): uPlot.AlignedData {
    return [this.data.x, ...this.data.rows] as uPlot.AlignedData;
  }

  private build(shape: string): void {
    this.plot?.destroy();
    this.shape = shape;
    this.plot = new uPlot(this.config(), this.table(), this.host);
  }

  private config(): uPlot.Options {
    return {
      width: Math.max(120, this.host.clientWidth),
      height: this.options.height,
      legend: { show: false },
      padding: [FRAME.top, FRAME.right, 0, 0],
      cursor: {
        y: false,
        points: { size: 7, width: 2 },
        drag: { x: true, y: false, setScale: false, dist: ZOOM_PX_MIN },
        // Only the crosshair is shared: a drag or double click told to all charts would be carried out once per chart.
        sync: { key: SYNC_KEY, setSeries: false, filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave', sub: () => true } },
        bind: { dblclick: () => () => (this.options.onBack(), null) },
      },
      scales: { x: { time: true, range: () => this.window }, y: { range: (_plot, low, high) => this.yRange(low, high) } },
      axes: this.axes(),
      series: [{}, ...this.data.rows.map((_row, index) => this.seriesConfig(index))],
      bands: this.bands(),
      hooks: {
        setCursor: [(plot) => this.reportCursor(plot)],
        setSelect: [(plot) => this.reportZoom(plot)],
        drawAxes: [(plot) => paintHoles(plot, this.data.holes), (plot) => paintMarks(plot, this.marks)],
        draw: [(plot) => paintThresholds(plot, this.thresholds)],
      },
    };
  }

  private seriesConfig(index: number): uPlot.Series {
    const colors = palette();
    const series = this.data.series[index];
    // Rows beyond the named series are the edges of bands.
    if (series === undefined) return { show: true, width: 0, stroke: '#0000', points: { show: false } };
    const stroke = colors.series[series.color % colors.series.length] ?? colors.accent;
    const fill = series.fill === 'none' ? null : alpha(stroke, series.fill === 'stack' ? 0.5 : 0.12);
    return {
      show: !series.isHidden,
      stroke,
      width: series.fill === 'stack' ? 0.75 : 1.5,
      ...(fill === null ? {} : { fill }),
      ...(series.dash ? { dash: [5, 4] } : {}),
      spanGaps: false,
      points: { show: (plot, at, from, to) => isLonely(plot, at, from, to), size: 4, fill: stroke },
    };
  }

  private bands(): uPlot.Band[] {
    const colors = palette();
    const bands: uPlot.Band[] = [];
    let below: number | null = null;
    this.data.series.forEach((series, index) => {
      const stroke = colors.series[series.color % colors.series.length] ?? colors.accent;
      if (series.fill === 'stack' && !series.isHidden) {
        if (below !== null) bands.push({ series: [index + 1, below + 1], fill: alpha(stroke, 0.5) });
        below = index;
      }
      if (series.band !== null && !series.isHidden) {
        bands.push({ series: [series.band[1] + 1, series.band[0] + 1], fill: alpha(stroke, 0.2) });
      }
    });
    return bands;
  }

  private axes(): uPlot.Axis[] {
    const colors = palette();
    const shared = { font: `11px ${colors.font}`, stroke: colors.axis, ticks: { show: false } };
    const { kind, isMirrored } = this.options;
    return [
      { ...shared, grid: { stroke: colors.grid, width: 1 }, size: FRAME.bottom, space: 80, values: (_plot, splits, _axis, _space, increment) => timeLabels(splits, increment) },
      {
        ...shared,
        grid: { stroke: colors.grid, width: 1 },
        size: FRAME.left,
        gap: 8,
        space: 34,
        ...stepsOf(kind),
        values: (_plot, splits) => splits.map((value) => quantity(kind, isMirrored ? Math.abs(value) : value)),
      },
    ];
  }

  private yRange(low: number | null, high: number | null): [number, number] {
    const { fromZero, isMirrored, kind } = this.options;
    const { yMax } = this.data;
    if (yMax !== null) return [0, yMax];
    const most = high ?? 1;
    const least = low ?? 0;
    if (isMirrored) {
      const top = Math.max(most, 1) * 1.1;
      const bottom = Math.min(least, 0) * 1.1;
      return [Math.min(bottom, -top * 0.15), Math.max(top, -bottom * 0.15)];
    }
    // A flat line at a tiny value must not fill the chart with noise.
    const floor = kind === 'ratio' ? 0.02 : kind === 'load' ? 0.5 : 1;
    if (fromZero) return [0, Math.max(most * 1.1, floor)];
    const margin = Math.max((most - least) * 0.15, 1);
    return [least - margin, most + margin];
  }

  private reportCursor(plot: uPlot): void {
    const row = plot.cursor.idx ?? null;
    this.options.onCursor(row);
    // Only the chart under the pointer speaks for the page; the others follow it.
    if (plot.cursor.event !== undefined && plot.cursor.event !== null) {
      const left = plot.cursor.left ?? -1;
      moveCrosshair(left < 0 ? null : plot.posToVal(left, 'x'));
    }
  }

  private reportZoom(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < ZOOM_PX_MIN) return;
    const from = plot.posToVal(left, 'x') * 1000;
    const to = plot.posToVal(left + width, 'x') * 1000;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.options.onZoom(Math.round(from), Math.round(to));
  }
}

/** Points are only drawn where a line could not be seen: when a series has too few of them. */
function isLonely(_plot: uPlot, _series: number, from: number, to: number): boolean {
  return to - from < 2;
}

/** Labels are to be round in the unit that they are shown in. */
function stepsOf(kind: Quantity): { incrs?: number[] } {
  const { bytes, network } = preferences();
  if (kind === 'network' && network === 'bits') return { incrs: BIT_STEPS };
  const isBinary = bytes === 'iec' && (kind === 'bytes' || kind === 'rate' || kind === 'network');
  return isBinary ? { incrs: BINARY_STEPS } : {};
}

/** 1, 2, 5 … of every binary unit, so that labels are round in KiB, MiB and GiB. */
const BINARY_STEPS = [0, 1, 2, 3, 4, 5].flatMap((power) => [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map((step) => step * 1024 ** power));

const BIT_STEPS = [0, 1, 2, 3, 4].flatMap((power) => [1, 2, 5, 10, 20, 50, 100, 200, 500].map((step) => (step * 1000 ** power) / 8));

const DAY_S = 86_400;

function timeLabels(splits: number[], incrementSeconds: number): string[] {
  let previousDay = '';
  return splits.map((at) => {
    const day = dayMonth(at * 1000);
    if (incrementSeconds >= DAY_S) return day;
    const time = clockTime(at * 1000);
    const text = incrementSeconds < 60 ? time : time.slice(0, 5);
    const isNewDay = previousDay !== '' && day !== previousDay;
    previousDay = day;
    return isNewDay ? day : text;
  });
}
