// Which machines the fleet table shows and in what order: pure functions over the store's machines, so that they are tested as such.
//
// Worst first means: down, then critical alerts, stale, warning alerts, then the fullest resource. A value that is not known sorts last both ways.

import type { Machine, Status } from '../protocol.ts';

export type SortKey = 'worst' | 'name' | 'cpu' | 'memory' | 'disk' | 'network' | 'load' | 'temperature' | 'uptime' | 'seen' | 'alerts';
export type Direction = 'ascending' | 'descending';

export interface Sort {
  key: SortKey;
  direction: Direction;
}

export const DEFAULT_SORT: Sort = { key: 'worst', direction: 'descending' };

const KEYS: readonly SortKey[] = ['worst', 'name', 'cpu', 'memory', 'disk', 'network', 'load', 'temperature', 'uptime', 'seen', 'alerts'];

export function isSortKey(text: string | null): text is SortKey {
  return KEYS.some((key) => key === text);
}

/** The first click on a column shows what one looks for there: names from A, numbers from the highest. */
export function firstDirection(key: SortKey): Direction {
  return key === 'name' ? 'ascending' : 'descending';
}

export function nextSort(current: Sort, key: SortKey): Sort {
  if (current.key !== key) return { key, direction: firstDirection(key) };
  return { key, direction: current.direction === 'ascending' ? 'descending' : 'ascending' };
}

export function loadPerCore(machine: Machine): number | null {
  const cores = machine.host?.cores ?? null;
  const { load1 } = machine.summary;
  return load1 === null || cores === null || cores <= 0 ? null : load1 / cores;
}

/** Steps of a tenth, so that two busy machines do not change places with every sample. */
export function worstScore(machine: Machine): number {
  const { cpu, memory, disk } = machine.summary;
  const fullest = Math.max(cpu ?? 0, memory ?? 0, disk ?? 0);
  const base = machine.status === 'down' ? 8 : 0;
  const critical = machine.alerts.critical > 0 ? 4 : 0;
  const stale = machine.status === 'stale' ? 2 : 0;
  const warning = machine.alerts.warning > 0 ? 1 : 0;
  return base + critical + stale + warning + Math.min(9, Math.floor(fullest * 10)) / 10;
}

function sortValue(machine: Machine, key: Exclude<SortKey, 'name'>): number | null {
  const { summary, alerts } = machine;
  switch (key) {
    case 'worst': return worstScore(machine);
    case 'cpu': return summary.cpu;
    case 'memory': return summary.memory;
    case 'disk': return summary.disk;
    case 'network': return summary.net_rx === null && summary.net_tx === null ? null : (summary.net_rx ?? 0) + (summary.net_tx ?? 0);
    case 'load': return loadPerCore(machine);
    case 'temperature': return summary.temperature;
    case 'uptime': return summary.uptime;
    case 'seen': return machine.last_seen;
    case 'alerts': return alerts.critical * 1000 + alerts.warning;
  }
}

const byName = new Intl.Collator('en', { numeric: true }).compare;

export function order(machines: readonly Machine[], sort: Sort): Machine[] {
  const sign = sort.direction === 'ascending' ? 1 : -1;
  if (sort.key === 'name') return [...machines].sort((a, b) => sign * byName(a.id, b.id));
  const key = sort.key;
  return machines
    .map((machine) => ({ machine, value: sortValue(machine, key) }))
    .sort((a, b) => compareKnown(a.value, b.value, sign) || byName(a.machine.id, b.machine.id))
    .map(({ machine }) => machine);
}

function compareKnown(a: number | null, b: number | null, sign: number): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  return sign * (a - b);
}

export type StatusFilter = 'all' | Status | 'alerting';

export interface Filter {
  text: string;
  status: StatusFilter;
  /** `key:value`, or nothing. */
  tag: string;
}

export function isStatusFilter(text: string | null): text is StatusFilter {
  return text === 'all' || text === 'up' || text === 'stale' || text === 'down' || text === 'alerting';
}

/** Every word must be found: `key:value` among the tags, anything else in the name, tags or system. */
export function matcher(filter: Filter): (machine: Machine) => boolean {
  const words = filter.text.toLowerCase().split(/\s+/).filter((word) => word !== '');
  return (machine) => {
    if (filter.status === 'alerting' && machine.alerts.critical + machine.alerts.warning === 0) return false;
    if (filter.status !== 'all' && filter.status !== 'alerting' && machine.status !== filter.status) return false;
    const tags = tagsOf(machine);
    if (filter.tag !== '' && !tags.includes(filter.tag)) return false;
    return words.every((word) => isFound(word, machine, tags));
  };
}

export function tagsOf(machine: Machine): string[] {
  return Object.entries(machine.tags).map(([key, value]) => `${key}:${value}`);
}

function isFound(word: string, machine: Machine, tags: readonly string[]): boolean {
  const tag = word.replace('=', ':');
  if (tags.some((one) => one.toLowerCase().startsWith(tag) || one.toLowerCase().includes(word))) return true;
  return machine.id.toLowerCase().includes(word) || (machine.host?.os ?? '').toLowerCase().includes(word);
}

export interface TagCount {
  tag: string;
  machines: number;
}

/** The tags in use, most frequent first, for the filter's list. */
export function tagCounts(machines: Iterable<Machine>, limit: number): TagCount[] {
  const counts = new Map<string, number>();
  for (const machine of machines) for (const tag of tagsOf(machine)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts]
    .map(([tag, count]) => ({ tag, machines: count }))
    .sort((a, b) => b.machines - a.machines || byName(a.tag, b.tag))
    .slice(0, limit);
}

/** Machines with one value of a tag, in the order that they were given in. */
export interface Group {
  /** Null: the machines without the tag. */
  value: string | null;
  machines: Machine[];
}

/** By the value of a tag: the group whose first machine comes first stands first, those without the tag last. */
export function groupBy(machines: readonly Machine[], tag: string): Group[] {
  const groups = new Map<string | null, Machine[]>();
  for (const machine of machines) {
    const value = machine.tags[tag] ?? null;
    const members = groups.get(value);
    if (members === undefined) groups.set(value, [machine]);
    else members.push(machine);
  }
  const listed = [...groups].map(([value, members]) => ({ value, machines: members }));
  return [...listed.filter(({ value }) => value !== null), ...listed.filter(({ value }) => value === null)];
}

/** Names of the tags in use. */
export function tagNames(machines: Iterable<Machine>): string[] {
  const names = new Set<string>();
  for (const machine of machines) for (const name of Object.keys(machine.tags)) names.add(name);
  return [...names].sort(byName);
}
