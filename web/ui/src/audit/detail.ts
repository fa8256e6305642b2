// What an entry of the record says in detail, for a person. Pure.

import { fits } from '../alerts/silences.ts';
import { dateTime } from '../format.ts';
import type { AuditEntry, Silence } from '../protocol.ts';

/** The record keeps what a silence fits as JSON. */
export function detailOf({ action, detail }: Pick<AuditEntry, 'action' | 'detail'>): string {
  const [, matchers, until, comment] = (action === 'silence_created' ? /^(\{.*\}) until (\S+?Z)(?:: (.*))?$/s.exec(detail) : null) ?? [];
  if (matchers === undefined || until === undefined) return detail;
  try {
    return `${fits(JSON.parse(matchers) as Silence['matchers'])}; until ${dateTime(Date.parse(until))}${comment === undefined ? '' : `; ${comment}`}`;
  } catch {
    return detail;
  }
}
