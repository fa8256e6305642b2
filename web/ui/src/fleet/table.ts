// The fleet table, virtual: only the rows in view exist, so 1,000 machines cost as much as thirty.
//
// Kept true: the page scrolls, not a box inside it; a spacer above and below keeps the scroll bar honest; rows do not change places
// under the pointer or the keyboard focus; the order is renewed at most every five seconds unless the reader asks for another.

import { sparkSpan } from '../charts/spark.ts';
import { element, find } from '../dom.ts';
import { count } from '../format.ts';
import type { FleetStore } from '../live/store.ts';
import type { Machine } from '../protocol.ts';
import { machinePath, navigate } from '../router.ts';
import { heightOf, inView, linesOf, type Entry, type GroupHead, type LineOf } from './lines.ts';
import { groupBy, matcher, order, type Filter, type Sort } from './order.ts';
import { Row } from './row.ts';
import { SparkSeeder } from './seed.ts';
import type { Arrangement } from './view.ts';

const OVERSCAN_ROWS = 6;
const HEAD_HEIGHT = 40;
/** A card needs this much; the gap between two is in fleet.css. */
const CARD_WIDTH_MIN = 400;
/** No room for a table. To be asked instead of the window's width, which is only known once all is laid out. */
const NARROW = '(max-width: 719px)';
const REORDER_MS = 5_000;
const TICK_MS = 1_000;

export interface TableOptions {
  store: FleetStore;
  now(): number;
  isPaused(): boolean;
  onTag(tag: string): void;
  onCount(shown: number): void;
  /** How long a time the sparklines cover now. */
  onSpan(ms: number): void;
}

export class FleetTable {
  private readonly body: HTMLTableSectionElement;
  private readonly table: HTMLTableElement;
  private readonly options: TableOptions;
  private readonly above = spacer();
  private readonly below = spacer();
  private rows = new Map<string, Row>();
  /** The machines that are shown, in order; `entries` has the heads of groups between them. */
  private ids: string[] = [];
  private entries: Entry[] = [];
  private lines: LineOf[] = [];
  private shape = '';
  private readonly heads = new Map<string, HTMLTableRowElement>();
  private orderedAt = 0;
  private frame = 0;
  private isHovered = false;
  /** Rows whose machine is another, or new. */
  private unpainted: Row[] = [];
  /** Every row in view is to be shown anew, changed or not. */
  private isAllDue = false;
  private readonly abort = new AbortController();
  private readonly timer: number;
  private readonly seeder: SparkSeeder;
  private filter: Filter;
  private sort: Sort;
  private arrangement: Arrangement;

  constructor(table: HTMLTableElement, options: TableOptions, [filter, sort, arrangement]: [Filter, Sort, Arrangement]) {
    this.table = table;
    this.body = find(table, 'tbody');
    this.options = options;
    this.filter = filter;
    this.sort = sort;
    this.arrangement = arrangement;
    this.body.replaceChildren(this.above, this.below);
    this.seeder = new SparkSeeder(options.store, options.now, () => this.repaint());
    const { signal } = this.abort;
    window.addEventListener('scroll', () => this.requestFrame(), { passive: true, signal });
    window.addEventListener('resize', () => this.repaint(), { passive: true, signal });
    this.body.addEventListener('pointerenter', () => (this.isHovered = true), { signal });
    this.body.addEventListener('pointerleave', () => (this.isHovered = false), { signal });
    this.body.addEventListener('click', (event) => this.click(event), { signal });
    this.timer = window.setInterval(() => this.tick(), TICK_MS);
  }

  setView(filter: Filter, sort: Sort, arrangement: Arrangement): void {
    this.isAllDue = true;
    this.filter = filter;
    this.sort = sort;
    this.arrangement = arrangement;
    this.reorder();
  }

  /** The stylesheet leaves these columns out. */
  setHidden(columns: ReadonlySet<string>): void {
    this.table.dataset.hidden = [...columns].join(' ');
    this.repaint();
  }

  /** New values; a new order only when the last one is old and nobody is reading. */
  changed(): void {
    const isOld = Date.now() - this.orderedAt >= REORDER_MS;
    if (isOld && !this.isInUse()) this.reorder();
    else this.requestFrame();
  }

  repaint(): void {
    this.isAllDue = true;
    this.requestFrame();
  }

