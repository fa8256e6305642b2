// One metric of many machines: the hottest, chosen ones, or groups by tag; one chart or many small ones, and the numbers below.
// Everything that is chosen lives in the address.

import './compare.css';
import template from './compare.html?raw';
import { api, messageOf } from '../api.ts';
import { ChartBox, lineOf } from '../charts/box.ts';
import { element, find, sayFailed } from '../dom.ts';
import { duration, fieldTime, kindOf, ofFieldTime, quantity, spanText, type Quantity } from '../format.ts';
import { bounds, datesFault, fixed, live, PRESETS, shift, untilNow } from '../machine/range.ts';
import { WHOLE_FLEET } from '../live/client.ts';
import { replaceQuery } from '../router.ts';
import type { Context, Screen } from '../screen.ts';
import { fromQuery, highestFirst, isOfSeveral, LINES_MAX, linesOfMachines, linesOfTags, MACHINES_MAX, toQuery, TOPS, type By, type Line, type Selection } from './state.ts';

/** Of the one chart that has the page to itself, in pixels. */
const ONE_HEIGHT = 300;
const REFRESH_MS = 15_000;
const POINTS = 600;
const SMALL_POINTS = 240;
/** Minutes of the fleet are kept for a week. */
const TAG_RANGE_MS_MAX = 7 * 86_400_000;

/** What an answer came to. */
interface Shown {
  lines: Line[];
  unit: string;
  from: number;
  to: number;
  stepMs: number;
  tier: string;
  missing: string[];
}

export function mountCompare(place: HTMLElement, context: Context): Screen {
  place.innerHTML = template;
  const board = new Board(place, context, fromQuery(new URLSearchParams(location.search)));
  context.live.subscribe(WHOLE_FLEET);
  const timer = window.setInterval(() => {
    if (!context.isPaused() && !document.hidden && board.followsNow()) void board.load();
  }, REFRESH_MS);
  const stop = context.store.listen((change) => {
    if (change.all) board.listChoices();
  });
  return {
    title: 'Compare',
    onQuery: (query) => board.select(fromQuery(query)),
    onTheme: () => board.retheme(),
    onResume: () => void board.load(),
    onKey: (key) => board.key(key),
    leave: () => {
      window.clearInterval(timer);
      stop();
      board.leave();
    },
  };
}

class Board {
  private readonly place: HTMLElement;
  private readonly context: Context;
  private selection: Selection;
  private request: AbortController | null = null;
  private boxes: ChartBox[] = [];
  /** What the charts that stand were made for. */
  private shape = '';
  private readonly abort = new AbortController();

  constructor(place: HTMLElement, context: Context, selection: Selection) {
    this.place = place;
    this.context = context;
    this.selection = selection;
    this.listen();
    this.listChoices();
    this.showSelection();
    void this.listMetrics();
    void this.load();
  }

  leave(): void {
    this.abort.abort();
    this.request?.abort();
    this.boxes.forEach((box) => box.destroy());
  }

  retheme(): void {
    this.boxes.forEach((box) => box.retheme());
  }

  followsNow(): boolean {
    return this.selection.range.kind === 'live';
  }

  /** `[` and `]` walk through the ranges, and through time between two dates. */
  key(key: string): boolean {
    if (key !== '[' && key !== ']') return false;
    const { range } = this.selection;
    if (range.kind === 'fixed') {
      this.change({ range: shift(range, key === '[' ? -1 : 1, this.context.now()) });
      return true;
    }
    const next = PRESETS[PRESETS.findIndex(({ id }) => id === range.preset) + (key === '[' ? -1 : 1)];
    if (next !== undefined) this.change({ range: live(next.id) });
    return true;
  }

  select(selection: Selection): void {
    this.selection = selection;
    this.showSelection();
    void this.load();
  }

  private change(part: Partial<Selection>): void {
    this.select({ ...this.selection, ...part });
    replaceQuery(toQuery(this.selection));
  }

