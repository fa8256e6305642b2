// All charts of one machine: which of them exist, which are in view, and how live values, rules, alerts and ranges reach them.

import { api } from '../api.ts';
import type { Alert, Machine, Rule, Update } from '../protocol.ts';
import type { Context } from '../screen.ts';
import { DiskPanel } from './disks.ts';
import { appliesTo, marksFor, thresholdsFor } from './notes.ts';
import { Mending } from './mending.ts';
import { Panel, type PanelHost } from './panel.ts';
import { bounds, type Range } from './range.ts';
import type { ShownProcesses } from './processes.ts';
import { newestOf, type LivePoints } from './seam.ts';
import { metricsOf, PANELS, seriesKey, type PanelSpec } from './specs.ts';

export interface GridActions {
  onZoom(from: number, to: number): void;
  onBack(): void;
  /** The alerts of the range that is shown came anew. */
  onPast(alerts: readonly Alert[], window: [from: number, to: number]): void;
  /** Why nothing was measured at a time, in milliseconds. */
  whyMissing(at: number): string;
}

const REFRESH_CHECK_MS = 15_000;
/** Charts a little below the edge load early, so that scrolling shows them ready. */
const VIEW_MARGIN = '200px';
/** What tells when a disk will be full. */
const DISKS_MS = 86_400_000;
const DISKS_POINTS = 144;

export class Grid {
  private readonly place: HTMLElement;
  private readonly context: Context;
  private readonly id: string;
  private readonly host: PanelHost;
  private readonly actions: GridActions;
  private readonly panels = new Map<string, Panel>();
  private readonly disks = new DiskPanel();
  private readonly views: IntersectionObserver;
  private readonly sizes: ResizeObserver;
  private readonly abort = new AbortController();
  private readonly timer: number;
  private readonly mending: Mending;
  private range: Range;
  private rules: Rule[] = [];
  private past: Alert[] = [];
  private processes: ShownProcesses = { list: null, note: '' };
  private lastPointAt = 0;
  private loadedAt = Date.now();

  constructor(place: HTMLElement, context: Context, id: string, range: Range, actions: GridActions) {
    this.place = place;
    this.context = context;
    this.id = id;
    this.range = range;
    this.actions = actions;
    this.host = {
      machine: id,
      window: () => bounds(this.range, this.context.now()),
      followsNow: () => this.range.kind === 'live',
      liveValue: (metric) => this.liveValue(metric),
      cores: () => this.context.store.machines.get(this.id)?.host?.cores ?? 1,
      intervalMs: () => this.context.store.machines.get(this.id)?.interval_ms ?? 5000,
      newest: () => newestOf(this.context.store.machines.get(this.id)),
      newestAt: () => this.context.store.machines.get(this.id)?.last_seen ?? null,
      isFrozen: () => this.context.isPaused(),
      onZoom: actions.onZoom,
      onBack: actions.onBack,
      whyMissing: actions.whyMissing,
    };
    this.views = new IntersectionObserver((entries) => this.inView(entries), { rootMargin: VIEW_MARGIN });
    this.sizes = new ResizeObserver(() => this.panels.forEach((panel) => panel.resize()));
    this.sizes.observe(place);
    this.timer = window.setInterval(() => this.refreshCoarse(), REFRESH_CHECK_MS);
    this.mending = new Mending({
      machine: () => this.context.store.machines.get(id),
      panels: () => this.panels.values(),
      window: () => this.host.window(),
      isOff: () => this.range.kind !== 'live' || document.hidden || this.context.isPaused(),
      ask: async (query) => (await api.history(id, query, this.abort.signal)).series,
    });
    this.addStandard();
    void this.loadRules();
    void this.loadPast();
    void this.loadDisks();
  }

  setRange(range: Range): void {
    this.range = range;
    this.reload();
    void this.loadPast();
  }

  reload(): void {
    this.loadedAt = Date.now();
    this.mending.begin();
    for (const panel of this.panels.values()) panel.invalidate();
  }

  /** The machine told which series it has: charts for what it lacks leave. */
  showMachine(machine: Machine): void {
    if (machine.series === undefined || machine.series.length === 0) return;
    const metrics = new Set(machine.series.map(({ metric }) => metric));
    for (const spec of PANELS) {
      const isThere = metricsOf(spec).some((metric) => metrics.has(metric)) && !this.isPointless(spec, machine);
      if (isThere) this.add(spec);
      else this.remove(spec);
    }
    if (this.disks.show(machine)) this.placeDisks();
    else this.disks.node.remove();
  }

