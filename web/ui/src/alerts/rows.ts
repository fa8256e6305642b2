// The rows of the alerts tables, as the hub renders them, made this page's own: local times, a link to the charts, buttons.

import { element, icon } from '../dom.ts';
import { ago, bothTimes, dateTime } from '../format.ts';
import { machinePath } from '../router.ts';
import { SEVERITIES } from './filter.ts';
import { nameOf, subjectOf } from './silence.ts';

/** A chart opened at an alert shows so much before and after it. */
const AROUND_MS = 15 * 60_000;

/** What the hub sent for each row that stands. */
const sent = new WeakMap<Element, string>();

/** Only what changed is replaced: a button must not go from under the finger, nor the focus from a link, because another alert came. */
export function renew(body: HTMLTableSectionElement, html: string, now: number): void {
  const standing = new Map([...body.rows].map((row) => [sent.get(row), row]));
  const rows = rowsOf(html).map((fresh) => {
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

/** Another page below those that are there; how many rows it has. */
export function append(body: HTMLTableSectionElement, html: string, now: number): number {
  const rows = rowsOf(html);
  for (const row of rows) {
    sent.set(row, row.outerHTML);
    dress(row, now);
  }
  body.append(...rows);
  return rows.length;
}

function rowsOf(html: string): HTMLTableRowElement[] {
  const template = element('template');
  template.innerHTML = html;
  return [...template.content.querySelectorAll('tr')];
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
