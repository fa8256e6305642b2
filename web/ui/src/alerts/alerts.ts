// The alerts screen: what fires with the groups that it forms, what is over with the noisiest rules, and the silences, one of the three at a
// time. The rows of two tables the hub renders and htmx fetches, again whenever the live connection tells of a change, shown or not.
// The hub cannot know the reader's time zone, so times arrive as <time datetime> and are put into words here.

import htmx from 'htmx.org';
import './alerts.css';
import template from './alerts.html?raw';
import { api, messageOf } from '../api.ts';
import { element, find, icon, sayFailed, setText } from '../dom.ts';
import { ago, bothTimes, dateTime } from '../format.ts';
import type { Severity } from '../protocol.ts';
import { WHOLE_FLEET } from '../live/client.ts';
import { machinePath, replaceQuery } from '../router.ts';
import type { Context, Screen } from '../screen.ts';
import { walk } from '../shell/keys.ts';
import { csvOf, download } from './export.ts';
import { filterFrom, filterQuery, filterRows, LISTS, type AlertFilter } from './filter.ts';
import { groupRow, worthShowing } from './groups.ts';
import { noiseRow, noisiest } from './noisy.ts';
import { nameOf, silenceDialog, subjectOf, type Subject, type Why } from './silence.ts';
import { silenceRow } from './silences.ts';

/** A burst of alerts is one change of the list. */
const REFRESH_MS = 1000;
/** Pages of a thousand that one export reads. */
const EXPORT_PAGES_MAX = 20;
/** The history begins short: one looks for the newest. */
const HISTORY_FIRST = 100;
const HISTORY_MAX = 1000;
/** As many alerts of the past as one answer holds. */
const NOISE_ALERTS_MAX = 1000;
/** A chart opened at an alert shows so much before and after it. */
const AROUND_MS = 15 * 60_000;
const SEVERITIES: readonly Severity[] = ['critical', 'warning', 'info'];

export function mountAlerts(place: HTMLElement, context: Context): Screen {
  const abort = new AbortController();
  const { signal } = abort;
  let timer: number | undefined;
  place.innerHTML = template;
  const silence = silenceDialog(find(place, '[data-silence-dialog]'), refresh, signal);
  const past = find<HTMLTableSectionElement>(place, 'tbody[hx-get*="resolved"]');
  const more = find<HTMLElement>(place, '[data-more]');
  more.addEventListener('click', () => {
    past.setAttribute('hx-get', `/fragments/alerts?state=resolved&limit=${HISTORY_MAX}`);
    // htmx sees that it is another question, and asks it.
    htmx.process(past);
  }, { signal });
  place.addEventListener('htmx:beforeSwap', (event) => {
    const { detail } = event as CustomEvent<{ target: Element; serverResponse: string; shouldSwap: boolean; isError: boolean }>;
    if (!(detail.target instanceof HTMLTableSectionElement) || detail.isError) return;
    detail.shouldSwap = false;
    detail.target.dataset.answered = '';
    renew(detail.target, detail.serverResponse, context.now());
    if (detail.target === past) more.hidden = past.rows.length !== HISTORY_FIRST;
    sift(detail.target, filter());
  }, { signal });
  place.addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>('[data-act]') : null;
    const cell = button?.closest<HTMLElement>('[data-standing]');
    if (button === null || cell === null || cell === undefined) return;
    if (button.dataset.act === 'silence') silence(subjectOf(cell));
    else end(button, cell.dataset.silence ?? '', noteOf(cell));
  }, { signal });
  find(place, '[data-export]').addEventListener('click', (event) => {
    const format = event.target instanceof HTMLElement ? event.target.dataset.format : undefined;
    if (format === 'csv' || format === 'json') void save(place, format, signal);
  }, { signal });
  find(place, '[data-silences]').addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>('[data-end]') : null;
    if (button !== null) end(button, button.dataset.end ?? '', find(place, '[data-silences-note]'));
  }, { signal });
  const renewRest = (): void => {
    void showGroups(place, context, signal);
    void showSilences(place, context, signal);
    void showNoise(place, context, signal);
  };
  document.body.addEventListener('alerts-changed', renewRest, { signal });
  renewRest();
  const { filter, turn } = followFilter(place, signal);
  for (const name of ['htmx:responseError', 'htmx:sendError', 'htmx:timeout']) {
    place.addEventListener(name, (event) => fail(event.target), { signal });
  }
  htmx.process(place);
  const stop = context.store.listen((change) => {
    if (!change.alerts || timer !== undefined) return;
    timer = window.setTimeout(() => {
      timer = undefined;
      if (!context.isPaused()) refresh();
    }, REFRESH_MS);
  });
  context.live.subscribe(WHOLE_FLEET);
  return {
    title: 'Alerts',
    onQuery: turn,
    onKey: (key) => onKey(key, place, silence),
    onResume: refresh,
    leave: () => {
      abort.abort();
      window.clearTimeout(timer);
      stop();
      // By htmx's own hand, so that it lets go of its timers and listeners too.
      htmx.swap(place, '', { swapStyle: 'innerHTML', swapDelay: 0, settleDelay: 0 });
    },
  };
}

