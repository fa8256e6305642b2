// The alerts screen: what fires with the groups that it forms, what is over with the noisiest rules, and the silences, one of the three at a
// time. Only the one that is shown is read, again when the live connection tells of a change, each part of it at its own pace. The rows of two
// tables the hub renders and htmx fetches; it cannot know the reader's time zone, so times arrive as <time datetime> and are put into words here.

import htmx from 'htmx.org';
import './alerts.css';
import template from './alerts.html?raw';
import { api, messageOf } from '../api.ts';
import { find, setText } from '../dom.ts';
import { count, dateTime } from '../format.ts';
import { WHOLE_FLEET } from '../live/client.ts';
import { replaceQuery } from '../router.ts';
import type { Context, Screen } from '../screen.ts';
import { walk } from '../shell/keys.ts';
import { csvOf, download } from './export.ts';
import { filterFrom, filterQuery, isAll, LISTS, severityOf, type AlertFilter, type ListName } from './filter.ts';
import { groupRow, worthShowing } from './groups.ts';
import { AlertList } from './list.ts';
import { noiseRow, noisiest } from './noisy.ts';
import { Pace } from './pace.ts';
import { whole } from './paging.ts';
import { silenceDialog, subjectOf, type Subject, type Why } from './silence.ts';
import { silenceRow } from './silences.ts';

/** A burst of alerts is one change of a list. */
const BURST_MS = 500;
/** How often each part is read anew at most while alerts come and go; the active ones are the list's own matter. */
const HISTORY_MS = 5_000;
const GROUPS_MS = 10_000;
const SILENCES_MS = 10_000;
const NOISE_MS = 60_000;
/** Each part of the list that is shown is read anew so often when nothing changes. */
const RENEW_MS = 60_000;
/** Between two letters of a word that is typed. */
const TYPING_MS = 250;
/** Pages of a thousand that one export reads. */
const EXPORT_PAGES_MAX = 20;
/** As many alerts of the past as one answer holds. */
const NOISE_ALERTS_MAX = 1000;

export function mountAlerts(place: HTMLElement, context: Context): Screen {
  const abort = new AbortController();
  const { signal } = abort;
  place.innerHTML = template;
  const { filter, turn } = followFilter(place, { onChange: show, signal });
  const now = (): number => context.now();
  const listOf = (name: ListName): HTMLElement => find(place, `[data-shown="${name}"] section`);
  const showAmount = (total: number): void => setText(find(place, '[data-amount="active"]'), total === 0 ? '' : whole.format(total));
  const active = new AlertList({ panel: listOf('active'), filter, now, onTotal: (total) => {
    if (!context.store.isLoaded && isAll(filter())) showAmount(total);
  } }, signal);
  const past = new AlertList({ panel: listOf('history'), filter, now }, signal);
  const pace = (leastMs: () => number, run: () => void): Pace => new Pace(leastMs, run, () => context.isPaused());
  const silences = pace(() => SILENCES_MS, () => void showSilences(place, context, signal));
  const parts: Record<ListName, Pace[]> = {
    active: [pace(() => active.leastMs(), () => active.renew()), pace(() => GROUPS_MS, () => void showGroups(place, context, signal))],
    history: [pace(() => HISTORY_MS, () => past.renew()), pace(() => NOISE_MS, () => void showNoise(place, context, signal))],
    silences: [silences],
  };
  const soon = (wait?: number): void => parts[filter().list].forEach((part) => part.soon(wait));
  /** A person did something, or has been away: the rows at once, what is counted from them when it is due. */
  const refresh = (): void => {
    const [rows, ...counted] = parts[filter().list];
    rows?.now();
    if (rows !== silences) silences.now();
    for (const part of counted) part.soon();
  };
  function show(): void {
    const { list } = filter();
    const isAnother = (list === 'active' && active.sift()) || (list === 'history' && past.sift());
    if (!isAnother) soon();
  }
  const silence = silenceDialog(find(place, '[data-silence-dialog]'), refresh, signal);
  listenForClicks(place, { silence, refresh, signal });
  htmx.process(place);
  soon();
  silences.soon();
  const renewal = window.setInterval(() => {
    if (context.isPaused()) return;
    soon();
    silences.soon();
  }, RENEW_MS);
  const stop = context.store.listen((change) => {
    if (context.store.isLoaded) showAmount(context.store.alerts.size);
    if (change.alerts && !context.isPaused()) soon(BURST_MS);
  });
  if (context.store.isLoaded) showAmount(context.store.alerts.size);
  context.live.subscribe(WHOLE_FLEET);
  return {
    title: 'Alerts',
    onQuery: turn,
    onKey: (key) => onKey(key, place, silence),
    onResume: refresh,
    leave: () => {
      abort.abort();
      window.clearInterval(renewal);
      for (const part of Object.values(parts).flat()) part.stop();
      stop();
      // By htmx's own hand, so that it lets go of its timers and listeners too.
      htmx.swap(place, '', { swapStyle: 'innerHTML', swapDelay: 0, settleDelay: 0 });
    },
  };
}

interface Deeds {
  silence(subject: Subject, why?: Why): void;
  refresh(): void;
  signal: AbortSignal;
}