  /** Moves the keyboard focus by a row, scrolling when needed. */
  move(direction: number): void {
    const focused = this.hasFocus() ? document.activeElement?.closest('tr')?.dataset.id : undefined;
    const current = focused === undefined ? -1 : this.ids.indexOf(focused);
    const next = Math.min(this.ids.length - 1, Math.max(0, current + direction));
    const id = this.ids[next];
    if (id === undefined) return;
    this.reveal(id);
    this.renderRows();
    this.rows.get(id)?.link.focus({ preventScroll: true });
  }

  destroy(): void {
    this.abort.abort();
    this.seeder.stop();
    window.clearInterval(this.timer);
    cancelAnimationFrame(this.frame);
  }

  hasFocus(): boolean {
    return this.body.contains(document.activeElement);
  }

  private isInUse(): boolean {
    return this.isHovered || this.hasFocus();
  }

  private reorder(): void {
    this.orderedAt = Date.now();
    const matches = matcher(this.filter);
    const shown: Machine[] = [];
    for (const machine of this.options.store.machines.values()) if (matches(machine)) shown.push(machine);
    const ordered = order(shown, this.sort);
    const { group } = this.arrangement;
    const groups = group === '' ? [{ value: null, machines: ordered }] : groupBy(ordered, group);
    this.ids = groups.flatMap(({ machines }) => machines.map(({ id }) => id));
    this.entries = group === '' ? this.ids : groups.flatMap((one) => [headOf(group, one), ...one.machines.map(({ id }) => id)]);
    this.shape = '';
    this.table.setAttribute('aria-rowcount', String(this.ids.length + 1));
    this.options.onCount(this.ids.length);
    this.requestFrame();
  }