/** `j` and `k` walk through the rows; `s` silences and `a` acknowledges the alert that has the focus, or else the first. */
function onKey(key: string, place: HTMLElement, silence: (subject: Subject, why: Why) => void): boolean {
  const why: Why | null = key === 's' ? 'silence' : key === 'a' ? 'acknowledge' : null;
  if (why === null) return walk(key, [...place.querySelectorAll<HTMLElement>('[data-shown]:not([hidden]) tr:not([hidden]) td:nth-child(2) a')]);
  const row = document.activeElement?.closest('tr:has([data-act="silence"])') ?? place.querySelector('[data-shown]:not([hidden]) tr:not([hidden]):has([data-act="silence"])');
  const cell = row?.querySelector<HTMLElement>('[data-standing]');
  if (cell !== null && cell !== undefined) silence(subjectOf(cell), why);
  return true;
}

function refresh(): void {
  document.body.dispatchEvent(new CustomEvent('alerts-changed'));
}

function noteOf(body: Element): HTMLElement | null {
  return body.closest('section')?.querySelector<HTMLElement>('[data-note]') ?? null;
}

/** What the hub sent for each row that stands. */
const sent = new WeakMap<Element, string>();

/** Only what changed is replaced: a button must not go from under the finger, nor the focus from a link, because another alert came. */
function renew(body: HTMLTableSectionElement, html: string, now: number): void {
  const template = element('template');
  template.innerHTML = html;
  const standing = new Map([...body.rows].map((row) => [sent.get(row), row]));
  const rows = [...template.content.querySelectorAll('tr')].map((fresh) => {
    const text = fresh.outerHTML;
    const known = standing.get(text);
    if (known !== undefined) return known;
    sent.set(fresh, text);
    dress(fresh, now);
    return fresh;
  });
  const kept = new Set(rows);
  for (const row of [...body.rows]) if (!kept.has(row)) row.remove();
  rows.forEach((row, index) => {
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  });
}

/** The alert may be under a silence of many: its end shows all of them again. */
function end(button: HTMLButtonElement, silence: string, note: HTMLElement | null): void {
  button.disabled = true;
  api.endSilence(silence).then(refresh).catch((error: unknown) => {
    button.disabled = false;
    note?.replaceChildren(messageOf(error));
  });
}

