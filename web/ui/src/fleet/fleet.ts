// The first screen: the summary strip, active alerts, and every machine, worst first. Alpine holds the small texts; table.ts the rows.

import Alpine from '@alpinejs/csp';
import './fleet.css';
import template from './fleet.html?raw';
import { clearSince, isActive, present, worstFirst, type AlertView } from '../alerts/present.ts';
import { api } from '../api.ts';
import { element, find } from '../dom.ts';
import { count, dateTime, duration, milliseconds } from '../format.ts';
import { WHOLE_FLEET } from '../live/client.ts';
import type { FleetStore } from '../live/store.ts';
import { replaceQuery } from '../router.ts';
import type { Context, Screen } from '../screen.ts';
import { stepOf } from '../shell/keys.ts';
import { DEFAULT_SORT, firstDirection, isSortKey, isStatusFilter, nextSort, tagCounts, tagNames, type SortKey } from './order.ts';
import { CHOOSABLE, hiddenColumns, turnColumn } from './columns.ts';
import { registerHottest } from './hottest-panel.ts';
import { FleetTable } from './table.ts';
import { fromQuery, toQuery, type View } from './view.ts';

const ALERTS_SHOWN = 5;
const ALL_CLEAR = 'All clear. No alert is firing.';
/** Among so many of the newest alerts is the one that ended last, but for a long one that began before all of them. */
const LAST_ALERTS = 50;
const TAGS_LISTED = 100;

/** The state that is on screen now; there is one fleet screen at a time. */
let view: View = { filter: { text: '', status: 'all', tag: '' }, sort: DEFAULT_SORT, arrangement: { isCards: false, group: '' } };
let table: FleetTable | null = null;
let component: Component | null = null;

type Component = ReturnType<typeof createComponent>;

/** Declares the Alpine component; once, before Alpine starts. */
export function registerFleet(context: Context): void {
  Alpine.data('fleet', () => createComponent(context));
  registerHottest();
}

