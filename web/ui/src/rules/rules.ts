// The list of rules: what each asks, where, when it last fired, and a switch for those that are the hub's own.

import './rules.css';
import template from './rules.html?raw';
import { api, messageOf } from '../api.ts';
import { element, find, icon, sayFailed, timeNode } from '../dom.ts';
import { ago } from '../format.ts';
import type { Alert, Metric, Rule } from '../protocol.ts';
import { WHOLE_FLEET } from '../live/client.ts';
import { navigate, rulePath } from '../router.ts';
import type { Context, Screen } from '../screen.ts';
import { walk } from '../shell/keys.ts';
import { alsoWatched, besides, keeperOf, question, scope, shortageOf } from './form.ts';

const REFRESH_MS = 15_000;
/** A burst of alerts is one change of the list. */
const SETTLE_MS = 2_000;
/** As many alerts of the past as one answer holds. */
const ALERTS_MAX = 1000;

interface Fired {
  /** When its newest alert fired, as far back as was asked. */
  last: number | null;
  firing: number;
}

export function mountRules(place: HTMLElement, context: Context): Screen {
  const abort = new AbortController();
  place.innerHTML = template;
  const list = new RuleList(place, context, abort.signal);
  void list.load();
  const timer = window.setInterval(() => {
    if (!context.isPaused() && !document.hidden) void list.load();
  }, REFRESH_MS);
  let settle: number | undefined;
  const stop = context.store.listen((change) => {
    if (!change.alerts || settle !== undefined) return;
    settle = window.setTimeout(() => {
      settle = undefined;
      if (!context.isPaused()) void list.load();
    }, SETTLE_MS);
  });
  context.live.subscribe(WHOLE_FLEET);
  return {
    title: 'Rules',
    onKey: (key) => onKey(key, place),
    onResume: () => void list.load(),
    leave: () => {
      abort.abort();
      window.clearInterval(timer);
      window.clearTimeout(settle);
      stop();
    },
  };
}

/** `n` makes a new rule, `j` and `k` (or arrows) walk through those there are. */
function onKey(key: string, place: HTMLElement): boolean {
  if (key === 'n') {
    navigate(rulePath('~new'));
    return true;
  }
  return walk(key, [...place.querySelectorAll<HTMLElement>('.rule-link')]);
}

class RuleList {
  private readonly place: HTMLElement;
  private readonly context: Context;
  private readonly signal: AbortSignal;
  private metrics = new Map<string, Metric>();
  /** Of the newest load; an answer that comes after a newer question is dropped. */
  private asked = 0;

  constructor(place: HTMLElement, context: Context, signal: AbortSignal) {
    this.place = place;
    this.context = context;
    this.signal = signal;
  }

  async load(): Promise<void> {
    const asked = (this.asked += 1);
    try {
      const [rules, past, metrics] = await Promise.all([
        api.rules(this.signal),
        // The list is worth showing without the history.
        api.recentAlerts(ALERTS_MAX, this.signal).catch(() => null),
        this.metrics.size > 0 ? null : api.metrics(this.signal),
      ]);
      if (this.signal.aborted || asked !== this.asked) return;
      if (metrics !== null) this.metrics = new Map(metrics.map((metric) => [metric.name, metric]));
      this.show(rules, past);
    } catch (error) {
      if (!this.signal.aborted && asked === this.asked) this.fail(messageOf(error));
    }
  }

