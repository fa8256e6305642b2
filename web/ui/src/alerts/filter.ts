// Which list of the alerts screen is shown, and which of its alerts: those with every word of a text, of one severity. It lives in the address.
// The hub sifts: this page has only the rows that it asked for.

import type { Severity } from '../protocol.ts';

/** The first is shown where the address says none. */
export const LISTS = ['active', 'history', 'silences'] as const;

export type ListName = (typeof LISTS)[number];

export interface AlertFilter {
  list: ListName;
  text: string;
  /** Empty: all. */
  severity: Severity | '';
}

/** The hub takes no longer text. */
const TEXT_MAX = 200;
/** The worst first. */
export const SEVERITIES: readonly Severity[] = ['critical', 'warning', 'info'];

export function filterFrom(query: URLSearchParams): AlertFilter {
  const list = LISTS.find((one) => one === query.get('list')) ?? 'active';
  return { list, text: (query.get('q') ?? '').slice(0, TEXT_MAX), severity: severityOf(query.get('severity')) };
}

export const severityOf = (word: string | null): AlertFilter['severity'] => SEVERITIES.find((one) => one === word) ?? '';

export function filterQuery({ list, text, severity }: AlertFilter): string {
  const query = new URLSearchParams();
  if (list !== 'active') query.set('list', list);
  if (text !== '') query.set('q', text);
  if (severity !== '') query.set('severity', severity);
  const all = query.toString();
  return all === '' ? '' : `?${all}`;
}

type Sifting = Pick<AlertFilter, 'text' | 'severity'>;

export const isSame = (a: Sifting, b: Sifting): boolean => a.text === b.text && a.severity === b.severity;

export const isAll = ({ text, severity }: Sifting): boolean => text === '' && severity === '';
