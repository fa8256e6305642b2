// One row of the fleet table, built once and rewritten for another machine when the table scrolls. Below 720 px the same cells lie as a card (CSS).

import { paintSpark } from '../charts/spark.ts';
import { element, icon, setText } from '../dom.ts';
import { ago, celsius, duration, load, network, percent } from '../format.ts';
import { loadLevel, shareLevel, temperatureLevel } from '../levels.ts';
import type { Ring } from '../live/ring.ts';
import type { Machine } from '../protocol.ts';
import { machinePath } from '../router.ts';
import { loadPerCore, tagsOf } from './order.ts';
import { SEED_GAP_MS } from './seed.ts';

const TAGS_SHOWN = 3;
/** So many missed intervals are a gap, where its past (seed.ts) is not coarser. */
const GAP_INTERVALS = 5;
const INTERVAL_MS_DEFAULT = 5000;
/** About as wide as a line is. */
const SPARK_PX = 120;

/** A number over a thin bar. */
class Meter {
  readonly node: HTMLElement;
  readonly note = element('span', { class: 'meter-note' });
  private readonly text = element('span', { class: 'value' });
  private readonly fill = element('span', { class: 'bar-fill' });

  constructor() {
    const head = element('span', { class: 'meter-head' }, this.text, this.note);
    this.node = element('span', { class: 'meter' }, head, element('span', { class: 'bar', 'aria-hidden': 'true' }, this.fill));
  }

  show(value: number | null): void {
    setText(this.text, percent(value));
    this.node.dataset.level = shareLevel(value);
    this.fill.style.transform = `scaleX(${Math.min(1, Math.max(0, value ?? 0)).toFixed(3)})`;
  }
}

export class Row {
  readonly node: HTMLTableRowElement;
  readonly link = element('a', { class: 'machine-link' });
  private readonly status = element('span', { class: 'status' });
  private readonly tags = element('span', { class: 'tags' });
  private readonly cpu = new Meter();
  private readonly spark = element('canvas', { class: 'spark', 'aria-hidden': 'true' });
  private readonly memory = new Meter();
  private readonly disk = new Meter();
  private readonly receive = element('span', { class: 'value' });
  private readonly transmit = element('span', { class: 'value' });
  private readonly load = element('span', { class: 'value' });
  private readonly temperature = element('span', { class: 'value' });
  private readonly uptime = element('span', { class: 'value' });
  private readonly seen = element('span', { class: 'value seen' });
  private readonly alerts = element('span', { class: 'alert-counts' });
  private machine: Machine | null = null;
  private position = -1;
  private paintedAt = 0;
  private shownTags = '';
  private shownAlerts = '';

  constructor() {
    this.node = element('tr', { role: 'row' });
    this.node.append(
      this.cell('status', 'Status', this.status),
      element('th', { scope: 'row', role: 'rowheader', class: 'col-name' }, this.link, this.tags),
      this.cell('cpu', 'CPU', this.cpu.node, this.spark),
      this.cell('memory', 'Memory', this.memory.node),
      this.cell('disk', 'Disk', this.disk.node),
      this.cell('network', 'Network', flow('in', '↓', this.receive), flow('out', '↑', this.transmit)),
      this.cell('load', 'Load/core', this.load),
      this.cell('temperature', 'Temperature', this.temperature),
      this.cell('uptime', 'Uptime', this.uptime),
      this.cell('seen', 'Seen', this.seen),
      this.cell('alerts', 'Alerts', this.alerts),
    );
  }

  get id(): string | null {
    return this.machine?.id ?? null;
  }

  /** Whether it shows this very state: most rows do, at most updates. */
  isShowing(machine: Machine, position: number): boolean {
    return this.machine === machine && this.position === position;
  }

  show(machine: Machine, position: number, now: number): void {
    this.machine = machine;
    this.position = position;
    const { summary } = machine;
    this.node.dataset.id = machine.id;
    this.node.setAttribute('aria-rowindex', String(position + 2));
    if (this.node.dataset.status !== machine.status) this.showStatus(machine);
    setText(this.link, machine.id);
    this.link.setAttribute('href', machinePath(machine.id));
    this.showTags(machine);
    this.cpu.show(summary.cpu);
    this.memory.show(summary.memory);
    this.disk.show(summary.disk);
    setText(this.disk.note, summary.disk_mount ?? '');
    setText(this.receive, network(summary.net_rx));
    setText(this.transmit, network(summary.net_tx));
    const perCore = loadPerCore(machine);
    setText(this.load, load(perCore));
    this.load.dataset.level = loadLevel(perCore);
    setText(this.temperature, celsius(summary.temperature));
    this.temperature.dataset.level = temperatureLevel(summary.temperature);
    setText(this.uptime, duration(summary.uptime));
    this.showAlerts(machine);
    this.tick(now);
  }

  /** What changes with time alone. */
  tick(now: number): void {
    setText(this.seen, ago(this.machine?.last_seen, now));
  }

  /** Whether time has moved the line by a pixel since it was painted. */
  isLineOld(now: number, spanMs: number): boolean {
    return now - this.paintedAt >= spanMs / SPARK_PX;
  }

  paint(ring: Ring | undefined, now: number, spanMs: number): void {
    if (this.machine === null) return;
    this.paintedAt = now;
    const gapMs = Math.max(SEED_GAP_MS, GAP_INTERVALS * (this.machine.interval_ms ?? INTERVAL_MS_DEFAULT));
    paintSpark(this.spark, ring, { now, spanMs, gapMs, isGrey: this.machine.status !== 'up' });
  }

  private cell(name: string, label: string, ...children: Node[]): HTMLElement {
    return element('td', { class: `col-${name}`, role: 'cell', 'data-label': label }, ...children);
  }

  private showStatus(machine: Machine): void {
    this.node.dataset.status = machine.status;
    this.status.dataset.status = machine.status;
    this.status.replaceChildren(icon(machine.status), element('span', {}, machine.status));
  }

  private showTags(machine: Machine): void {
    const tags = tagsOf(machine);
    const key = tags.join('\n');
    if (key === this.shownTags) return;
    this.shownTags = key;
    const chips: Node[] = tags.slice(0, TAGS_SHOWN).map((tag) => element('button', { type: 'button', class: 'tag', tabindex: '-1', 'data-tag': tag }, tag));
    if (tags.length > TAGS_SHOWN) chips.push(element('span', { class: 'tag tag-more', title: tags.join(', ') }, `+${tags.length - TAGS_SHOWN}`));
    this.tags.replaceChildren(...chips);
  }

  private showAlerts({ alerts }: Machine): void {
    const key = `${alerts.critical}/${alerts.warning}`;
    if (key === this.shownAlerts) return;
    this.shownAlerts = key;
    const counts: Node[] = [];
    if (alerts.critical > 0) counts.push(alertCount('critical', alerts.critical));
    if (alerts.warning > 0) counts.push(alertCount('warning', alerts.warning));
    this.alerts.replaceChildren(...(counts.length > 0 ? counts : [element('span', { class: 'none' }, '–')]));
  }
}

function flow(word: string, arrow: string, value: HTMLElement): HTMLElement {
  const mark = element('span', { class: 'arrow', 'aria-hidden': 'true' }, arrow);
  return element('span', { class: 'flow' }, mark, element('span', { class: 'visually-hidden' }, word), value);
}

function alertCount(severity: 'critical' | 'warning', count: number): HTMLElement {
  return element('span', { class: 'severity', 'data-severity': severity, title: `${count} ${severity}` }, icon(severity), element('span', {}, String(count)), element('span', { class: 'visually-hidden' }, severity));
}
