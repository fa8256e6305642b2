// The alert history as a file: CSV for a spreadsheet, JSON for a program. Pure, but for the last step.

import type { Alert } from '../protocol.ts';

const COLUMNS = ['id', 'rule', 'machine', 'severity', 'state', 'metric', 'labels', 'operator', 'threshold', 'value', 'unit', 'since', 'resolved', 'resolution', 'summary'] as const;

const time = (ms: number | null): string => (ms === null ? '' : new Date(ms).toISOString());

function cell(value: string | number | null | undefined): string {
  if (typeof value === 'number') return String(value);
  const text = value ?? '';
  // A spreadsheet would take it for a formula.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** RFC 4180, times in ISO 8601 and UTC, values in base units. */
export function csvOf(alerts: readonly Alert[]): string {
  const rows = alerts.map((alert) => {
    const labels = Object.entries(alert.labels).map(([name, value]) => `${name}=${value}`).join(' ');
    const values = { ...alert, labels, since: time(alert.since), resolved: time(alert.resolved) };
    return COLUMNS.map((column) => cell(values[column])).join(',');
  });
  return `${[COLUMNS.join(','), ...rows].join('\r\n')}\r\n`;
}

export function download(name: string, type: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