  /** Names of machines and tags, as far as the live connection has told them. */
  listChoices(): void {
    const machines = [...this.context.store.machines.values()];
    find(this.place, 'datalist').replaceChildren(...machines.map(({ id }) => element('option', { value: id })));
    const names = new Set(machines.flatMap(({ tags }) => Object.keys(tags)));
    if (this.selection.tag !== '') names.add(this.selection.tag);
    const select = find<HTMLSelectElement>(this.place, '[data-tag]');
    select.replaceChildren(element('option', { value: '' }, 'the whole fleet'), ...[...names].sort().map((name) => element('option', { value: name }, `each ${name}`)));
    select.value = this.selection.tag;
  }

  private listen(): void {
    const { signal } = this.abort;
    const on = <T extends HTMLElement>(part: string, type: string, handle: (node: T, event: Event) => void): void => {
      const node = find<T>(this.place, `[data-${part}]`);
      node.addEventListener(type, (event) => handle(node, event), { signal });
    };
    const pressed = (event: Event): string | undefined => (event.target instanceof Element ? event.target.closest<HTMLElement>('[data-value]')?.dataset.value : undefined);
    find(this.place, '[data-top]').replaceChildren(...TOPS.map((top) => element('option', { value: String(top) }, String(top))));
    find(this.place, '[data-range]').replaceChildren(...PRESETS.map(({ id, label }) => element('button', { type: 'button', 'data-value': id }, label)));
    on<HTMLSelectElement>('metric', 'change', ({ value }) => this.change({ metric: value }));
    on<HTMLSelectElement>('top', 'change', ({ value }) => this.change({ top: Number(value) }));
    on<HTMLSelectElement>('tag', 'change', ({ value }) => this.change({ tag: value }));
    on('by', 'click', (_node, event) => this.changeBy(pressed(event) as By | undefined));
    on('range', 'click', (_node, event) => {
      const preset = pressed(event);
      if (preset !== undefined) this.change({ range: live(preset) });
    });
    on('dates', 'beforetoggle', (node) => this.fillDates(node));
    on('dates', 'submit', (node, event) => {
      event.preventDefault();
      this.pickDates(node);
    });
    on('view', 'click', (_node, event) => {
      const view = pressed(event);
      if (view !== undefined) this.change({ isSmall: view === 'small' });
    });
    on('add', 'submit', (node, event) => {
      event.preventDefault();
      const input = find<HTMLInputElement>(node, 'input');
      const id = input.value.trim();
      if (id === '' || this.selection.machines.includes(id)) input.value = '';
      else if (this.selection.machines.length < MACHINES_MAX) {
        input.value = '';
        this.change({ machines: [...this.selection.machines, id] });
      } else {
        input.setCustomValidity(`${MACHINES_MAX} machines are compared at most: take one away first.`);
        input.reportValidity();
        input.addEventListener('input', () => input.setCustomValidity(''), { once: true });
      }
    });
    on('chosen', 'click', (_node, event) => {
      const gone = pressed(event);
      if (gone !== undefined) this.change({ machines: this.selection.machines.filter((id) => id !== gone) });
    });
  }

  private fillDates(form: HTMLElement): void {
    const times = bounds(this.selection.range, this.context.now()).map(fieldTime);
    form.querySelectorAll('input').forEach((input, at) => (input.value = times[at] ?? ''));
    find(form, '[role="alert"]').textContent = '';
  }

  private pickDates(form: HTMLElement): void {
    const now = this.context.now();
    const [from, to] = [...form.querySelectorAll('input')].map(({ value }) => ofFieldTime(value)) as [number | null, number | null];
    if (from === null || to === null) return;
    const fault = datesFault(from, to, now);
    find(form, '[role="alert"]').textContent = fault;
    if (fault !== '') return;
    form.hidePopover();
    this.change({ range: untilNow(fixed(from, to), now) });
  }