function createComponent(context: Context) {
  return {
    isLoaded: false,
    isEmpty: false,
    isFilteredOut: false,
    isAddShown: false,
    stopAdd: () => {},
    hasMachines: false,
    noStale: true,
    noDown: true,
    latencyWord: '–',
    latencyNote: '\u00a0',
    total: '–',
    up: '–',
    stale: '–',
    down: '–',
    upShare: { flexGrow: '1' },
    staleShare: { flexGrow: '0' },
    downShare: { flexGrow: '0' },
    firing: '–',
    critical: '–',
    warning: '–',
    noCritical: true,
    noWarning: true,
    samples: '–',
    series: '–',
    hasLatency: false,
    p50: '–',
    p99: '–',
    slowest: '–',
    alerts: [] as AlertView[],
    moreAlerts: '',
    quietText: '',
    morePath: '/alerts',
    clearText: ALL_CLEAR,
    isClearTold: false,
    shownText: '',
    spanText: '',
    sortKey: view.sort.key as SortKey,
    isCards: view.arrangement.isCards,
    init() {
      component = this;
      this.refresh();
    },
    refresh() {
      const { store } = context;
      const { hub } = store;
      this.isLoaded = store.isLoaded;
      this.isEmpty = store.isLoaded && store.machines.size === 0;
      if (this.isEmpty && !this.isAddShown) void this.showAdd();
      if (hub !== null) {
        const { up, stale, down } = hub.machines;
        this.total = count(up + stale + down);
        this.hasMachines = up + stale + down > 0;
        [this.noStale, this.noDown] = [stale === 0, down === 0];
        [this.up, this.stale, this.down] = [count(up), count(stale), count(down)];
        [this.upShare, this.staleShare, this.downShare] = [share(up), share(stale), share(down)];
        this.samples = count(hub.samples_per_s);
        this.series = count(hub.series);
        this.hasLatency = hub.latency_ms.p50 !== null;
        this.latencyWord = 'off';
        this.latencyNote = 'no synthetic transactions';
        this.p50 = milliseconds(hub.latency_ms.p50);
        this.p99 = milliseconds(hub.latency_ms.p99);
        this.slowest = milliseconds(hub.latency_ms.max);
      }
      if (store.isLoaded) this.refreshAlerts();
    },
    /** Without a machine there is nothing else to show. */
    async showAdd() {
      this.isAddShown = true;
      const { addMachine } = await import('./add.ts');
      const { node, stop } = addMachine(context.store);
      document.querySelector('[data-add]')?.replaceChildren(node);
      this.stopAdd = stop;
    },
    refreshAlerts() {
      const alerts = worstFirst([...context.store.alerts.values()].filter(isActive));
      const quiet = context.store.alerts.size - alerts.length;
      this.quietText = quiet === 0 ? '' : `and ${count(quiet)} silenced or inhibited`;
      const bySeverity = (severity: string): number => alerts.filter((alert) => alert.severity === severity).length;
      const [critical, warning] = [bySeverity('critical'), bySeverity('warning')];
      this.firing = count(alerts.length);
      [this.critical, this.warning] = [count(critical), count(warning)];
      [this.noCritical, this.noWarning] = [critical === 0, warning === 0];
      this.alerts = alerts.slice(0, ALERTS_SHOWN).map((alert) => present(alert, context.now()));
      const isMore = alerts.length > ALERTS_SHOWN;
      this.moreAlerts = isMore ? `Show all ${count(alerts.length)}` : 'History';
      this.morePath = isMore ? '/alerts' : '/alerts?list=history';
      if (alerts.length > 0) this.isClearTold = false;
      else if (!this.isClearTold) void this.tellClear();
    },
    /** Since when, asked once each time the last alert is over. */
    async tellClear() {
      this.isClearTold = true;
      this.clearText = ALL_CLEAR;
      const since = clearSince(await api.recentAlerts(LAST_ALERTS).catch(() => []));
      if (since !== null && this.isClearTold) this.clearText = `All clear since ${dateTime(since)}.`;
    },
    pickGroup(event: Event) {
      change({ arrangement: { ...view.arrangement, group: valueOf(event) } });
    },
    pickView(event: Event) {
      const picked = valueOf(event);
      if (picked !== '') change({ arrangement: { ...view.arrangement, isCards: picked === 'cards' } });
    },
    turnColumn(event: Event) {
      if (event.target instanceof HTMLInputElement) table?.setHidden(turnColumn(hiddenColumns(), event.target.value, event.target.checked));
    },
    showCount(shown: number) {
      const total = context.store.machines.size;
      if (!context.store.isLoaded) return;
      this.shownText = shown === total ? count(total) : `${count(shown)} of ${count(total)}`;
      this.isFilteredOut = this.isLoaded && shown === 0 && total > 0;
    },
    showSpan(ms: number) {
      this.spanText = `last ${duration(Math.round(ms / 60_000) * 60)}`;
    },
    pickStatus(event: Event) {
      const status = valueOf(event);
      if (isStatusFilter(status)) change({ filter: { ...view.filter, status } });
    },
    pickTag(event: Event) {
      change({ filter: { ...view.filter, tag: valueOf(event) } });
    },
    pickSort() {
      change({ sort: { key: this.sortKey, direction: firstDirection(this.sortKey) } });
    },
    clickHead(event: Event) {
      const head = event.target instanceof Element ? event.target.closest<HTMLElement>('th[data-sort]') : null;
      const key = head?.dataset.sort ?? null;
      if (isSortKey(key)) change({ sort: nextSort(view.sort, key) });
    },
    clear() {
      Alpine.store<{ search: string }>('shell').search = '';
      change({ filter: { text: '', status: 'all', tag: '' } });
    },
    async add() {
      const { openAddMachine } = await import('./add.ts');
      openAddMachine(context.store);
    },
  };
}

/** Of the button or the choice that it comes from. */
const valueOf = ({ target }: Event): string => (target instanceof HTMLButtonElement || target instanceof HTMLSelectElement ? target.value : '');

function share(machines: number): { flexGrow: string } {
  return { flexGrow: String(machines) };
}

function change(part: Partial<View>): void {
  view = { ...view, ...part };
  replaceQuery(toQuery(view));
  applyView();
}