  private show(rules: Rule[], past: Alert[] | null): void {
    find<HTMLElement>(this.place, '[data-loading]').hidden = true;
    const note = find<HTMLElement>(this.place, '[data-note]');
    note.hidden = rules.length > 0;
    note.textContent = rules.length > 0 ? '' : 'No rule is in force: nothing but a machine that goes down will raise an alert.';
    const own = rules.filter((rule) => keeperOf(rule) === 'own').length;
    find(this.place, '[data-count]').textContent = `${rules.length}, ${own} of them your own`;
    const focused = document.activeElement?.getAttribute('data-focus');
    find(this.place, 'tbody').replaceChildren(...rules.map((rule) => this.row(rule, besides(rule, rules), firedOf(rule.name, past, this.context.store.alerts.values()), past !== null)));
    if (focused !== null && focused !== undefined) this.place.querySelector<HTMLElement>(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  private row(rule: Rule, others: readonly Rule[], fired: Fired, isPastKnown: boolean): HTMLTableRowElement {
    const metric = this.metrics.get(rule.metric);
    const keeper = keeperOf(rule);
    const link = element('a', { class: 'rule-link machine-link', href: rulePath(rule.name), 'data-focus': `link-${rule.name}` }, rule.name);
    const last = element('td', { 'data-label': 'Last fired' });
    if (fired.firing > 0) last.append(element('a', { href: '/alerts', class: 'severity', 'data-severity': rule.severity }, `${fired.firing} firing`), ' ');
    else if (fired.last !== null) last.append(timeNode(fired.last, ago(fired.last, this.context.now())));
    else last.append(element('span', { class: 'muted' }, isPastKnown ? 'not in 7 days' : 'not known'));
    return element('tr', { 'data-rule': rule.name, ...(rule.enabled ? {} : { class: 'is-off' }) },
      element('td', { 'data-label': 'On' }, this.toggle(rule, keeper)),
      element('td', { 'data-label': 'Rule', class: 'rule-name' }, element('div', {}, link, element('span', { class: 'rule-summary' }, rule.summary ?? ''))),
      element('td', { 'data-label': 'Severity' }, element('span', { class: 'severity', 'data-severity': rule.severity }, icon(rule.severity), rule.severity)),
      element('td', { 'data-label': 'Fires when' }, element('div', {}, element('span', {}, question(rule, metric?.display ?? rule.metric, metric?.unit ?? '')), ...alsoWatched(others).map((text) => element('span', { class: 'rule-summary' }, text)))),
      element('td', { 'data-label': 'Applies to' }, element('div', {}, element('span', {}, scope(rule)), ...shortage(rule))),
      last,
      element('td', { 'data-label': 'Kept by' }, element('span', { class: 'tag' }, keeper)));
  }

  private toggle(rule: Rule, keeper: ReturnType<typeof keeperOf>): HTMLElement {
    const isOwn = keeper === 'own';
    const button = element('button', { type: 'button', class: 'switch', role: 'switch', 'aria-checked': String(rule.enabled), 'aria-label': `${rule.name} is in force`, 'data-focus': `on-${rule.name}` }, element('span', { class: 'switch-knob', 'aria-hidden': 'true' }));
    if (!isOwn) {
      button.setAttribute('aria-disabled', 'true');
      button.title = keeper === 'hub' ? 'The hub asks itself with it: synthetic.every turns it off' : 'From the rule file: change it there';
    }
    button.addEventListener('click', () => {
      if (isOwn) void this.turn(rule, button);
    });
    return button;
  }

  private async turn(rule: Rule, button: HTMLElement): Promise<void> {
    button.setAttribute('aria-busy', 'true');
    const note = find<HTMLElement>(this.place, '[data-note]');
    try {
      const { source: _source, unjudged_series: _unjudged, ...body } = rule;
      await api.updateRule(rule.name, { ...body, enabled: !rule.enabled });
      await this.load();
    } catch (error) {
      button.removeAttribute('aria-busy');
      note.hidden = false;
      note.textContent = `${rule.name} was not changed. ${messageOf(error)}`;
    }
  }

  /** The rules that are shown stay: they are the newest that are known. */
  private fail(text: string): void {
    find<HTMLElement>(this.place, '[data-loading]').hidden = true;
    sayFailed(find(this.place, '[data-note]'), `The rules could not be read. ${text}`, () => void this.load());
  }
}

function shortage(rule: Rule): HTMLElement[] {
  const text = shortageOf(rule);
  if (text === '') return [];
  return [element('span', { class: 'rule-shortage', title: 'Narrow this rule or another one, or raise pipeline.bindings_max and start the hub again.' }, icon('warning'), text)];
}

function firedOf(rule: string, past: readonly Alert[] | null, firing: Iterable<Alert>): Fired {
  const now = [...firing].filter((alert) => alert.rule === rule);
  const times = [...now, ...(past ?? []).filter((alert) => alert.rule === rule)].map(({ since }) => since);
  return { last: times.length === 0 ? null : Math.max(...times), firing: now.length };
}
