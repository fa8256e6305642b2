// The silences that are in force or will be: what they fit, until when, by whom and why, and the button that ends one.

import { element, timeNode } from '../dom.ts';
import { dateTime, duration } from '../format.ts';
import type { Silence } from '../protocol.ts';

/** `rule disk-full, machine db-1, mountpoint /`: what it fits. */
export function fits({ rules, machines, tags, labels }: Silence['matchers']): string {
  const named = (what: string, all: readonly string[] | undefined): string[] => (all ?? []).map((one) => `${what} ${one}`);
  const pairs = (all: Silence['matchers']['labels'] | undefined): string[] => Object.entries(all ?? {}).map(([name, value]) => `${name} ${value}`);
  const parts = [...named('rule', rules), ...named('machine', machines), ...pairs(tags), ...pairs(labels)];
  return parts.length === 0 ? 'every alert' : parts.join(', ');
}

export function silenceRow(silence: Silence, now: number): HTMLTableRowElement {
  const { id, state, matchers, starts_at, ends_at, author, comment } = silence;
  const title = state === 'pending' ? `from ${dateTime(starts_at)}` : `for another ${duration(Math.max(0, ends_at - now) / 1000)}`;
  const until = timeNode(ends_at, dateTime(ends_at), title);
  const name = fits(matchers);
  return element('tr', {},
    element('td', { 'data-label': 'Silences' }, name),
    element('td', { 'data-label': 'Until' }, until),
    element('td', { 'data-label': 'By' }, author),
    element('td', { 'data-label': 'Why' }, comment === '' ? '–' : comment),
    element('td', {}, element('button', { type: 'button', class: 'link-button', 'data-end': id, 'aria-label': `End the silence of ${name}` }, 'End')));
}
