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
  since: string;
  sinceTitle: string;
}

/** The hub's own alert for a machine that is not heard. */
export const MACHINE_DOWN = 'machine-down';

const SEVERITY_ORDER: Record<Severity, number> = { critical: 0, warning: 1, info: 2 };

/** Worst first, then newest. */
export function worstFirst(alerts: Iterable<Alert>): Alert[] {
  return [...alerts].sort((a, b) => SEVERITY_ORDER[a.severity] - SEVERITY_ORDER[b.severity] || b.since - a.since);
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
    since: ago(alert.since, now),
    sinceTitle: bothTimes(alert.since),
  };
}
