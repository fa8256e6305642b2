// The alerts screen: two tables whose rows the hub renders and htmx fetches, again whenever the live connection tells of a change;
// between them the groups that firing alerts form. An active alert can be silenced, and a silence ended.
// The hub cannot know the reader's time zone, so times arrive as <time datetime> and are put into words here.

import htmx from 'htmx.org';
import './alerts.css';
import template from './alerts.html?raw';
import { api, messageOf } from '../api.ts';
import { element, find, icon } from '../dom.ts';
import { ago, dateTime } from '../format.ts';
import type { Context, Screen } from '../screen.ts';
import type { Severity } from '../protocol.ts';
import { csvOf, download } from './export.ts';
import { groupRow, worthShowing } from './groups.ts';
import { nameOf, silenceDialog, subjectOf } from './silence.ts';

/** A burst of alerts is one change of the list. */
const REFRESH_MS = 1000;
const RATE_MS = 2000;
/** Pages of a thousand that one export reads. */
const EXPORT_PAGES_MAX = 20;
const SEVERITIES: readonly Severity[] = ['critical', 'warning', 'info'];

export function mountAlerts(place: HTMLElement, context: Context): Screen {
  const abort = new AbortController();
  const { signal } = abort;
  let timer: number | undefined;
  place.innerHTML = template;
  const silence = silenceDialog(find(place, '[data-silence-dialog]'), refresh, signal);
  place.addEventListener('htmx:afterSwap', (event) => settle(event.target, context), { signal });
  place.addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>('[data-act]') : null;
    const cell = button?.closest<HTMLElement>('[data-standing]');
    if (button === null || cell === null || cell === undefined) return;
    if (button.dataset.act === 'silence') silence(subjectOf(cell));
    else end(button, cell);
  }, { signal });
  find(place, '[data-export]').addEventListener('click', (event) => {
    const format = event.target instanceof HTMLElement ? event.target.dataset.format : undefined;
    if (format === 'csv' || format === 'json') void save(place, format, signal);
  }, { signal });
  const groups = (): void => void showGroups(place, context, signal);
  document.body.addEventListener('alerts-changed', groups, { signal });
  groups();
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
  context.live.subscribe({ machines: ['*'], detail: 'summary', rate_ms: RATE_MS });
  return {
    title: 'Alerts',
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

function refresh(): void {
  document.body.dispatchEvent(new CustomEvent('alerts-changed'));
}

function noteOf(body: Element): HTMLElement | null {
  return body.closest('section')?.querySelector<HTMLElement>('[data-note]') ?? null;
}

function settle(target: EventTarget | null, context: Context): void {
  if (!(target instanceof HTMLTableSectionElement)) return;
  for (const row of target.rows) dress(row, context.now());
  const note = noteOf(target);
  note?.replaceChildren(...(target.rows.length === 0 ? [target.dataset.empty ?? ''] : []));
}

/** The alert may be under a silence of many: its end shows all of them again. */
function end(button: HTMLButtonElement, cell: HTMLElement): void {
  button.disabled = true;
  api.endSilence(cell.dataset.silence ?? '').then(refresh).catch((error: unknown) => {
    button.disabled = false;
    noteOf(cell)?.replaceChildren(messageOf(error));
  });
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

/** The rows that are shown stay: they are the newest that are known. */
function fail(target: EventTarget | null): void {
  if (!(target instanceof Element)) return;
  const retry = document.createElement('button');
  retry.type = 'button';
  retry.className = 'link-button';
  retry.textContent = 'Try again';
  retry.addEventListener('click', refresh);
  noteOf(target)?.replaceChildren('The list could not be read. ', retry);
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
    time.textContent = `${dateTime(at)}`;
    time.title = ago(at, now);
  }
}

function addButton(cell: HTMLElement): void {
  const isSilenced = cell.dataset.standing === 'silenced';
  const [act, word] = isSilenced ? ['end', 'End silence'] : ['silence', 'Silence'];
  // An inhibited alert speaks again when its machine is back: there is nothing to silence.
  if (cell.dataset.standing === 'inhibited' || cell.querySelector('button') !== null) return;
  const button = element('button', { type: 'button', class: 'link-button', 'data-act': act, 'aria-label': `${word}: ${nameOf(subjectOf(cell))}` }, word);
  cell.append(' ', button);
}
