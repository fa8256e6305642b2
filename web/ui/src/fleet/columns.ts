// Which columns of the fleet table are shown: the reader's choice, kept in the browser. Status and name always are.

export interface ColumnChoice {
  id: string;
  label: string;
}

export const CHOOSABLE: readonly ColumnChoice[] = [
  { id: 'cpu', label: 'CPU' },
  { id: 'memory', label: 'Memory' },
  { id: 'disk', label: 'Fullest disk' },
  { id: 'network', label: 'Network' },
  { id: 'load', label: 'Load per core' },
  { id: 'temperature', label: 'Temperature' },
  { id: 'uptime', label: 'Uptime' },
  { id: 'seen', label: 'Last seen' },
  { id: 'alerts', label: 'Alerts' },
];

/** Many machines show no temperature, and an uptime is seldom news. */
const HIDDEN_DEFAULT: readonly string[] = ['temperature', 'uptime'];
const KEY = 'hidden-columns';

/** What was stored, without what no longer is a column. */
export function parseHidden(text: string | null): ReadonlySet<string> {
  const stored = text === null ? HIDDEN_DEFAULT : text.split(' ');
  return new Set(stored.filter((id) => CHOOSABLE.some((one) => one.id === id)));
}

export function hiddenColumns(): ReadonlySet<string> {
  try {
    return parseHidden(localStorage.getItem(KEY));
  } catch {
    return parseHidden(null);
  }
}

/** Shows the column or hides it; what is hidden from now on. */
export function turnColumn(hidden: ReadonlySet<string>, id: string, isShown: boolean): ReadonlySet<string> {
  const next = new Set(hidden);
  if (isShown) next.delete(id);
  else next.add(id);
  try {
    localStorage.setItem(KEY, [...next].join(' '));
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  return next;
}
