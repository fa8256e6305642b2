// One chart of the machine screen: its frame, its request for history, its live points, and its states (loading, empty, failed).
//
// Kept true: the size never changes with the state, so nothing jumps; old data stays, dimmed, while newer is on its way; a chart that
// is not in view asks for nothing and paints nothing until it is.

import { api, ApiError } from '../api.ts';
import { holes, type Hole } from '../charts/align.ts';
import type { Mark, Threshold } from '../charts/annotations.ts';
import { Heat } from '../charts/heat.ts';
import { Plot } from '../charts/plot.ts';
import { readAt } from '../charts/readout.ts';
import { describe } from '../charts/summary.ts';
import { element, icon, linkButton, setText } from '../dom.ts';
import { dateTime, duration } from '../format.ts';
import type { History, HistorySeries, Tier } from '../protocol.ts';
import { choose, compose, type ChartColumn, type Drawing } from './columns.ts';
import { Legend } from './legend.ts';
import { topLine, type ShownProcesses } from './processes.ts';
import { Lines, type LivePoints } from './seam.ts';
import { metricsOf, type PanelSpec } from './specs.ts';
import { tableOf } from './table.ts';

export interface PanelHost {
  machine: string;
  /** What the charts show now, in milliseconds. */
  window(): [from: number, to: number];
  followsNow(): boolean;
  liveValue(metric: string): number | null;
  cores(): number;
  isFrozen(): boolean;
  /** Why nothing was measured at a time, in milliseconds. */
  whyMissing(at: number): string;
  /** How often the machine tells of itself. */
  intervalMs(): number;
  /** The newest sample of each of its series. */
  newest(): HistorySeries[];
  /** When the machine was last heard. */
  newestAt(): number | null;
  onZoom(from: number, to: number): void;
  onBack(): void;
}

const PLOT_HEIGHT = 208;
/** An hour of samples at the default interval of 5 s, with some to spare. */
const POINTS_MIN = 750;
const POINTS_MAX = 1500;
/** A heat strip of more samples than this over all cores is asked for in coarser steps. */
const HEAT_SAMPLES_MAX = 24_000;
const DESCRIBE_MS = 10_000;
/** Longer ranges are drawn in minutes, which do not come live. */
const ALONE_MS_MAX = 2 * 3_600_000;

export class Panel {
  readonly node: HTMLElement;
  readonly spec: PanelSpec;
  private readonly host: PanelHost;
  private readonly badge = element('span', { class: 'tier' });
  private readonly readout = element('span', { class: 'readout' });
  private readonly toggle = element('button', { type: 'button', class: 'icon-button', 'aria-pressed': 'false', title: 'View as table' }, icon('table'));
  private readonly canvas = element('div', { class: 'plot', role: 'img', tabindex: '0' });
  private readonly tableBox = element('div', { class: 'chart-table', tabindex: '0' });
  private readonly message = element('div', { class: 'chart-message' });
  private readonly top = element('p', { class: 'chart-top' });
  private readonly legend: Legend;
  private readonly chart: Plot | Heat;
  private readonly lines = new Lines();
  private drawing: Drawing = { x: [], rows: [], values: [], series: [] };
  private readonly hidden = new Set<string>();
  private history: { tier: Tier; stepMs: number } | null = null;
  private request: AbortController | null = null;
  /** Why the history of what is shown is not there. */
  private failure: string | null = null;
  private isVisible = false;
  private isStale = true;
  private isDirty = false;
  private frame = 0;
  private describedAt = 0;
  private cursor: [row: number | null, at: number | null] = [null, null];
  private missing: Hole[] = [];

  constructor(spec: PanelSpec, host: PanelHost) {
    this.spec = spec;
    this.host = host;
    this.legend = new Legend(spec.kind, (key) => this.toggleSeries(key));
    this.toggle.setAttribute('aria-label', `${spec.title}: view as table`);
    this.canvas.setAttribute('aria-label', `${spec.title}: loading`);
    this.tableBox.hidden = true;
    const titleId = `panel-${spec.id}`;
    const head = element('header', { class: 'panel-head' }, element('h2', { id: titleId }, spec.title), this.badge, this.readout, this.toggle);
    const body = element('div', { class: 'chart-body' }, this.canvas, this.tableBox, this.message);
    this.node = element('section', { class: 'panel chart is-empty', 'aria-labelledby': titleId, 'data-panel': spec.id }, head, body);
    this.node.append(spec.shape === 'plot' ? this.legend.node : heatKey());
    if (spec.processes !== undefined) this.node.append(this.top);
    this.chart = this.createChart();
    this.toggle.addEventListener('click', () => this.toggleTable());
    // A chart without data is not painted, but one must get out of the empty range all the same.
    body.addEventListener('dblclick', () => {
      if (this.node.classList.contains('is-empty')) host.onBack();
    });
  }