function applyView(): void {
  table?.setView(view.filter, view.sort, view.arrangement);
  if (component !== null) {
    component.sortKey = view.sort.key;
    component.isCards = view.arrangement.isCards;
  }
  for (const button of document.querySelectorAll<HTMLButtonElement>('.toolbar .segmented button')) {
    button.setAttribute('aria-pressed', String(button.value === view.filter.status || button.value === (view.arrangement.isCards ? 'cards' : 'table')));
  }
  showPicked();
  for (const head of document.querySelectorAll<HTMLElement>('th[data-sort]')) {
    head.setAttribute('aria-sort', head.dataset.sort === view.sort.key ? view.sort.direction : 'none');
  }
}

/** What there is to filter and to group by; the rows are waited for, and this is not. */
function listTagsSoon(place: HTMLElement, { store }: Context): void {
  requestAnimationFrame(() => setTimeout(() => {
    if (table === null) return;
    listTags(place, store);
    showPicked();
  }));
}

function listTags(place: HTMLElement, store: FleetStore): void {
  const tags = tagCounts(store.machines.values(), TAGS_LISTED).map(({ tag, machines }) => new Option(`${tag} (${machines})`, tag));
  const groups = tagNames(store.machines.values()).map((tag) => new Option(`By ${tag}`, tag));
  find(place, '[data-tags]').replaceChildren(new Option('All tags', ''), ...tags);
  find(place, '[data-groups]').replaceChildren(new Option('No groups', ''), ...groups);
}

function listColumns(hidden: ReadonlySet<string>): Node[] {
  return CHOOSABLE.map(({ id, label }) => {
    const box = element('input', { type: 'checkbox', value: id });
    box.checked = !hidden.has(id);
    return element('label', { class: 'check' }, box, label);
  });
}

function showPicked(): void {
  for (const [name, value] of [['tags', view.filter.tag], ['groups', view.arrangement.group]]) {
    const select = document.querySelector<HTMLSelectElement>(`[data-${name}]`);
    if (select !== null) select.value = value ?? '';
  }
}

export function mountFleet(place: HTMLElement, context: Context): Screen {
  view = fromQuery(new URLSearchParams(location.search));
  const shell = Alpine.store<{ search: string }>('shell');
  shell.search = view.filter.text;
  place.innerHTML = template;
  // Alpine watches the page and would start this part a moment later; the table needs its texts now.
  Alpine.initTree(find(place, '[x-data]'));
  table = new FleetTable(find(place, '.fleet-table'), {
    store: context.store,
    now: context.now,
    isPaused: context.isPaused,
    onTag: (tag) => change({ filter: { ...view.filter, tag: view.filter.tag === tag ? '' : tag } }),
    onCount: (shown) => component?.showCount(shown),
    onSpan: (ms) => component?.showSpan(ms),
  }, [view.filter, view.sort, view.arrangement]);
  listTagsSoon(place, context);
  const hidden = hiddenColumns();
  find(place, '#fleet-columns').replaceChildren(...listColumns(hidden));
  table.setHidden(hidden);
  applyView();
  if (context.store.isLoaded) table.renderRows();
  const stop = context.store.listen((changed) => {
    component?.refresh();
    if (!changed.all) return table?.changed();
    applyView();
    listTagsSoon(place, context);
  });
  const search = (event: Event): void => {
    if (event instanceof CustomEvent) change({ filter: { ...view.filter, text: String(event.detail) } });
  };
  document.addEventListener('search-changed', search);
  context.live.subscribe(WHOLE_FLEET);
  return {
    title: 'Fleet',
    onKey: (key) => onKey(key),
    onQuery: (query) => {
      view = fromQuery(query);
      shell.search = view.filter.text;
      applyView();
    },
    onTheme: () => table?.repaint(),
    leave: () => {
      stop();
      document.removeEventListener('search-changed', search);
      table?.destroy();
      component?.stopAdd();
      table = null;
      component = null;
    },
  };
}

function onKey(key: string): boolean {
  const step = stepOf(key, table?.hasFocus() ?? false);
  if (step !== 0) table?.move(step);
  return step !== 0;
}