  append(update: Update): void {
    const machine = update.machines.find(({ id }) => id === this.id);
    if (machine === undefined || machine.last_seen === null || machine.series === undefined) return;
    const isHole = this.lastPointAt !== 0 && machine.last_seen - this.lastPointAt > 3 * (machine.interval_ms ?? 5000);
    const isResumed = update.type === 'snapshot' && isHole;
    this.lastPointAt = machine.last_seen;
    if (isResumed) {
      // Points were missed while the connection or the tab was away; the history has them.
      this.reload();
      return;
    }
    const points: LivePoints = new Map(newestOf(machine).map(({ metric, labels, t: [time], v: [value] }) => [seriesKey(metric, labels), [time ?? 0, value ?? null]]));
    for (const panel of this.panels.values()) panel.appendLive(points);
  }

  showProcesses(shown: ShownProcesses): void {
    this.processes = shown;
    for (const panel of this.panels.values()) panel.showProcesses(shown);
  }

  annotate(): void {
    const machine = this.context.store.machines.get(this.id);
    const rules = this.rules.filter((rule) => appliesTo(rule, machine, this.id));
    const alerts = new Map(this.past.map((alert) => [alert.id, alert]));
    for (const alert of this.context.store.alerts.values()) if (alert.machine === this.id) alerts.set(alert.id, alert);
    for (const panel of this.panels.values()) {
      const thresholds = thresholdsFor(panel.spec, rules, (metric) => this.liveValue(metric));
      panel.annotate(thresholds, marksFor(panel.spec, alerts.values()));
    }
  }

  retheme(): void {
    for (const panel of this.panels.values()) panel.retheme();
  }

  destroy(): void {
    this.abort.abort();
    window.clearInterval(this.timer);
    this.mending.stop();
    this.views.disconnect();
    this.sizes.disconnect();
    for (const panel of this.panels.values()) panel.destroy();
  }

  private liveValue(metric: string): number | null {
    const machine = this.context.store.machines.get(this.id);
    const index = machine?.series?.findIndex((one) => one.metric === metric) ?? -1;
    return index < 0 ? null : (machine?.values?.[index] ?? null);
  }

  /** A machine without swap would show an empty chart for ever. */
  private isPointless(spec: PanelSpec, machine: Machine): boolean {
    if (spec.id !== 'swap') return false;
    const limit = machine.series?.findIndex(({ metric }) => metric === 'system.paging.limit') ?? -1;
    return limit >= 0 && machine.values?.[limit] === 0;
  }

  private addStandard(): void {
    for (const spec of PANELS) this.add(spec);
  }

  private add(spec: PanelSpec): void {
    if (this.panels.has(spec.id)) return;
    const panel = new Panel(spec, this.host);
    this.panels.set(spec.id, panel);
    panel.showProcesses(this.processes);
    const later = PANELS.slice(PANELS.indexOf(spec) + 1).map(({ id }) => this.panels.get(id)?.node).find((node) => node !== undefined);
    this.place.insertBefore(panel.node, later ?? null);
    this.views.observe(panel.node);
  }

  private remove(spec: PanelSpec): void {
    const panel = this.panels.get(spec.id);
    if (panel === undefined) return;
    this.views.unobserve(panel.node);
    panel.destroy();
    panel.node.remove();
    this.panels.delete(spec.id);
  }

  private placeDisks(): void {
    if (this.disks.node.isConnected) return;
    this.place.insertBefore(this.disks.node, this.panels.get('load')?.node.nextSibling ?? null);
  }

  private inView(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const id = entry.target instanceof HTMLElement ? entry.target.dataset.panel : undefined;
      if (id !== undefined) this.panels.get(id)?.setVisible(entry.isIntersecting);
    }
  }

  /** Minute and hour charts do not grow by live points: they are asked for again when a new window may have closed. */
  private refreshCoarse(): void {
    if (this.range.kind !== 'live' || document.hidden || this.context.isPaused()) return;
    const age = Date.now() - this.loadedAt;
    const due = [...this.panels.values()].some((panel) => age >= (panel.refreshMs() ?? Infinity));
    if (!due) return;
    this.reload();
    void this.loadPast();
  }

  private async loadRules(): Promise<void> {
    try {
      this.rules = await api.rules(this.abort.signal);
      this.annotate();
    } catch {
      // Charts without threshold lines are still right; the next visit tries again.
    }
  }

  private async loadDisks(): Promise<void> {
    const now = this.context.now();
    try {
      const { series } = await api.history(this.id, { metrics: ['system.filesystem.usage'], from: now - DISKS_MS, to: now, maxPoints: DISKS_POINTS }, this.abort.signal);
      this.disks.setPast(series);
    } catch {
      // How full the disks are is shown all the same.
    }
  }

  private async loadPast(): Promise<void> {
    const [from, to] = this.host.window();
    try {
      this.past = await api.alertHistory(this.id, from, to, this.abort.signal);
      this.annotate();
    } catch {
      if (this.abort.signal.aborted) return;
      // As above: the marks are an addition.
    }
    this.actions.onPast(this.past, [from, to]);
  }
}