/** The choice of a list, the filter's fields and the address, kept the same; answers what is chosen now, and takes another address. */
function followFilter(place: HTMLElement, signal: AbortSignal): { filter(): AlertFilter; turn(query: URLSearchParams): void } {
  let filter = filterFrom(new URLSearchParams(location.search));
  const form = find<HTMLFormElement>(place, '[data-filter]');
  const input = find<HTMLInputElement>(form, 'input');
  const lists = find<HTMLElement>(place, '[data-lists]');
  const show = (): void => {
    for (const one of place.querySelectorAll<HTMLElement>('[data-shown]')) one.hidden = one.dataset.shown !== filter.list;
    // Silences have no severity, and are few.
    form.hidden = filter.list === 'silences';
    for (const button of lists.querySelectorAll<HTMLElement>('[data-list]')) button.setAttribute('aria-pressed', String(button.dataset.list === filter.list));
    for (const button of form.querySelectorAll<HTMLElement>('[data-severity]')) button.setAttribute('aria-pressed', String(button.dataset.severity === filter.severity));
    for (const body of place.querySelectorAll<HTMLTableSectionElement>('tbody[data-empty]')) sift(body, filter);
  };
  const change = (part: Partial<AlertFilter>): void => {
    filter = { ...filter, ...part };
    replaceQuery(filterQuery(filter));
    show();
  };
  const turn = (query: URLSearchParams): void => {
    filter = filterFrom(query);
    input.value = filter.text;
    show();
  };
  lists.addEventListener('click', (event) => {
    const wanted = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-list]')?.dataset.list : undefined;
    const list = LISTS.find((one) => one === wanted);
    if (list !== undefined) change({ list });
  }, { signal });
  input.addEventListener('input', () => change({ text: input.value.trim() }), { signal });
  form.addEventListener('submit', (event) => event.preventDefault(), { signal });
  form.addEventListener('click', (event) => {
    const severity = event.target instanceof HTMLElement ? event.target.dataset.severity : undefined;
    if (severity !== undefined) change({ severity });
  }, { signal });
  turn(new URLSearchParams(location.search));
  return { filter: () => filter, turn };
}

/** Shows the rows that pass, and says how many, or why there is none. */
function sift(body: HTMLTableSectionElement, filter: AlertFilter): void {
  const { shown, all } = filterRows(body.rows, filter);
  const counted = body.closest('section')?.querySelector('[data-counted]');
  if (counted !== null && counted !== undefined) setText(counted, all === 0 ? '' : shown === all ? String(all) : `${shown} of ${all}`);
  const amount = body.closest('[data-shown="active"]') === null ? null : body.ownerDocument.querySelector('[data-amount="active"]');
  if (amount !== null) setText(amount, all === 0 ? '' : String(all));
  // Before the hub has answered nobody knows that all is clear: what the note says then (looking, or what failed) stays.
  if (body.dataset.answered === undefined) return;
  noteOf(body)?.replaceChildren(...(shown > 0 ? [] : [all === 0 ? (body.dataset.empty ?? '') : 'No row is like that.']));
}

/** All pages of the last thirty days, as far as one file may go; it says when there were more. */
async function save(place: HTMLElement, format: 'csv' | 'json', signal: AbortSignal): Promise<void> {
  const note = find(place, '[data-export-note]');
  note.textContent = 'Collecting…';
  try {
    const { alerts, isWhole } = await api.allAlerts('now-30d', EXPORT_PAGES_MAX, signal);
    const name = `alerts-${new Date().toISOString().slice(0, 10)}.${format}`;
    if (format === 'csv') download(name, 'text/csv', csvOf(alerts));
    else download(name, 'application/json', JSON.stringify(alerts, null, 2));
    note.textContent = isWhole ? `${alerts.length} alerts` : `The newest ${alerts.length} alerts; there are more`;
  } catch (error) {
    if (!signal.aborted) note.textContent = messageOf(error);
  }
}

/** Without an answer the groups that are shown stay, as the tables do, which say what is wrong. */
async function showGroups(place: HTMLElement, context: Context, signal: AbortSignal): Promise<void> {
  const groups = await api.groups(signal).catch(() => null);
  if (groups === null || signal.aborted) return;
  const panel = find<HTMLElement>(place, '[data-groups]');
  const shown = worthShowing(groups);
  panel.hidden = shown.length === 0;
  find(panel, 'tbody').replaceChildren(...shown.map((group) => groupRow(group, context.now())));
}