  /** Whoever goes from the hottest to a choice of their own begins with those that are shown. */
  private changeBy(by: By | undefined): void {
    if (by === undefined) return;
    const shown = [...this.place.querySelectorAll<HTMLElement>('tbody [data-machine]')].map((node) => node.dataset.machine ?? '');
    const isFirst = by === 'machines' && this.selection.by === 'hottest' && this.selection.machines.length === 0;
    this.change(isFirst ? { by, machines: shown } : { by });
  }

  private showSelection(): void {
    const { by, top, machines, tag, range, isSmall } = this.selection;
    for (const part of this.place.querySelectorAll<HTMLElement>('[data-part]')) part.hidden = part.dataset.part !== by;
    const press = (part: string, value: string): void => find(this.place, `[data-${part}]`).querySelectorAll<HTMLElement>('[data-value]').forEach((button) => button.setAttribute('aria-pressed', String(button.dataset.value === value)));
    press('by', by);
    press('range', range.kind === 'live' ? range.preset : '');
    find(this.place, '[data-span]').textContent = range.kind === 'fixed' ? spanText(range.from, range.to) : '';
    press('view', isSmall ? 'small' : 'one');
    find<HTMLSelectElement>(this.place, '[data-top]').value = String(top);
    find<HTMLSelectElement>(this.place, '[data-tag]').value = tag;
    find<HTMLSelectElement>(this.place, '[data-metric]').value = this.selection.metric;
    find(this.place, '[data-chosen]').replaceChildren(...machines.map((id) => element('li', {}, element('button', { type: 'button', 'data-value': id, 'aria-label': `Take ${id} out` }, id, element('span', { 'aria-hidden': 'true' }, '×')))));
    find(this.place, '[data-what]').textContent = by === 'tag' ? 'Machines' : 'Machine';
  }

  private async listMetrics(): Promise<void> {
    const metrics = await api.metrics(this.abort.signal).catch(() => []);
    if (this.abort.signal.aborted) return;
    const listed = metrics.some(({ name }) => name === this.selection.metric) ? metrics : [...metrics, { name: this.selection.metric, display: this.selection.metric }];
    const select = find<HTMLSelectElement>(this.place, '[data-metric]');
    select.replaceChildren(...listed.map(({ name, display }) => element('option', { value: name }, display)));
    select.value = this.selection.metric;
  }

  async load(): Promise<void> {
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    this.boxes.forEach((box) => box.setLoading(true));
    const state = find<HTMLElement>(this.place, '[data-state]');
    try {
      const shown = await this.ask(request.signal);
      if (request.signal.aborted) return;
      state.textContent = '';
      this.show(shown);
    } catch (error) {
      if (request.signal.aborted) return;
      sayFailed(state, messageOf(error), () => void this.load());
      this.boxes.forEach((box) => box.setLoading(false));
      if (this.boxes.length === 0) find<HTMLElement>(this.place, '[data-note]').hidden = true;
    }
  }

  private async ask(signal: AbortSignal): Promise<Shown> {
    const { metric, by, top, tag, range, isSmall } = this.selection;
    const [from, to] = bounds(range, this.context.now());
    if (by === 'tag') {
      const rollups = await api.rollups({ metric, tag, from: Math.max(from, to - TAG_RANGE_MS_MAX), to }, signal);
      return { lines: linesOfTags(rollups), unit: rollups.unit, from, to, stepMs: rollups.step_ms, tier: `minutes of the fleet${rollups.partial ? ', partial' : ''}`, missing: [] };
    }
    const machines = by === 'machines' ? this.selection.machines : ((await api.hottest(top, signal, metric)).metrics[0]?.machines ?? []).map(({ id }) => id);
    if (machines.length === 0) return { lines: [], unit: '', from, to, stepMs: 1, tier: '', missing: [] };
    const history = await api.historyOf(machines, { metrics: [metric], from, to, maxPoints: isSmall ? SMALL_POINTS : POINTS }, signal);
    const tier = `${history.tier === 'raw' ? 'raw' : 'min–max'} ${duration(history.step_ms / 1000)}${history.partial ? ', partial' : ''}`;
    return { lines: linesOfMachines(history), unit: history.unit, from, to, stepMs: history.step_ms, tier, missing: history.unknown };
  }

