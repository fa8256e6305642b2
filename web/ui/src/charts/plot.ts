// uPlot, wrapped: our theme, our axes, bands, threshold lines, alert marks, a crosshair shared by the page, drag to zoom, with shift to pan.
// Takes aligned rows (align.ts) and draws them; knows nothing of machines, metrics or requests.

import uPlot from 'uplot';
import type { Quantity } from '../format.ts';
import type { Cell } from './align.ts';
import { axesOf } from './axes.ts';
import { FRAME } from './frame.ts';
import { isPinned, moveCrosshair, onCrosshair, pin } from './crosshair.ts';
import { paintHoles, paintMarks, paintThresholds, type Mark, type Threshold } from './annotations.ts';
import { alpha, palette } from './palette.ts';
import { followPresses } from './press.ts';

export interface PlotSeries {
  name: string;
  /** Index into the palette. */
  color: number;
  isHidden: boolean;
  fill: 'none' | 'soft' | 'stack' | 'dots';
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
  /** Another range is asked for, by a zoom or a pan. */
  onZoom(fromMs: number, toMs: number): void;
  onBack(): void;
  /** The row nearest to the crosshair, and the crosshair's own time in seconds; null without one. */
  onCursor(row: number | null, at: number | null): void;
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
const HOVER_PX_MAX = 24;
const ZOOM_PX_MIN = 6;

export class Plot {
  private plot: uPlot | null = null;
  private shape = '';
  private data: PlotData = { x: [], rows: [], series: [], yMax: null, holes: [] };
  private window: [number, number] = [0, 1];
  /** What is shown while a hand moves it. */
  private panned: [number, number] | null = null;
  /** Where the page's crosshair is, in seconds. */
  private crosshair: number | null = null;
  private isLeading = false;
  private readonly stop: () => void;
  private thresholds: Threshold[] = [];
  private marks: Mark[] = [];
  private readonly host: HTMLElement;
  private readonly options: PlotOptions;

  constructor(host: HTMLElement, options: PlotOptions) {
    this.host = host;
    this.options = options;
    this.stop = onCrosshair((at) => this.follow(at));
    followPresses(host, (clientX) => this.timeAt(clientX));
    host.addEventListener('keydown', (event) => this.key(event));
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
    const isNew = this.plot === null || shape !== this.shape;
    if (isNew) this.build(shape);
    else this.plot?.setData(this.table(), true);
    // The crosshair came before the chart, or the data has moved under a pinned one. uPlot knows its scales once it has drawn, a microtask later.
    if (isNew || isPinned()) queueMicrotask(() => this.follow(this.crosshair));
  }

  /** Colours are baked into the chart, so a new theme needs a new one. */
  retheme(): void {
    if (this.plot !== null) this.build(this.shape);
  }

  resize(): void {
    const width = this.host.clientWidth;
    if (this.plot !== null && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.options.height });
  }

  destroy(): void {
    this.stop();
    if (isPinned()) pin(null);
    this.plot?.destroy();
    this.plot = null;
  }

  private key(event: KeyboardEvent): void {
    if (event.key === 'Enter') pin(isPinned() ? null : this.crosshair);
    else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') this.step(event.key === 'ArrowRight' ? 1 : -1);
    else return;
    event.preventDefault();
  }

  /** Moves the crosshair by a row, and with it that of the page; a pinned one, too. */
  private step(direction: -1 | 1): void {
    const { x } = this.data;
    const current = this.plot?.cursor.idx ?? (direction > 0 ? -1 : x.length);
    const at = x[Math.min(x.length - 1, Math.max(0, current + direction))];
    if (at === undefined) return;
    if (isPinned()) pin(at);
    else moveCrosshair(at);
  }

  private timeAt(clientX: number): number | null {
    if (this.plot === null) return null;
    const { left, width } = this.plot.over.getBoundingClientRect();
    return clientX < left || clientX > left + width ? null : this.plot.posToVal(clientX - left, 'x');
  }

  /** Puts the crosshair where the page's is. */
  private follow(at: number | null): void {
    this.crosshair = at;
    const plot = this.plot;
    if (plot === null || this.isLeading) return;
    const left = at === null ? -1 : plot.valToPos(at, 'x');
    const isInside = left >= 0 && left <= plot.over.clientWidth;
    plot.setCursor(isInside ? { left, top: 1 } : { left: -10, top: -10 }, true);
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
        // In a gap there is nothing to point at.
        hover: { prox: HOVER_PX_MAX },
        drag: { x: true, y: false, setScale: false, dist: ZOOM_PX_MIN },
        bind: {
          // While a time is pinned the pointer moves no crosshair.
          mousemove: (_plot, _target, handle) => (event) => (isPinned() ? null : (handle(event), this.report(), null)),
          mouseleave: (_plot, _target, handle) => (event) => (isPinned() ? null : (handle(event), moveCrosshair(null), null)),
          mousedown: (_plot, _target, handle) => (event) => (event.button === 0 ? (event.shiftKey ? this.pan(event) : handle(event), null) : null),
          dblclick: () => () => (this.options.onBack(), null),
        },
      },
      scales: { x: { time: true, range: () => this.panned ?? this.window }, y: { range: (_plot, low, high) => this.yRange(low, high) } },
      axes: axesOf(this.options.kind, this.options.isMirrored),
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
    const isDots = series.fill === 'dots';
    // A band says more than what is below the line.
    const fill = series.fill === 'none' || isDots || series.band !== null ? null : alpha(stroke, series.fill === 'stack' ? 0.5 : 0.12);
    return {
      show: !series.isHidden,
      stroke,
      width: isDots ? 0 : series.fill === 'stack' ? 0.75 : 1.5,
      ...(fill === null ? {} : { fill }),
      ...(series.dash ? { dash: [5, 4] } : {}),
      spanGaps: false,
      points: { show: (plot, at, from, to) => isDots || isLonely(plot, at, from, to), size: isDots ? 5 : 4, fill: stroke, ...(isDots ? { width: 0 } : {}) },
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
    const left = plot.cursor.left ?? -1;
    this.options.onCursor(plot.cursor.idx ?? null, left < 0 ? null : plot.posToVal(left, 'x'));
  }

  /** The pointer is on this chart: the rest of the page follows. */
  private report(): void {
    const left = this.plot?.cursor.left ?? -1;
    if (this.plot === null || left < 0) return;
    this.isLeading = true;
    moveCrosshair(this.plot.posToVal(left, 'x'));
    this.isLeading = false;
  }

  /** Moves the range with the hand; what it comes to is asked for when it lets go. */
  private pan(event: MouseEvent): void {
    const plot = this.plot;
    if (plot === null) return;
    const [from, to] = this.window;
    const perPx = (to - from) / Math.max(1, plot.over.clientWidth);
    const show = (panned: [number, number] | null): void => {
      this.panned = panned;
      const [min, max] = panned ?? this.window;
      this.plot?.setScale('x', { min, max });
    };
    const abort = new AbortController();
    const { signal } = abort;
    const byOf = (move: MouseEvent): number => (event.clientX - move.clientX) * perPx;
    document.addEventListener('mousemove', (move) => show([from + byOf(move), to + byOf(move)]), { signal });
    document.addEventListener('mouseup', (up) => {
      abort.abort();
      const isMeant = Math.abs(up.clientX - event.clientX) >= ZOOM_PX_MIN;
      if (isMeant) this.options.onZoom(Math.round((from + byOf(up)) * 1000), Math.round((to + byOf(up)) * 1000));
      show(null);
    }, { signal });
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
