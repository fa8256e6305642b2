// The rules that fired most in the last week: those whose threshold is worth another look.

import { element, icon } from '../dom.ts';
import { count, duration } from '../format.ts';
import type { Alert, Severity } from '../protocol.ts';
import { rulePath } from '../router.ts';

export interface Noise {
  rule: string;
  severity: Severity;
  fired: number;
  machines: number;
  firingMs: number;
}

const LISTED_MAX = 5;

/** Most alerts first. One rule that fired once is no noise. */
export function noisiest(alerts: readonly Alert[], now: number): Noise[] {
  const rules = new Map<string, { noise: Noise; machines: Set<string> }>();
  for (const { rule, severity, machine, since, resolved } of alerts) {
    const known = rules.get(rule) ?? { noise: { rule, severity, fired: 0, machines: 0, firingMs: 0 }, machines: new Set<string>() };
    rules.set(rule, known);
    known.machines.add(machine);
    known.noise.fired += 1;
    known.noise.machines = known.machines.size;
    known.noise.firingMs += (resolved ?? now) - since;
  }
  const all = [...rules.values()].map(({ noise }) => noise).filter(({ fired }) => fired > 1);
  return all.sort((a, b) => b.fired - a.fired || (a.rule < b.rule ? -1 : 1)).slice(0, LISTED_MAX);
}

export function noiseRow({ rule, severity, fired, machines, firingMs }: Noise): HTMLTableRowElement {
  return element('tr', {},
    element('td', { 'data-label': 'Severity' }, element('span', { class: 'severity', 'data-severity': severity }, icon(severity), severity)),
    element('td', { 'data-label': 'Rule' }, element('a', { href: rulePath(rule) }, rule)),
    element('td', { 'data-label': 'Alerts' }, count(fired)),
    element('td', { 'data-label': 'Machines' }, count(machines)),
    element('td', { 'data-label': 'Firing' }, duration(firingMs / 1000)));
}
