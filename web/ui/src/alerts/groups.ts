// Groups of firing alerts: one line for what belongs together, where more than one alert does.

import { element, icon, timeNode } from '../dom.ts';
import { ago } from '../format.ts';
import type { AlertGroup } from '../protocol.ts';
import { machinePath } from '../router.ts';

/** `site eu, disk /var`: the names without what kind they are of. */
export function title({ key }: AlertGroup): string {
  const part = ([name, value]: [string, string]): string => {
    const short = name.replace(/^(tag|label):/, '');
    if (value === '') return `no ${short}`;
    return name === short ? value : `${short} ${value}`;
  };
  return Object.entries(key).map(part).join(', ');
}

/** How many, and how they stand when not all are active. */
export function counts(group: AlertGroup): string {
  const parts = (['active', 'silenced', 'inhibited'] as const).filter((how) => group[how] > 0).map((how) => `${group[how]} ${how}`);
  return group.active === group.count ? String(group.count) : `${group.count}: ${parts.join(', ')}`;
}

/** A group of one says nothing that its alert does not say. */
export const worthShowing = (groups: readonly AlertGroup[]): AlertGroup[] => groups.filter(({ count }) => count > 1);

export function groupRow(group: AlertGroup, now: number): HTMLTableRowElement {
  const severity = group.severity_active ?? group.severity;
  const mark = element('span', { class: 'severity', 'data-severity': severity }, icon(severity), severity);
  const machines = [...new Set(group.members.map(({ machine }) => machine))].slice(0, 3);
  const links = machines.flatMap((machine, index) => [index === 0 ? '' : ', ', element('a', { href: machinePath(machine) }, machine)]);
  const rest = group.count > group.members.length || new Set(group.members.map(({ machine }) => machine)).size > machines.length ? ', \u2026' : '';
  return element('tr', {},
    element('td', { 'data-label': 'Severity' }, mark),
    element('td', { 'data-label': 'Group' }, title(group)),
    element('td', { 'data-label': 'Alerts' }, counts(group)),
    element('td', { 'data-label': 'Machines' }, ...links, rest),
    element('td', { 'data-label': 'Since' }, timeNode(group.since, ago(group.since, now))));
}