function listenForClicks(place: HTMLElement, { silence, refresh, signal }: Deeds): void {
  place.addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>('[data-act]') : null;
    const cell = button?.closest<HTMLElement>('[data-standing]');
    if (button === null || cell === null || cell === undefined) return;
    if (button.dataset.act === 'silence') silence(subjectOf(cell));
    else end(button, cell.dataset.silence ?? '', noteOf(cell), refresh);
  }, { signal });
  find(place, '[data-export]').addEventListener('click', (event) => {
    const format = event.target instanceof HTMLElement ? event.target.dataset.format : undefined;
    if (format === 'csv' || format === 'json') void save(place, format, signal);
  }, { signal });
  find(place, '[data-silences]').addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLButtonElement>('[data-end]') : null;
    if (button !== null) end(button, button.dataset.end ?? '', find(place, '[data-silences-note]'), refresh);
  }, { signal });
}

/** `j` and `k` walk through the rows; `s` silences and `a` acknowledges the alert whose row has the focus, or the first where no row has it. */
function onKey(key: string, place: HTMLElement, silence: (subject: Subject, why: Why) => void): boolean {
  const why: Why | null = key === 's' ? 'silence' : key === 'a' ? 'acknowledge' : null;
  if (why === null) return walk(key, [...place.querySelectorAll<HTMLElement>('[data-shown]:not([hidden]) tbody tr td:nth-child(2) a')]);
  // A row that has the focus and cannot be silenced, because it is already, is no leave to silence another one.
  const row = document.activeElement?.closest('tbody tr') ?? place.querySelector('[data-shown]:not([hidden]) tr:has([data-act="silence"])');
  const cell = row?.querySelector('[data-act="silence"]')?.closest<HTMLElement>('[data-standing]');
  if (cell !== null && cell !== undefined) silence(subjectOf(cell), why);
  return true;
}

function noteOf(body: Element): HTMLElement | null {
  return body.closest('section')?.querySelector<HTMLElement>('[data-note]') ?? null;
}

/** The alert may be under a silence of many: its end shows all of them again. */
function end(button: HTMLButtonElement, silence: string, note: HTMLElement | null, refresh: () => void): void {
  button.disabled = true;
  api.endSilence(silence).then(refresh).catch((error: unknown) => {
    button.disabled = false;
    note?.replaceChildren(messageOf(error));
  });
}

interface Following {
  /** Another list or another filter is chosen. */
  onChange(): void;
  signal: AbortSignal;
}

/** The choice of a list, the filter's fields and the address, kept the same; answers what is chosen now, and takes another address. */
function followFilter(place: HTMLElement, { onChange, signal }: Following): { filter(): AlertFilter; turn(query: URLSearchParams): void } {
  let filter = filterFrom(new URLSearchParams(location.search));
  let typing: number | undefined;
  const form = find<HTMLFormElement>(place, '[data-filter]');
  const input = find<HTMLInputElement>(form, 'input');
  const lists = find<HTMLElement>(place, '[data-lists]');
  const show = (): void => {
    for (const one of place.querySelectorAll<HTMLElement>('[data-shown]')) one.hidden = one.dataset.shown !== filter.list;
    // Silences have no severity, and are few.
    form.hidden = filter.list === 'silences';
    for (const button of lists.querySelectorAll<HTMLElement>('[data-list]')) button.setAttribute('aria-pressed', String(button.dataset.list === filter.list));
    for (const button of form.querySelectorAll<HTMLElement>('[data-severity]')) button.setAttribute('aria-pressed', String(button.dataset.severity === filter.severity));
  };
  const change = (part: Partial<AlertFilter>): void => {
    window.clearTimeout(typing);
    // What is typed and still waits is chosen with what is pressed.
    filter = { ...filter, text: input.value.trim(), ...part };
    replaceQuery(filterQuery(filter));
    show();
    onChange();
  };
  const turn = (query: URLSearchParams): void => {
    window.clearTimeout(typing);
    filter = filterFrom(query);
    input.value = filter.text;
    show();
    onChange();
  };
  lists.addEventListener('click', (event) => {
    const wanted = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-list]')?.dataset.list : undefined;
    const list = LISTS.find((one) => one === wanted);
    if (list !== undefined) change({ list });
  }, { signal });
  input.addEventListener('input', () => {
    window.clearTimeout(typing);
    typing = window.setTimeout(() => change({}), TYPING_MS);
  }, { signal });
  signal.addEventListener('abort', () => window.clearTimeout(typing));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    change({});
  }, { signal });
  form.addEventListener('click', (event) => {
    const severity = event.target instanceof HTMLElement ? event.target.dataset.severity : undefined;
    if (severity !== undefined) change({ severity: severityOf(severity) });
  }, { signal });
  input.value = filter.text;
  show();
  return { filter: () => filter, turn };
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
  const isCut = past.length === NOISE_ALERTS_MAX;
  setText(find(panel, '[data-noisy-span]'), isCut ? `of the newest ${count(past.length)} alerts, since ${dateTime(past.at(-1)?.since ?? context.now())}` : 'of the last 7 days');
  find(panel, 'tbody').replaceChildren(...noise.map(noiseRow));
}