  /** In view or not; what was missed out of view is caught up with. */
  setVisible(isVisible: boolean): void {
    this.isVisible = isVisible;
    if (!isVisible) return;
    if (this.isStale) void this.load();
    else if (this.isDirty) this.requestDraw();
  }

  /** The range changed or live points were missed. */
  invalidate(): void {
    this.isStale = true;
    if (this.isVisible) void this.load();
  }

  /** How long a loaded chart of a coarse tier stays fresh; null for the raw tier, which grows by live points. */
  refreshMs(): number | null {
    return this.history === null || this.history.tier === 'raw' ? null : Math.max(60_000, Math.min(this.history.stepMs, 600_000));
  }

  annotate(thresholds: Threshold[], marks: Mark[]): void {
    if (this.chart instanceof Plot) this.chart.annotate(thresholds, marks);
  }

  appendLive(points: LivePoints): void {
    this.lines.remember(points);
    if (this.failure !== null && this.lines.columns.length === 0) this.fail(this.failure);
    if (!this.isLive()) return;
    this.lines.grow(points, this.host.window()[0]);
    this.requestDraw();
  }

  /** The first of the processes at the instant under the crosshair, or of the newest. */
  showProcesses(shown: ShownProcesses): void {
    const order = this.spec.processes;
    // A machine that tells of none has no line, and the page does not move.
    if (order === undefined || (shown.list === null && this.top.textContent === '')) return;
    setText(this.top, topLine(shown, order));
  }

  /** Metrics of which the newest samples are here, in view or not; none before their history is. */
  liveMetrics(): string[] {
    return this.isLive() && !this.isStale && this.request === null ? metricsOf(this.spec) : [];
  }

  /** What the history has by now of the newest samples. Where it had nothing at first, or did not answer, all of it is asked for. */
  mend(series: readonly HistorySeries[]): void {
    if (!this.isLive()) return;
    const isFirst = this.lines.columns.length === 0 && choose(this.spec, series).length > 0;
    if (this.failure !== null || isFirst) this.invalidate();
    else if (this.lines.mend(series)) this.requestDraw();
  }

  resize(): void {
    this.chart.resize();
  }

  retheme(): void {
    this.chart.retheme();
  }

  destroy(): void {
    this.request?.abort();
    cancelAnimationFrame(this.frame);
    this.chart.destroy();
  }

  private createChart(): Plot | Heat {
    if (this.spec.shape === 'heat') return new Heat(this.canvas, PLOT_HEIGHT, (text) => setText(this.readout, text));
    return new Plot(this.canvas, {
      kind: this.spec.kind,
      fromZero: this.spec.fromZero ?? true,
      isMirrored: this.spec.series.some(({ mirror }) => mirror === true),
      height: PLOT_HEIGHT,
      onZoom: (from, to) => this.host.onZoom(from, to),
      onBack: () => this.host.onBack(),
      onCursor: (row, at) => this.showCursor(row, at),
    });
  }

  private isLive(): boolean {
    return this.history?.tier === 'raw' && this.host.followsNow();
  }

  private async load(): Promise<void> {
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    this.isStale = false;
    this.node.classList.add('is-loading');
    const [from, to] = this.host.window();
    try {
      const history = await api.history(this.host.machine, { metrics: metricsOf(this.spec), from, to, maxPoints: this.maxPoints() }, request.signal);
      this.accept(history);
    } catch (error) {
      if (request.signal.aborted) return;
      this.fail(error instanceof ApiError ? error.message : 'The history could not be read.');
    }
    if (this.request !== request) return;
    this.request = null;
    this.node.classList.remove('is-loading');
  }

  private maxPoints(): number {
    if (this.spec.shape === 'heat') return Math.min(POINTS_MIN, Math.max(60, Math.floor(HEAT_SAMPLES_MAX / this.host.cores())));
    return Math.round(Math.min(POINTS_MAX, Math.max(POINTS_MIN, this.canvas.clientWidth)));
  }

  private accept(history: History): void {
    this.history = { tier: history.tier, stepMs: history.step_ms };
    this.failure = null;
    this.lines.load(choose(this.spec, history.series), this.isLive(), this.host.window()[0]);
    setText(this.badge, badgeText(history));
    this.badge.title = history.partial ? 'Part of this range is older than what is kept.' : '';
    const isEmpty = this.lines.columns.every((column) => column.t.length === 0);
    this.node.classList.toggle('is-empty', isEmpty);
    this.message.replaceChildren(...(isEmpty ? this.nothing() : []));
    this.describedAt = 0;
    this.requestDraw();
  }

