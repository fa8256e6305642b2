// A chart with its states, for any screen: lines, legend, crosshair readout, a sentence for people who hear the page.
// The size never changes with the state, so nothing jumps; what is shown stays, dimmed, while newer data is on its way.

import { element, setText } from '../dom.ts';
import type { Quantity } from '../format.ts';
import { compose, type ChartColumn, type Drawing } from '../machine/columns.ts';
import { Legend } from '../machine/legend.ts';
import type { HistorySeries } from '../protocol.ts';
import { holes, type Hole } from './align.ts';
import type { Mark, Threshold } from './annotations.ts';
import 'uplot/dist/uPlot.min.css';
import './charts.css';
import { Plot } from './plot.ts';
import { readAt } from './readout.ts';
import { describe } from './summary.ts';

export interface BoxOptions {
  title: string;
  kind: Quantity;
  /** A chart that has the page to itself may be higher. */
  height?: number;
  /** Small charts side by side have no legend: their title says what they show. */
  hasLegend?: boolean;
  onZoom?(from: number, to: number): void;
  onBack?(): void;
}

export interface BoxData {
  columns: ChartColumn[];
  fromMs: number;
  toMs: number;
  stepMs: number;
  yMax: number | null;
}

const HEIGHT = 208;

/** One line of a chart, of a history answer or of anything that has points. */
export function lineOf(name: string, color: number, points: Pick<HistorySeries, 'metric' | 't' | 'v' | 'min' | 'max'>, fill: 'none' | 'soft' = 'none'): ChartColumn {
  return { key: name, name, color, spec: { metric: points.metric, fill }, t: points.t, v: points.v, min: points.min, max: points.max };
}

export class ChartBox {
  readonly node: HTMLElement;
  private readonly options: BoxOptions;
  private readonly canvas: HTMLElement;
  private readonly message = element('div', { class: 'chart-message' });
  private readonly readout = element('span', { class: 'readout' });
  private readonly legend: Legend;
  private readonly plot: Plot;
  private readonly sizes: ResizeObserver;
  private readonly hidden = new Set<string>();
  private data: BoxData | null = null;
  private drawing: Drawing = { x: [], rows: [], values: [], series: [] };
  private missing: Hole[] = [];

  constructor(options: BoxOptions, ...head: (Node | string)[]) {
    this.options = options;
    this.canvas = element('div', { class: 'plot', role: 'img', tabindex: '0', 'aria-label': `${options.title}: loading` });
    const body = element('div', { class: 'chart-body' }, this.canvas, this.message);
    if (options.height !== undefined) this.canvas.style.height = body.style.height = `${options.height}px`;
    this.node = element('div', { class: 'chart is-empty is-loading' }, element('header', { class: 'panel-head' }, ...head, this.readout), body);
    this.legend = new Legend(options.kind, (key) => {
      if (!this.hidden.delete(key)) this.hidden.add(key);
      this.paint();
    });
    if (options.hasLegend !== false) this.node.append(this.legend.node);
    this.plot = new Plot(this.canvas, {
      kind: options.kind, fromZero: options.kind !== 'celsius', isMirrored: false, height: options.height ?? HEIGHT,
      onZoom: (from, to) => options.onZoom?.(from, to),
      onBack: () => options.onBack?.(),
      onCursor: (row, at) => this.showCursor(row, at),
    });
    this.sizes = new ResizeObserver(() => this.plot.resize());
    this.sizes.observe(this.canvas);
  }

  setLoading(isLoading: boolean): void {
    this.node.classList.toggle('is-loading', isLoading);
  }

  /** Instead of data, or beside data that is no longer the newest. */
  say(...content: (Node | string)[]): void {
    this.setLoading(false);
    this.message.replaceChildren(...content);
  }

  draw(data: BoxData, thresholds: Threshold[] = [], marks: Mark[] = []): void {
    this.data = data;
    this.setLoading(false);
    const isEmpty = data.columns.every(({ t }) => t.length === 0);
    this.node.classList.toggle('is-empty', isEmpty);
    this.message.replaceChildren(...(isEmpty ? ['No data in this range'] : []));
    this.plot.annotate(thresholds, marks);
    this.paint();
    this.canvas.setAttribute('aria-label', describe(this.options.title, this.options.kind, data.columns));
  }

  retheme(): void {
    this.plot.retheme();
  }

  destroy(): void {
    this.sizes.disconnect();
    this.plot.destroy();
  }

  private paint(): void {
    if (this.data === null) return;
    const { columns, fromMs, toMs, stepMs, yMax } = this.data;
    this.drawing = compose(columns, this.hidden, stepMs);
    this.legend.build(columns, this.hidden);
    this.missing = holes({ x: this.drawing.x, ys: this.drawing.values }, stepMs, toMs);
    this.plot.draw({ ...this.drawing, yMax, holes: this.missing }, fromMs, toMs);
    this.legend.show(this.drawing.values, null);
  }

  private showCursor(row: number | null, at: number | null): void {
    const { shown, text } = readAt(row, at, this.drawing.x, this.missing);
    this.legend.show(this.drawing.values, shown);
    setText(this.readout, text);
  }
}
