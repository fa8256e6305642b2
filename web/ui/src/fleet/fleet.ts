// The first screen: the summary strip, active alerts, and every machine, worst first. Alpine holds the small texts; table.ts the rows.

import Alpine from '@alpinejs/csp';
import './fleet.css';
import template from './fleet.html?raw';
import { present, worstFirst, type AlertView } from '../alerts/present.ts';
import { find } from '../dom.ts';
import { count, duration, milliseconds } from '../format.ts';
import { replaceQuery } from '../router.ts';
import type { Context, Screen } from '../screen.ts';
import { stepOf } from '../shell/keys.ts';
import { DEFAULT_SORT, firstDirection, isSortKey, isStatusFilter, nextSort, tagCounts, tagNames, type Filter, type Sort, type SortKey, type StatusFilter } from './order.ts';
import { registerHottest } from './hottest-panel.ts';
import { FleetTable, type Arrangement } from './table.ts';

const ALERTS_SHOWN = 5;
const TAGS_LISTED = 100;
const RATE_MS = 1000;

interface View {
  filter: Filter;
  sort: Sort;
  arrangement: Arrangement;
}

function fromQuery(query: URLSearchParams): View {
  const status = query.get('status');
  const key = query.get('sort');
  const sort: Sort = isSortKey(key) ? { key, direction: query.get('dir') === 'ascending' ? 'ascending' : query.get('dir') === 'descending' ? 'descending' : firstDirection(key) } : DEFAULT_SORT;
  return {
    filter: { text: query.get('q') ?? '', status: isStatusFilter(status) ? status : 'all', tag: query.get('tag') ?? '' },
    sort,
    arrangement: { isCards: query.get('view') === 'cards', group: query.get('group') ?? '' },
  };
}

function toQuery({ filter, sort, arrangement }: View): string {
  const query = new URLSearchParams();
  if (filter.text !== '') query.set('q', filter.text);
  if (filter.status !== 'all') query.set('status', filter.status);
  if (filter.tag !== '') query.set('tag', filter.tag);
  if (sort.key !== DEFAULT_SORT.key) query.set('sort', sort.key);
  if (sort.direction !== firstDirection(sort.key)) query.set('dir', sort.direction);
  if (arrangement.isCards) query.set('view', 'cards');
  if (arrangement.group !== '') query.set('group', arrangement.group);
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

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
    shownText: '',
    spanText: '',
    status: view.filter.status as StatusFilter,
    tag: view.filter.tag,
    sortKey: view.sort.key as SortKey,
    tags: [] as { tag: string; label: string }[],
    group: view.arrangement.group,
    groups: [] as { tag: string; label: string }[],
    isCards: view.arrangement.isCards,
    statusOptions: [
      { id: 'all', label: 'All' },
      { id: 'up', label: 'Up' },
      { id: 'stale', label: 'Stale' },
      { id: 'down', label: 'Down' },
      { id: 'alerting', label: 'Alerting' },
    ],
    command: '',
    copyWord: 'Copy',
    init() {
      component = this;
      this.command = `COLLECTOR_AGGREGATOR_URL=${location.hostname}:50051 COLLECTOR_MACHINE_ID=name sysmonstm collector`;
      this.refresh();
    },
    refresh() {
      const { store } = context;
      const { hub } = store;
      this.isLoaded = store.isLoaded;
      this.isEmpty = store.isLoaded && store.machines.size === 0;
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
    refreshAlerts() {
      const alerts = worstFirst(context.store.alerts.values());
      const bySeverity = (severity: string): number => alerts.filter((alert) => alert.severity === severity).length;
      const [critical, warning] = [bySeverity('critical'), bySeverity('warning')];
      this.firing = count(alerts.length);
      [this.critical, this.warning] = [count(critical), count(warning)];
      [this.noCritical, this.noWarning] = [critical === 0, warning === 0];
      this.alerts = alerts.slice(0, ALERTS_SHOWN).map((alert) => present(alert, context.now()));
      this.moreAlerts = alerts.length > ALERTS_SHOWN ? `Show all ${alerts.length}` : 'History';
    },
    refreshTags() {
      this.tags = tagCounts(context.store.machines.values(), TAGS_LISTED).map(({ tag, machines }) => ({ tag, label: `${tag} (${machines})` }));
      this.groups = tagNames(context.store.machines.values()).map((tag) => ({ tag, label: `Group by ${tag}` }));
    },
    isGroup(tag: string): boolean {
      return this.group === tag;
    },
    pickGroup() {
      change({ arrangement: { ...view.arrangement, group: this.group } });
    },
    pressedTable(): string {
      return String(!this.isCards);
    },
    pressedCards(): string {
      return String(this.isCards);
    },
    showTable() {
      change({ arrangement: { ...view.arrangement, isCards: false } });
    },
    showCards() {
      change({ arrangement: { ...view.arrangement, isCards: true } });
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
    isStatus(status: string): string {
      return String(this.status === status);
    },
    isTag(tag: string): boolean {
      return this.tag === tag;
    },
    setStatus(status: StatusFilter) {
      this.status = status;
      change({ filter: { ...view.filter, status } });
    },
    pickTag() {
      change({ filter: { ...view.filter, tag: this.tag } });
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
    copy() {
      navigator.clipboard.writeText(this.command).then(
        () => (this.copyWord = 'Copied'),
        () => (this.copyWord = 'Select and copy by hand'),
      );
    },
  };
}

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
    component.status = view.filter.status;
    component.tag = view.filter.tag;
    component.sortKey = view.sort.key;
    component.group = view.arrangement.group;
    component.isCards = view.arrangement.isCards;
  }
  for (const head of document.querySelectorAll<HTMLElement>('th[data-sort]')) {
    head.setAttribute('aria-sort', head.dataset.sort === view.sort.key ? view.sort.direction : 'none');
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
  component?.refreshTags();
  applyView();
  const stop = context.store.listen((changed) => {
    component?.refresh();
    if (changed.all) component?.refreshTags();
    table?.changed(changed.all);
  });
  const search = (event: Event): void => {
    if (event instanceof CustomEvent) change({ filter: { ...view.filter, text: String(event.detail) } });
  };
  document.addEventListener('search-changed', search);
  context.live.subscribe({ machines: ['*'], detail: 'summary', rate_ms: RATE_MS });
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
