// The screen of one machine: mounts the view and the charts, keeps the range in the address, and wires live updates to both.

import Alpine from '@alpinejs/csp';
import 'uplot/dist/uPlot.min.css';
import '../charts/charts.css';
import './machine.css';
import template from './machine.html?raw';
import { api, ApiError } from '../api.ts';
import { isPinned, onCrosshair, pin } from '../charts/crosshair.ts';
import { find } from '../dom.ts';
import { clockTime } from '../format.ts';
import { ofMachine } from '../live/client.ts';
import { navigate } from '../router.ts';
import type { Context, Screen } from '../screen.ts';
import { collectorMenu } from './collector.ts';
import { EventsPanel } from './events.ts';
import { Grid } from './grid.ts';
import { PastProcesses, ProcessLog, type ShownProcesses } from './processes.ts';
import { whyMissing } from './past.ts';
import { bounds, DEFAULT_PRESET, fixed, fromQuery, live, shift, toQuery, typed, untilNow, zoom, type Range } from './range.ts';
import { registerView, type View } from './view.ts';

const HEAD_TICK_MS = 1000;

class MachineScreen implements Screen {
  readonly title: string;
  private readonly context: Context;
  private readonly id: string;
  private readonly grid: Grid;
  private readonly events: EventsPanel;
  private readonly processes = new ProcessLog();
  private readonly pastProcesses: PastProcesses;
  /** The instant under the crosshair. */
  private hoveredAt: number | null = null;
  private view: View | null = null;
  private range: Range;
  private readonly abort = new AbortController();
  private readonly stops: (() => void)[] = [];

  constructor(place: HTMLElement, context: Context, id: string) {
    this.context = context;
    this.id = id;
    this.title = id;
    this.range = fromQuery(new URLSearchParams(location.search));
    this.pastProcesses = new PastProcesses({
      ask: (at, signal) => api.processes(id, at, AbortSignal.any([signal, this.abort.signal])),
      answered: () => this.showProcesses(),
      now: () => context.now(),
    });
    registerView(context, id, {
      pick: (preset) => this.setRange(live(preset)),
      shift: (direction) => this.setRange(shift(this.range, direction, context.now())),
      back: () => this.zoomBack(),
      type: (text) => this.type(text),
      window: () => bounds(this.range, context.now()),
      show: (from, to) => this.setRange(untilNow(fixed(from, to), context.now()), true),
    }, (view) => (this.view = view));
    place.innerHTML = template;
    Alpine.initTree(find(place, '[x-data]'));
    find(place, '[data-collector]').append(...collectorMenu(id));
    this.events = new EventsPanel(id, () => context.now());
    find(place, '[data-past]').replaceWith(this.events.node);
    this.grid = new Grid(find(place, '.charts'), context, id, this.range, {
      onZoom: (from, to) => this.setRange(untilNow(fixed(from, to), context.now()), true),
      onBack: () => this.zoomBack(),
      onPast: (alerts, window) => void this.events.show(alerts, window),
      whyMissing: (at) => whyMissing(at, this.events.events, context.store.machines.get(id)),
    });
    this.view?.showRange(this.range);
    this.refresh();
    this.wire();
    context.live.subscribe(ofMachine(id));
    void this.loadMachine();
    void this.loadNeighbours();
  }

  onKey(key: string): boolean {
    const now = this.context.now();
    switch (key) {
      case 't': this.focusRange(); return true;
      case '[': this.setRange(shift(this.range, -1, now)); return true;
      case ']': this.setRange(shift(this.range, 1, now)); return true;
      case '=': this.setRange(zoom(this.range, 0.5, now), true); return true;
      case '-': this.setRange(zoom(this.range, 2, now), true); return true;
      case '0': this.setRange(live(DEFAULT_PRESET)); return true;
      case 'h': navigate(this.view?.previous ?? '/'); return true;
      case 'l': navigate(this.view?.next ?? '/'); return true;
      case 'ArrowLeft': return !isInCharts() && this.onKey('h');
      case 'ArrowRight': return !isInCharts() && this.onKey('l');
      case 'Escape': return this.letGo();
      default: return false;
    }
  }

  private letGo(): boolean {
    const wasPinned = isPinned();
    if (wasPinned) pin(null);
    return wasPinned;
  }

  onQuery(query: URLSearchParams): void {
    this.showRange(fromQuery(query));
  }

  onTheme(): void {
    this.grid.retheme();
  }

  onResume(): void {
    this.grid.reload();
  }