async function showSilences(place: HTMLElement, context: Context, signal: AbortSignal): Promise<void> {
  const silences = await api.silences(signal).catch(() => null);
  if (silences === null || signal.aborted) return;
  const panel = find<HTMLElement>(place, '[data-silences]');
  setText(find(place, '[data-amount="silences"]'), silences.length === 0 ? '' : String(silences.length));
  setText(find(panel, '[data-silences-note]'), silences.length === 0 ? 'No silence is in force, and none will be.' : '');
  find(panel, 'tbody').replaceChildren(...silences.map((silence) => silenceRow(silence, context.now())));
}

async function showNoise(place: HTMLElement, context: Context, signal: AbortSignal): Promise<void> {
  const past = await api.recentAlerts(NOISE_ALERTS_MAX, signal).catch(() => null);
  if (past === null || signal.aborted) return;
  const panel = find<HTMLElement>(place, '[data-noisy]');
  const noise = noisiest(past, context.now());
  panel.hidden = noise.length === 0;
  find(panel, 'tbody').replaceChildren(...noise.map(noiseRow));
}

/** The rows that are shown stay: they are the newest that are known. */
function fail(target: EventTarget | null): void {
  if (!(target instanceof Element)) return;
  const note = noteOf(target);
  if (note !== null) sayFailed(note, 'The list could not be read.', refresh);
}

/** Shape and colour beside the word of the severity, labels for the card layout, local times. */
function dress(row: HTMLTableRowElement, now: number): void {
  const heads = ['Severity', 'Machine', 'Rule', 'Value', 'Since', row.querySelector('[data-standing]') === null ? 'Resolved' : 'Standing'];
  [...row.cells].forEach((cell, index) => {
    cell.dataset.label = heads[index] ?? '';
  });
  const first = row.cells[0];
  const word = first?.textContent?.trim().toLowerCase() ?? '';
  const severity = SEVERITIES.find((one) => one === word);
  if (first !== undefined && severity !== undefined && first.querySelector('svg') === null) {
    const mark = document.createElement('span');
    mark.className = 'severity';
    mark.dataset.severity = severity;
    mark.append(icon(severity), severity);
    first.replaceChildren(mark);
  }
  const standing = row.querySelector<HTMLElement>('[data-standing]');
  if (standing !== null) addButton(standing);
  for (const time of row.querySelectorAll('time')) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    time.textContent = dateTime(at);
    time.title = `${bothTimes(at)}, ${ago(at, now)}`;
  }
  leadToChart(row, now);
}

/** When it fired leads to the machine's charts of that time. */
function leadToChart(row: HTMLTableRowElement, now: number): void {
  const time = row.cells[4]?.querySelector('time');
  const machine = row.cells[1]?.textContent?.trim() ?? '';
  const at = Date.parse(time?.dateTime ?? '');
  if (time === null || time === undefined || Number.isNaN(at) || time.closest('a') !== null) return;
  const link = element('a', { href: `${machinePath(machine)}?from=${at - AROUND_MS}&to=${Math.min(now, at + AROUND_MS)}`, class: 'time-link' });
  time.replaceWith(link);
  link.append(time);
}

function addButton(cell: HTMLElement): void {
  const isSilenced = cell.dataset.standing === 'silenced';
  const [act, word] = isSilenced ? ['end', 'End silence'] : ['silence', 'Silence'];
  // An inhibited alert speaks again when its machine is back: there is nothing to silence.
  if (cell.dataset.standing === 'inhibited' || cell.querySelector('button') !== null) return;
  const button = element('button', { type: 'button', class: 'link-button', 'data-act': act, 'aria-label': `${word}: ${nameOf(subjectOf(cell))}` }, word);
  cell.append(' ', button);
}
