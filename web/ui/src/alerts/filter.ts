// Which list of the alerts screen is shown, and which of its rows: those with every word of a text, of one severity. It lives in the address.

/** The first is shown where the address says none. */
export const LISTS = ['active', 'history', 'silences'] as const;

export interface AlertFilter {
  list: (typeof LISTS)[number];
  text: string;
  /** Empty: all. */
  severity: string;
}

export function filterFrom(query: URLSearchParams): AlertFilter {
  return { list: LISTS.find((list) => list === query.get('list')) ?? 'active', text: query.get('q') ?? '', severity: query.get('severity') ?? '' };
}

export function filterQuery({ list, text, severity }: AlertFilter): string {
  const query = new URLSearchParams();
  if (list !== 'active') query.set('list', list);
  if (text !== '') query.set('q', text);
  if (severity !== '') query.set('severity', severity);
  const all = query.toString();
  return all === '' ? '' : `?${all}`;
}

export function passes({ text, severity }: Pick<AlertFilter, 'text' | 'severity'>, row: { text: string; severity: string }): boolean {
  if (severity !== '' && row.severity !== severity) return false;
  const has = row.text.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => has.includes(word));
}

/** Hides the other rows; how many are shown of how many. */
export function filterRows(rows: Iterable<HTMLTableRowElement>, filter: AlertFilter): { shown: number; all: number } {
  let [shown, all] = [0, 0];
  for (const row of rows) {
    const isShown = passes(filter, { text: row.textContent ?? '', severity: row.dataset.severity ?? '' });
    row.hidden = !isShown;
    all += 1;
    if (isShown) shown += 1;
  }
  return { shown, all };
}
