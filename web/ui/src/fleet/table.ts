// The fleet table, virtual: only the rows in view exist, so 1,000 machines cost as much as thirty.
//
// Kept true: the page scrolls, not a box inside it; a spacer above and below keeps the scroll bar honest; rows do not change places
// under the pointer or the keyboard focus; the order is renewed at most every five seconds unless the reader asks for another.

import { sparkSpan } from '../charts/spark.ts';
import { element, find } from '../dom.ts';
import type { FleetStore } from '../live/store.ts';
import type { Machine } from '../protocol.ts';
import { machinePath, navigate } from '../router.ts';
import { matcher, order, type Filter, type Sort } from './order.ts';
import { Row } from './row.ts';
import { SparkSeeder } from './seed.ts';

const OVERSCAN_ROWS = 6;
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
  private ids: string[] = [];
  private orderedAt = 0;
  private frame = 0;
  private isHovered = false;
  private readonly abort = new AbortController();
  private readonly timer: number;
  private readonly seeder: SparkSeeder;
  private filter: Filter;
  private sort: Sort;

  constructor(table: HTMLTableElement, options: TableOptions, filter: Filter, sort: Sort) {
    this.table = table;
    this.body = find(table, 'tbody');
    this.options = options;
    this.filter = filter;
    this.sort = sort;
    this.body.replaceChildren(this.above, this.below);
    this.seeder = new SparkSeeder(options.store, options.now, () => this.requestFrame());
    const { signal } = this.abort;
    window.addEventListener('scroll', () => this.requestFrame(), { passive: true, signal });
    window.addEventListener('resize', () => this.requestFrame(), { passive: true, signal });
    this.body.addEventListener('pointerenter', () => (this.isHovered = true), { signal });
    this.body.addEventListener('pointerleave', () => (this.isHovered = false), { signal });
    this.body.addEventListener('click', (event) => this.click(event), { signal });
    this.timer = window.setInterval(() => this.tick(), TICK_MS);
  }

  setView(filter: Filter, sort: Sort): void {
    this.filter = filter;
    this.sort = sort;
    this.reorder();
  }

  /** New values; a new order only when machines came or went, or the last one is old and nobody is reading. */
  changed(all: boolean): void {
    const isOld = Date.now() - this.orderedAt >= REORDER_MS;
    if (all || (isOld && !this.isInUse())) this.reorder();
    else this.requestFrame();
  }

  repaint(): void {
    this.requestFrame();
  }

  /** Moves the keyboard focus by a row, scrolling when needed. */
  move(direction: -1 | 1): void {
    const focused = this.body.contains(document.activeElement) ? document.activeElement?.closest('tr')?.dataset.id : undefined;
    const current = focused === undefined ? -1 : this.ids.indexOf(focused);
    const next = Math.min(this.ids.length - 1, Math.max(0, current + direction));
    const id = this.ids[next];
    if (id === undefined) return;
    this.reveal(next);
    this.renderRows();
    this.rows.get(id)?.link.focus({ preventScroll: true });
  }

  destroy(): void {
    this.abort.abort();
    this.seeder.stop();
    window.clearInterval(this.timer);
    cancelAnimationFrame(this.frame);
  }

  private isInUse(): boolean {
    return this.isHovered || this.body.contains(document.activeElement);
  }

  private reorder(): void {
    this.orderedAt = Date.now();
    const matches = matcher(this.filter);
    const shown: Machine[] = [];
    for (const machine of this.options.store.machines.values()) if (matches(machine)) shown.push(machine);
    this.ids = order(shown, this.sort).map((machine) => machine.id);
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
    for (const row of this.rows.values()) {
      row.tick(now);
      if (row.id !== null) row.paint(this.options.store.sparks.get(row.id), now, spanMs);
    }
  }

  private spanMs(now: number): number {
    return sparkSpan(this.options.store.sparksSince ?? now, now);
  }

  private rowHeight(): number {
    return Number.parseFloat(getComputedStyle(this.body).getPropertyValue('--row-height')) || 52;
  }

  private renderRows(): void {
    const height = this.rowHeight();
    const top = this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - OVERSCAN_ROWS);
    const last = Math.min(this.ids.length, Math.ceil((window.innerHeight - top) / height) + OVERSCAN_ROWS);
    const visible = this.ids.slice(first, Math.max(first, last));
    this.place(visible, first);
    this.above.style.height = `${first * height}px`;
    this.below.style.height = `${Math.max(0, this.ids.length - first - visible.length) * height}px`;
    this.above.hidden = first === 0;
  }

  /** Rows that stay keep their node (and the focus in it); the others are taken over by machines that came into view. */
  private place(visible: readonly string[], first: number): void {
    const wanted = new Set(visible);
    const free: Row[] = [];
    for (const [id, row] of this.rows) {
      if (wanted.has(id)) continue;
      free.push(row);
      this.rows.delete(id);
    }
    const now = this.options.now();
    const spanMs = this.spanMs(now);
    let previous: Element = this.above;
    visible.forEach((id, index) => {
      const machine = this.options.store.machines.get(id);
      if (machine === undefined) return;
      const row = this.rows.get(id) ?? free.pop() ?? new Row();
      this.rows.set(id, row);
      row.show(machine, first + index, now);
      if (previous.nextElementSibling !== row.node) previous.after(row.node);
      row.paint(this.options.store.sparks.get(id), now, spanMs);
      this.seeder.want(id);
      previous = row.node;
    });
    for (const row of free) row.node.remove();
  }

  private reveal(index: number): void {
    const height = this.rowHeight();
    const top = this.body.getBoundingClientRect().top + index * height;
    const margin = 120;
    if (top < margin) window.scrollBy(0, top - margin);
    else if (top + height > window.innerHeight - margin / 2) window.scrollBy(0, top + height - window.innerHeight + margin / 2);
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
