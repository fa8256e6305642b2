// An alert as the lists show it: texts only, ready for a template.

import { ago, bothTimes, kindOf, operator, quantity } from '../format.ts';
import type { Alert, Severity } from '../protocol.ts';
import { machinePath } from '../router.ts';

export interface AlertView {
  id: string;
  severity: Severity;
  icon: string;
  machine: string;
  href: string;
  rule: string;
  subject: string;
  reading: string;
  /** Empty where it is active: why nobody is told of it. */
  quiet: string;
  since: string;
  sinceTitle: string;
}

/** The hub's own alert for a machine that is not heard. */
export const MACHINE_DOWN = 'machine-down';

const SEVERITY_ORDER: Record<Severity, number> = { critical: 0, warning: 1, info: 2 };

/** People are told of it: it is neither silenced nor hidden by its machine being down. An older hub says nothing of it. */
export const isActive = ({ standing }: Alert): boolean => standing === undefined || standing === 'active';

/** Active ones before those of which nobody is told, worst first, then newest. */
export function worstFirst(alerts: Iterable<Alert>): Alert[] {
  return [...alerts].sort((a, b) => Number(isActive(b)) - Number(isActive(a)) || SEVERITY_ORDER[a.severity] - SEVERITY_ORDER[b.severity] || b.since - a.since);
}

/** When the last of them ended; null when none did, or one still fires. */
export function clearSince(alerts: readonly Alert[]): number | null {
  const ends = alerts.map(({ resolved }) => resolved);
  return ends.length === 0 || ends.includes(null) ? null : Math.max(...ends.map((end) => end ?? 0));
}

export function present(alert: Alert, now: number): AlertView {
  const kind = kindOf(alert.metric, alert.unit);
  const labels = Object.values(alert.labels).join(', ');
  const what = alert.summary === null || alert.summary === '' ? alert.metric : alert.summary;
  return {
    id: alert.id,
    severity: alert.severity,
    icon: `#i-${alert.severity}`,
    machine: alert.machine,
    href: machinePath(alert.machine),
    rule: alert.rule,
    subject: labels === '' ? what : `${what} · ${labels}`,
    // It is about no value: one has stopped coming.
    reading: alert.rule === MACHINE_DOWN ? 'silent' : `${quantity(kind, alert.value)} ${operator(alert.operator)} ${quantity(kind, alert.threshold)}`,
    quiet: isActive(alert) ? '' : (alert.standing ?? ''),
    since: ago(alert.since, now),
    sinceTitle: bothTimes(alert.since),
  };
}
