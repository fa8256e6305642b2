// Below the charts: what happened to the machine in the range that is shown, and how much of the last ninety days it was heard.

import { api, messageOf } from '../api.ts';
import { element, icon, timeNode } from '../dom.ts';
import { ago, dateTime, dayMonth, duration, percent } from '../format.ts';
import type { Alert, Machine } from '../protocol.ts';
import { daysOf, eventsOf, shareOf, type Day, type MachineEvent } from './past.ts';

const HEARD = 'system.cpu.utilization';
const UPTIME = 'system.uptime';
const LISTED_MAX = 50;
const POINTS = 1500;
const DAYS = 90;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const INTERVAL_MS_DEFAULT = 5000;
/** A day with less was a bad one. */
const [GOOD, FAIR] = [0.995, 0.95];

const ICONS: Record<MachineEvent['kind'], string> = { critical: 'critical', warning: 'warning', info: 'info', resolved: 'check', restart: 'restart', gap: 'stale' };
const WORDS: Record<MachineEvent['kind'], string> = { critical: 'critical', warning: 'warning', info: 'info', resolved: 'resolved', restart: 'restart', gap: 'gap' };

export class EventsPanel {
  readonly node: HTMLElement;
  private readonly id: string;
  private readonly now: () => number;
  private readonly list = element('ol', { class: 'event-list' });
  private readonly note = element('p', { class: 'empty-row', role: 'status' }, 'Looking…');
  private readonly days = element('div', { class: 'day-bars' });
  private readonly daysNote = element('span', { class: 'muted' });
  private readonly heard: HTMLElement;
  private readonly abort = new AbortController();
  private request: AbortController | null = null;

  constructor(id: string, now: () => number) {
    this.id = id;
    this.now = now;
    const events = element('section', { class: 'panel', 'aria-labelledby': 'events-title', 'data-panel': 'events' }, element('header', { class: 'panel-head' }, element('h2', { id: 'events-title' }, 'Events'), element('span', { class: 'muted' }, 'in this range')), this.list, this.note);
    this.heard = element('section', { class: 'panel', 'aria-labelledby': 'days-title', 'data-panel': 'days' }, element('header', { class: 'panel-head' }, element('h2', { id: 'days-title' }, 'Heard from'), this.daysNote), this.days);
    this.node = element('div', { class: 'past' }, this.heard, events);
  }

  /** What happened in the range that was shown last, once it is known. */
  events: readonly MachineEvent[] = [];

  /** The alerts are those that the charts mark. */
  async show(alerts: readonly Alert[], [from, to]: [number, number]): Promise<void> {
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    try {
      const { series, step_ms: stepMs } = await api.history(this.id, { metrics: [HEARD, UPTIME], from, to, maxPoints: POINTS }, request.signal);
      if (request.signal.aborted) return;
      const of = (metric: string) => series.find((one) => one.metric === metric);
      this.events = eventsOf(alerts, of(HEARD), of(UPTIME), stepMs);
      this.fill(this.events.filter(({ at }) => at >= from && at <= to));
    } catch (error) {
      if (!request.signal.aborted) this.note.textContent = messageOf(error);
    }
  }

  /** Nothing where the machine does not send what is counted: payments come when they come. */
  async showDays({ series: known, interval_ms: intervalMs }: Pick<Machine, 'series' | 'interval_ms'>): Promise<void> {
    this.heard.hidden = known !== undefined && !known.some(({ metric }) => metric === HEARD);
    if (this.heard.hidden) return;
    const now = this.now();
    try {
      const { series } = await api.hourCounts(this.id, HEARD, now - DAYS * DAY_MS, now, this.abort.signal);
      const days = daysOf(series[0], HOUR_MS / (intervalMs ?? INTERVAL_MS_DEFAULT), now, DAYS);
      const share = shareOf(days);
      this.daysNote.textContent = share === null ? 'The first whole hour is not over yet.' : `${percent(share)} of ${daysKnown(days)}`;
      this.days.replaceChildren(dayBars(days));
    } catch (error) {
      if (!this.abort.signal.aborted) this.daysNote.textContent = messageOf(error);
    }
  }

  destroy(): void {
    this.abort.abort();
    this.request?.abort();
  }

  private fill(events: readonly MachineEvent[]): void {
    this.list.replaceChildren(...events.slice(0, LISTED_MAX).map((event) => eventItem(event, this.now())));
    const more = events.length - LISTED_MAX;
    this.note.hidden = events.length > 0 && more <= 0;
    this.note.textContent = events.length === 0 ? 'Nothing happened: no alert, no restart, no gap.' : `${more} older ones are not listed.`;
  }
}

function daysKnown(days: readonly Day[]): string {
  const known = days.filter(({ share }) => share !== null).length;
  return known === 1 ? 'today' : `the last ${known} days`;
}

function dayBars(days: readonly Day[]): HTMLElement {
  const bars = days.map(({ at, share }) => {
    const level = share === null ? 'none' : share >= GOOD ? 'ok' : share >= FAIR ? 'warn' : 'critical';
    return element('span', { class: 'day-bar', 'data-level': level, title: `${dayMonth(at)}: ${share === null ? 'not known' : percent(share)}` });
  });
  const share = shareOf(days);
  const label = share === null ? 'Nothing is known yet' : `Heard from ${percent(share)} of ${daysKnown(days)}`;
  const ends = element('span', { class: 'day-ends', 'aria-hidden': 'true' }, element('span', {}, `${DAYS} days ago`), element('span', {}, 'today'));
  return element('div', {}, element('div', { class: 'day-row', role: 'img', 'aria-label': label }, ...bars), ends);
}

function eventItem({ at, kind, title, lastedMs }: MachineEvent, now: number): HTMLElement {
  const lasted = lastedMs === undefined ? '' : lastedMs === null ? 'goes on' : `for ${duration(lastedMs / 1000)}`;
  return element('li', { class: 'event' },
    element('span', { class: 'event-mark', 'data-kind': kind }, icon(ICONS[kind]), WORDS[kind]),
    element('span', { class: 'event-title' }, title),
    element('span', { class: 'muted' }, lasted),
    timeNode(at, dateTime(at), ago(at, now)));
}