  leave(): void {
    this.abort.abort();
    for (const stop of this.stops) stop();
    this.pastProcesses.stop();
    this.grid.destroy();
    this.events.destroy();
    this.view = null;
  }

  private wire(): void {
    const { store } = this.context;
    this.stops.push(store.listenUpdates((update) => this.grid.append(update)));
    this.stops.push(onCrosshair((at) => {
      this.hoveredAt = at === null ? null : at * 1000;
      this.showProcesses();
    }));
    this.stops.push(store.listen((change) => {
      if (change.machines.has(this.id) || change.all) this.refresh();
      if (change.all) this.view?.showNeighbours();
      if (change.alerts) {
        this.view?.showAlerts();
        this.grid.annotate();
      }
    }));
    const timer = window.setInterval(() => {
      const machine = store.machines.get(this.id);
      if (machine !== undefined && !document.hidden && !this.context.isPaused()) this.view?.show(machine);
    }, HEAD_TICK_MS);
    this.stops.push(() => window.clearInterval(timer));
  }

  private refresh(): void {
    const machine = this.context.store.machines.get(this.id);
    if (machine === undefined) return;
    this.view?.show(machine);
    this.grid.showMachine(machine);
    this.processes.add(machine.processes);
    this.showProcesses();
  }

  private showProcesses(): void {
    const shown = this.shownProcesses();
    this.view?.showProcesses(shown);
    this.grid.showProcesses(shown);
  }

  private shownProcesses(): ShownProcesses {
    const { hoveredAt, processes } = this;
    const list = hoveredAt === null ? processes.newest : processes.at(hoveredAt);
    // Who is up and tells of no processes never does.
    const isTold = processes.newest !== null || this.context.store.machines.get(this.id)?.status !== 'up';
    if (hoveredAt !== null && list === null && isTold) return this.pastProcesses.at(hoveredAt);
    this.pastProcesses.stop();
    return { list, note: hoveredAt === null || list === null ? '' : `at ${clockTime(list.time)}` };
  }

  private setRange(range: Range, isZoom = false): void {
    const path = location.pathname + toQuery(range);
    const depth = zoomDepth();
    if (isZoom) history.pushState({ zoom: depth + 1 }, '', path);
    else history.replaceState({ zoom: 0 }, '', path);
    this.showRange(range);
  }

  private type(text: string): boolean {
    const range = typed(text, this.context.now());
    if (range !== null) this.setRange(range, range.kind === 'fixed');
    return range !== null;
  }

  private showRange(range: Range): void {
    this.range = range;
    this.view?.showRange(range);
    this.grid.setRange(range);
  }

  /** A zoom is an entry of the browser's history, so going back undoes it; an address that was opened zoomed goes to the default. */
  private zoomBack(): void {
    if (zoomDepth() > 0) history.back();
    else if (this.range.kind === 'fixed') this.setRange(live(DEFAULT_PRESET));
    else this.setRange(zoom(this.range, 2, bounds(this.range, this.context.now())[1]), true);
  }

  private focusRange(): void {
    const pressed = document.querySelector<HTMLElement>('.range-bar [aria-pressed="true"]') ?? document.querySelector<HTMLElement>('.range-bar button');
    pressed?.focus();
  }

  private async loadMachine(): Promise<void> {
    try {
      const machine = await api.machine(this.id, this.abort.signal);
      this.context.store.mergeMachine(machine);
      void this.events.showDays(machine);
    } catch (error) {
      const isUnknown = error instanceof ApiError && error.status === 404;
      if (isUnknown && this.view !== null && !this.view.isKnown) this.view.isMissing = true;
    }
  }

  /** An address opened directly knows only its own machine; the names of the others are for the arrows in the head. */
  private async loadNeighbours(): Promise<void> {
    const { store } = this.context;
    if (!store.isLoaded) {
      try {
        for (const machine of await api.machines(this.abort.signal)) if (!store.machines.has(machine.id)) store.mergeMachine(machine);
      } catch {
        return;
      }
    }
    this.view?.showNeighbours();
  }
}

/** There the arrows move the crosshair, or scroll a table. */
function isInCharts(): boolean {
  return document.activeElement?.closest('.charts') != null;
}

function zoomDepth(): number {
  const state = history.state as { zoom?: number } | null;
  return state?.zoom ?? 0;
}

export function mountMachine(place: HTMLElement, context: Context, id: string): Screen {
  return new MachineScreen(place, context, id);
}