  private show(shown: Shown): void {
    const lines = highestFirst(shown.lines);
    const kind = kindOf(this.selection.metric, shown.unit);
    this.draw(lines, kind, shown);
    find(this.place, '[data-tier]').textContent = shown.tier;
    find(this.place, 'tbody').replaceChildren(...lines.map((one) => this.row(one, kind)));
    const note = find<HTMLElement>(this.place, '[data-note]');
    note.textContent = this.noteOf(lines, shown);
    note.hidden = note.textContent === '';
  }

  private noteOf(lines: readonly Line[], { missing }: Shown): string {
    const parts: string[] = [];
    if (lines.length === 0) parts.push(this.selection.by === 'machines' ? 'Add a machine to compare.' : 'Nothing to compare yet: the first complete minute is some seconds away, or no machine has this metric.');
    if (this.selection.by === 'tag' && lines.length > 0 && isOfSeveral(this.selection.metric)) parts.push('Each disk or interface of a machine counts in its group; "mean" is the mean of them all.');
    if (missing.length > 0) parts.push(`Nobody knows ${missing.join(', ')}.`);
    if (!this.selection.isSmall && lines.length > LINES_MAX) parts.push(`The chart has the ${LINES_MAX} highest of ${lines.length}; small charts have them all.`);
    return parts.join(' ');
  }

  private row(one: Line, kind: Quantity): HTMLTableRowElement {
    const number = (label: string, value: number | null): HTMLElement => element('td', { 'data-label': label, class: 'number' }, quantity(kind, value));
    const name = element('th', { scope: 'row', 'data-label': this.selection.by === 'tag' ? 'Machines' : 'Machine' }, element('span', {}, element('a', { class: 'machine-link', href: one.href }, one.name), one.note === '' ? '' : element('span', { class: 'muted' }, ` ${one.note}`)));
    if (this.selection.by !== 'tag') name.dataset.machine = one.name;
    return element('tr', {}, name, number('Lowest', one.low), number('Mean', one.mean), number('Highest', one.high), number('Newest', one.last));
  }

  private draw(lines: readonly Line[], kind: Quantity, { from, to, stepMs }: Shown): void {
    const { isSmall } = this.selection;
    const groups = isSmall ? lines.map((one) => [one]) : lines.length === 0 ? [] : [lines.slice(0, LINES_MAX)];
    const shape = JSON.stringify([kind, isSmall, isSmall ? lines.map(({ name }) => name) : groups.length]);
    if (shape !== this.shape) {
      this.boxes.forEach((box) => box.destroy());
      this.boxes = groups.map((group) => {
        const title = isSmall ? (group[0]?.name ?? '') : 'All of them';
        return new ChartBox({ title, kind, hasLegend: !isSmall, ...(isSmall ? {} : { height: ONE_HEIGHT }) }, element('h2', {}, isSmall ? element('a', { class: 'machine-link', href: group[0]?.href ?? '/' }, title) : 'Over time'));
      });
      const charts = find(this.place, '[data-charts]');
      charts.classList.toggle('is-small', isSmall);
      charts.replaceChildren(...this.boxes.map(({ node }) => node));
      this.shape = shape;
    }
    // Small charts are compared by eye: all of them have the same axis.
    const top = isSmall ? Math.max(0, ...lines.map(({ high }) => high ?? 0)) * 1.1 : 0;
    const yMax = isSmall && top > 0 && kind !== 'celsius' ? top : null;
    this.boxes.forEach((box, at) => {
      const columns = (groups[at] ?? []).map(({ name, points }, index) => lineOf(name, index, points, isSmall ? 'soft' : 'none'));
      box.draw({ columns, fromMs: from, toMs: to, stepMs, yMax });
    });
  }
}