  /** With the way to the newest data, where that lies outside. */
  private nothing(): (Node | string)[] {
    const [from, to] = this.host.window();
    const newest = this.host.newestAt();
    if (newest === null || (newest >= from && newest <= to)) return ['No data in this range'];
    const lead = `Show the newest, of ${dateTime(newest)}`;
    return [element('span', {}, 'No data in this range'), linkButton(lead, () => this.host.onZoom(newest - (to - from), newest))];
  }

  private fail(text: string): void {
    this.failure = text;
    if (this.goOnAlone()) {
      setText(this.badge, 'live, without history');
      this.badge.title = text;
      this.message.replaceChildren();
      return;
    }
    this.message.replaceChildren(element('span', {}, text), linkButton('Try again', () => void this.load()));
  }

  /** Without a history a short range still has what comes live, from when the page was opened. */
  private goOnAlone(): boolean {
    const [from, to] = this.host.window();
    if (!this.host.followsNow() || to - from > ALONE_MS_MAX) return false;
    if (this.history?.tier !== 'raw' || this.lines.columns.length === 0) {
      this.history = { tier: 'raw', stepMs: this.host.intervalMs() };
      this.lines.load(choose(this.spec, this.host.newest()), false, from);
    }
    const isEmpty = this.lines.columns.length === 0;
    this.node.classList.toggle('is-empty', isEmpty);
    this.requestDraw();
    return !isEmpty;
  }

  private requestDraw(): void {
    this.isDirty = true;
    if (this.frame !== 0 || !this.isVisible || this.host.isFrozen()) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.isDirty = false;
      this.draw();
    });
  }

  private draw(): void {
    const stepMs = this.history?.stepMs ?? 1;
    const [fromMs, toMs] = this.host.window();
    if (this.chart instanceof Heat) {
      this.chart.draw({ cores: this.lines.columns, fromMs, toMs, stepMs });
    } else {
      this.drawing = compose(this.lines.columns, this.hidden, stepMs);
      this.legend.build(this.lines.columns, this.hidden);
      const { yMax, yMaxMetric } = this.spec;
      const top = yMax ?? (yMaxMetric === undefined ? null : this.host.liveValue(yMaxMetric));
      // Between events nothing is missing.
      const isEvents = this.drawing.series.some(({ fill }) => fill === 'dots');
      this.missing = isEvents ? [] : holes({ x: this.drawing.x, ys: this.drawing.values }, stepMs, toMs);
      this.chart.draw({ ...this.drawing, yMax: top, holes: this.missing }, fromMs, toMs);
      this.showCursor(...this.cursor);
    }
    this.describe();
    if (!this.tableBox.hidden && this.describedAt === 0) this.fillTable();
  }

  /** Often enough to be true, seldom enough not to chatter. */
  private describe(): void {
    const now = performance.now();
    if (this.describedAt !== 0 && now - this.describedAt < DESCRIBE_MS) return;
    this.describedAt = now;
    this.canvas.setAttribute('aria-label', describe(this.spec.title, this.spec.kind, totalFirst(this.lines.columns)));
    if (!this.tableBox.hidden) this.fillTable();
  }

  private showCursor(row: number | null, at: number | null): void {
    this.cursor = [row, at];
    const { shown, text } = readAt(row, at, this.drawing.x, this.missing, (ms) => this.host.whyMissing(ms));
    this.legend.show(this.drawing.values, shown);
    setText(this.readout, text);
  }

  private toggleSeries(key: string): void {
    if (!this.hidden.delete(key)) this.hidden.add(key);
    this.requestDraw();
  }

  private toggleTable(): void {
    const isTable = this.tableBox.hidden === true;
    this.tableBox.hidden = !isTable;
    this.canvas.classList.toggle('is-covered', isTable);
    this.toggle.setAttribute('aria-pressed', String(isTable));
    if (isTable) this.fillTable();
  }

  private fillTable(): void {
    const drawing = compose(this.lines.columns, new Set(), this.history?.stepMs ?? 1);
    this.tableBox.replaceChildren(tableOf(this.spec, this.lines.columns, drawing));
  }
}

/** A sum says more than its parts, and only the first few series are spoken. */
function totalFirst(columns: readonly ChartColumn[]): ChartColumn[] {
  return [...columns].sort((a, b) => Number(a.spec.fill === 'stack') - Number(b.spec.fill === 'stack'));
}

/** What the colours of a heat strip mean. */
function heatKey(): HTMLElement {
  const steps = [0, 1, 2, 3, 4, 5, 6].map((step) => element('span', { class: 'heat-key', 'data-step': String(step) }));
  return element('div', { class: 'legend heat-legend' }, element('span', {}, 'idle'), ...steps, element('span', {}, 'busy'));
}

function badgeText({ tier, step_ms, partial }: History): string {
  const step = duration(step_ms / 1000);
  const text = tier === 'raw' ? `raw ${step}` : `${step} min–max`;
  return partial ? `${text}, partial` : text;
}
