// Who changed what: the record of the hub, newest first, page by page. New entries come in on top while one looks.

import './audit.css';
import template from './audit.html?raw';
import { api, messageOf } from '../api.ts';
import { element, find, sayFailed, timeNode } from '../dom.ts';
import { ago, dateTime } from '../format.ts';
import type { AuditEntry, Metric, Rule } from '../protocol.ts';
import { WHOLE_FLEET } from '../live/client.ts';
import { machinePath, rulePath } from '../router.ts';
import type { Context, Screen } from '../screen.ts';
import { detailsOf } from './detail.ts';

const REFRESH_MS = 10_000;

const WORDS: Record<AuditEntry['action'], string> = {
  rule_created: 'made the rule', rule_updated: 'changed the rule', rule_deleted: 'deleted the rule', rules_reloaded: 'read the rule file anew',
  silence_created: 'made a silence', silence_ended: 'ended a silence', command_sent: 'sent a command', letters_resent: 'sent dead letters again',
};

export function mountAudit(place: HTMLElement, context: Context): Screen {
  place.innerHTML = template;
  const list = new AuditList(place, context);
  void list.load('newer');
  find(place, '[data-more]').addEventListener('click', () => void list.load('older'));
  const timer = window.setInterval(() => {
    if (!context.isPaused() && !document.hidden) void list.load('newer');
  }, REFRESH_MS);
  context.live.subscribe(WHOLE_FLEET);
  return {
    title: 'Audit',
    onResume: () => void list.load('newer'),
    leave: () => {
      window.clearInterval(timer);
      list.leave();
    },
  };
}

class AuditList {
  private readonly place: HTMLElement;
  private readonly context: Context;
  private readonly abort = new AbortController();
  /** By id, so that a page that is read again changes nothing. */
  private readonly entries = new Map<number, AuditEntry>();
  /** For the words of changes; without them their numbers stay plain. */
  private rules: ReadonlyMap<string, Rule> = new Map();
  private metrics: ReadonlyMap<string, Metric> = new Map();
  private next: string | null = null;
  private isFirst = true;

  constructor(place: HTMLElement, context: Context) {
    this.place = place;
    this.context = context;
  }

  leave(): void {
    this.abort.abort();
  }

  async load(which: 'newer' | 'older'): Promise<void> {
    const { signal } = this.abort;
    try {
      const page = await api.audit(which === 'older' ? this.next : null, signal);
      const [rules, metrics] = await Promise.all([api.rules(signal).catch(() => []), this.metrics.size > 0 ? [...this.metrics.values()] : api.metrics(signal).catch(() => [])]);
      if (signal.aborted) return;
      this.rules = new Map(rules.map((rule) => [rule.name, rule]));
      this.metrics = new Map(metrics.map((metric) => [metric.name, metric]));
      // After a long pause the newest page may not reach down to what is shown: then it begins anew.
      const isJoined = page.entries.some(({ id }) => this.entries.has(id)) || page.next === null;
      if (which === 'newer' && !this.isFirst && !isJoined) {
        this.entries.clear();
        this.isFirst = true;
      }
      if (which === 'older' || this.isFirst) this.next = page.next;
      this.isFirst = false;
      for (const entry of page.entries) this.entries.set(entry.id, entry);
      this.show();
    } catch (error) {
      if (!signal.aborted) this.fail(messageOf(error));
    }
  }

  private show(): void {
    const sorted = [...this.entries.values()].sort((a, b) => b.id - a.id);
    find<HTMLElement>(this.place, '[data-loading]').hidden = true;
    find<HTMLElement>(this.place, '[data-more]').hidden = this.next === null;
    const note = find<HTMLElement>(this.place, '[data-note]');
    note.hidden = sorted.length > 0;
    note.textContent = sorted.length > 0 ? '' : 'Nobody has changed anything yet.';
    find(this.place, 'tbody').replaceChildren(...this.rows(sorted));
  }

  private rows(entries: readonly AuditEntry[]): HTMLTableRowElement[] {
    const details = detailsOf(entries, this.rules, this.metrics);
    return entries.map((entry, at) => this.row(entry, details[at] ?? ''));
  }

  private row({ id, time, author, address, via, action, subject, failed }: AuditEntry, detail: string): HTMLTableRowElement {
    const from = [via === 'hub' ? 'the hub itself' : via === 'grpc' ? 'gRPC' : 'HTTP', address].filter((text) => text !== '').join(', ');
    const who = element('div', { class: 'audit-who' }, author === '' ? (address === '' ? 'not known' : address) : author, element('span', {}, from));
    const href = action === 'rule_created' || action === 'rule_updated' ? rulePath(subject) : action === 'command_sent' ? machinePath(subject) : null;
    const of = href === null ? element('span', {}, subject) : element('a', { class: 'machine-link', href }, subject);
    const what = element('span', {}, WORDS[action] ?? action);
    const told = element('span', {}, failed ? element('span', { class: 'is-failed' }, 'not carried out: ') : '', detail);
    return element('tr', { 'data-id': String(id) },
      element('td', { 'data-label': 'When' }, timeNode(time, dateTime(time), ago(time, this.context.now()))),
      element('td', { 'data-label': 'Who' }, who), element('td', { 'data-label': 'What' }, what), element('td', { 'data-label': 'Of' }, of), element('td', { 'data-label': 'Detail' }, told));
  }

  /** What is shown stays. */
  private fail(text: string): void {
    find<HTMLElement>(this.place, '[data-loading]').hidden = true;
    sayFailed(find(this.place, '[data-note]'), `The record could not be read. ${text}`, () => void this.load('newer'));
  }
}