  private requestFrame(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.renderRows();
    });
  }

  private tick(): void {
    if (document.hidden || this.options.isPaused()) return;
    const now = this.options.now();
    const spanMs = this.spanMs(now);
    this.options.onSpan(spanMs);
    for (const row of this.rows.values()) row.tick(now);
    this.paint([...this.rows.values()].filter((row) => row.isLineOld(now, spanMs)));
  }

  private paint(rows: readonly Row[]): void {
    const now = this.options.now();
    const spanMs = this.spanMs(now);
    for (const row of rows) if (row.id !== null) row.paint(this.options.store.sparks.get(row.id), now, spanMs);
  }

  private spanMs(now: number): number {
    return sparkSpan(this.options.store.sparksSince ?? now, now);
  }

  private shownColumns(): number {
    return [...this.table.querySelectorAll('thead th')].filter((head) => head.getClientRects().length > 0).length;
  }

  private rowHeight(): number {
    return Number.parseFloat(getComputedStyle(this.body).getPropertyValue('--row-height')) || 52;
  }

  /** Cards where the reader wants them, and where a table has no room. */
  private columns(): number {
    const isNarrow = matchMedia(NARROW).matches;
    const isCards = this.arrangement.isCards || isNarrow;
    this.table.classList.toggle('is-cards', isCards);
    const columns = isCards && !isNarrow ? Math.max(1, Math.floor(this.table.clientWidth / CARD_WIDTH_MIN)) : 1;
    this.body.style.gridTemplateColumns = columns > 1 ? `repeat(${columns}, minmax(0, 1fr))` : '';
    return columns;
  }

  private layOut(): void {
    const columns = this.columns();
    const rowHeight = this.rowHeight();
    const shape = `${columns}/${rowHeight}`;
    if (shape === this.shape) return;
    this.shape = shape;
    this.lines = linesOf(this.entries, { columns, rowHeight, headHeight: HEAD_HEIGHT });
  }

  /** Rows for what is in view. The first ones are placed before anything is laid out, so that the page is laid out once: as many as a screen has. */
  renderRows(): void {
    this.layOut();
    const overscan = OVERSCAN_ROWS * this.rowHeight();
    const isFirst = this.rows.size === 0;
    const top = isFirst ? 0 : this.body.getBoundingClientRect().top;
    const [first, last] = inView(this.lines, -top - overscan, (isFirst ? screen.height : window.innerHeight) - top + overscan);
    const visible = this.lines.slice(first, last);
    this.place(visible.flatMap(({ entries }) => entries));
    const [begin, end] = [visible[0]?.top ?? 0, visible.at(-1)];
    this.above.style.height = `${begin}px`;
    this.below.style.height = `${Math.max(0, heightOf(this.lines) - (end === undefined ? 0 : end.top + end.height))}px`;
    this.above.hidden = first === 0;
    // Last, because a line has to know how wide it is; the first ones wait for their past.
    if (!isFirst) this.paint(this.unpainted);
    this.unpainted = [];
  }

  /** Rows that stay keep their node (and the focus in it); the others are taken over by machines that came into view. */
  private place(visible: readonly Entry[]): void {
    const wanted = new Set(visible.map((entry) => (typeof entry === 'string' ? entry : entry.key)));
    const free: Row[] = [];
    for (const [id, row] of this.rows) {
      if (wanted.has(id)) continue;
      free.push(row);
      this.rows.delete(id);
    }
    for (const [key, node] of this.heads) {
      if (wanted.has(key)) continue;
      node.remove();
      this.heads.delete(key);
    }
    const now = this.options.now();
    const firstId = visible.find((entry) => typeof entry === 'string');
    let index = firstId === undefined ? 0 : this.ids.indexOf(firstId);
    let previous: Element = this.above;
    // A cell over columns that are not shown would make room for them.
    const width = this.heads.size === 0 && visible.every((entry) => typeof entry === 'string') ? 0 : this.shownColumns();
    for (const entry of visible) {
      const node = typeof entry === 'string' ? this.rowOf(entry, index, free, now) : this.headNode(entry, width);
      if (node === null) continue;
      if (typeof entry === 'string') index += 1;
      if (previous.nextElementSibling !== node) previous.after(node);
      previous = node;
    }
    for (const row of free) row.node.remove();
    this.isAllDue = false;
  }

  private rowOf(id: string, index: number, free: Row[], now: number): HTMLElement | null {
    const machine = this.options.store.machines.get(id);
    if (machine === undefined) return null;
    const row = this.rows.get(id) ?? free.pop() ?? new Row();
    this.rows.set(id, row);
    if (this.isAllDue || !row.isShowing(machine, index)) {
      row.show(machine, index, now);
      this.unpainted.push(row);
    }
    this.seeder.want(id);
    return row.node;
  }

  private headNode({ key, title, note }: GroupHead, width: number): HTMLElement {
    const known = this.heads.get(key);
    const content = [title, element('span', { class: 'muted' }, note)];
    if (known !== undefined) {
      known.firstElementChild?.replaceChildren(...content);
      known.firstElementChild?.setAttribute('colspan', String(width));
      return known;
    }
    const node = element('tr', { role: 'row', class: 'group-row' }, element('th', { role: 'rowheader', scope: 'rowgroup', colspan: String(width) }, ...content));
    this.heads.set(key, node);
    return node;
  }

  private reveal(id: string): void {
    this.layOut();
    const line = this.lines.find(({ entries }) => entries.includes(id));
    if (line === undefined) return;
    const top = this.body.getBoundingClientRect().top + line.top;
    const margin = 120;
    if (top < margin) window.scrollBy(0, top - margin);
    else if (top + line.height > window.innerHeight - margin / 2) window.scrollBy(0, top + line.height - window.innerHeight + margin / 2);
  }

  private click(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const tag = target?.closest<HTMLElement>('[data-tag]')?.dataset.tag;
    if (tag !== undefined) {
      this.options.onTag(tag);
      return;
    }
    // A link goes its own way, and marking text with the mouse is no click.
    if (target?.closest('a') !== null || (window.getSelection()?.toString() ?? '') !== '') return;
    const id = target?.closest('tr')?.dataset.id;
    if (id !== undefined) navigate(machinePath(id));
  }
}

function spacer(): HTMLTableRowElement {
  return element('tr', { class: 'spacer', 'aria-hidden': 'true' });
}

function headOf(tag: string, { value, machines }: { value: string | null; machines: readonly Machine[] }): GroupHead {
  const [down, stale] = (['down', 'stale'] as const).map((status) => machines.filter((machine) => machine.status === status).length);
  const parts = [machines.length === 1 ? '1 machine' : `${count(machines.length)} machines`];
  if (down) parts.push(`${count(down)} down`);
  if (stale) parts.push(`${count(stale)} stale`);
  const firing = machines.reduce((sum, { alerts }) => sum + alerts.critical + alerts.warning, 0);
  if (firing > 0) parts.push(firing === 1 ? '1 alert' : `${count(firing)} alerts`);
  // No id of a machine has a line break.
  return { key: `\n${value ?? '\n'}`, title: value === null ? `without ${tag}` : `${tag}: ${value}`, note: parts.join(', ') };
}
