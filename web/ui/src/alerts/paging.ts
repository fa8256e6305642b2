// How much of a list of alerts is asked for, and what is said of it. Pure.
//
// Active alerts are few enough to be read anew, all that are shown, when they change. The past is not: its pages follow one another by a
// cursor, and once a reader has asked for an older one the list is held still, because nothing may move what is being read.

import { isAll, type AlertFilter } from './filter.ts';

export const FIRST_ROWS = 100;
export const MORE_ROWS = 500;
/** The hub gives no more in one answer. */
export const ROWS_MAX = 5_000;
/** A list that is read anew this often costs little: 100 rows are some 100 kB. */
const LEAST_MS = 2_000;
const ROWS_PER_SPAN = 1_000;

/** Every digit of a number: what is counted here is compared. */
export const whole = new Intl.NumberFormat('en');

/** What the hub said beside the rows. */
export interface Answered {
  rows: number;
  /** Of firing alerts that pass the filter; null: not said. */
  total: number | null;
  /** The cursor of the next page; empty: the range is over. */
  next: string;
}

export const moreRows = (limit: number): number => Math.min(ROWS_MAX, limit + MORE_ROWS);

/** Of a long list less often: it was asked for, but all of it comes again. */
export const leastMs = (rows: number): number => LEAST_MS * Math.max(1, Math.ceil(rows / ROWS_PER_SPAN));

/** `100 of 1,100`, `newest 100`, `7`. */
export function counted({ rows, total, next }: Answered): string {
  if (total !== null && total > rows) return `${whole.format(rows)} of ${whole.format(total)}`;
  if (next !== '') return rows === 0 ? '' : `newest ${whole.format(rows)}`;
  return rows === 0 ? '' : whole.format(rows);
}

/** What the button below the list says; empty: there is no more. */
export function moreWords({ rows, total, next }: Answered, page: number, limit: number): string {
  if (total !== null) return total > rows && rows < ROWS_MAX ? 'Show more' : '';
  if (next === '') return '';
  // The hub looks only so far at once: a short page is no end.
  return page < limit ? 'Look further back' : 'Show more of the last 7 days';
}

/** Why there is no row, or not all of them. */
export function noteWords({ rows, total, next }: Answered, filter: AlertFilter, empty: string): string {
  if (rows === 0 && next !== '') return 'Nothing like that among the newest.';
  if (rows === 0) return isAll(filter) ? empty : 'No row is like that.';
  return total !== null && total > rows && rows >= ROWS_MAX ? 'No more are shown at once: words or a severity find the others.' : '';
}
