// What the compare screen shows, and how it lives in the address. Pure.

import { count as countText } from '../format.ts';
import { DEFAULT_PRESET, fromQuery as rangeOf, live, toQuery as rangeQuery, type Range } from '../machine/range.ts';
import type { FleetRollups, HistorySeries, MachinesHistory } from '../protocol.ts';

export type By = 'hottest' | 'machines' | 'tag';

export interface Selection {
  metric: string;
  by: By;
  /** How many of the hottest. */
  top: number;
  machines: string[];
  /** `role`: each of its values; empty: the whole fleet. */
  tag: string;
  range: Range;
  isSmall: boolean;
}

export const TOPS: readonly number[] = [3, 5, 8, 10];
/** As many as one request takes. */
export const MACHINES_MAX = 24;
/** More lines than colours cannot be told apart. */
export const LINES_MAX = 8;
const DEFAULT: Selection = { metric: 'system.cpu.utilization', by: 'hottest', top: 5, machines: [], tag: '', range: live(DEFAULT_PRESET), isSmall: false };

export function fromQuery(query: URLSearchParams): Selection {
  const machines = [...new Set(query.getAll('machine'))].filter((id) => id !== '').slice(0, MACHINES_MAX);
  const by = query.get('by');
  const top = Number(query.get('top'));
  return {
    metric: query.get('metric') ?? DEFAULT.metric,
    by: by === 'tag' || by === 'machines' ? by : machines.length > 0 ? 'machines' : 'hottest',
    top: TOPS.includes(top) ? top : DEFAULT.top,
    machines,
    tag: query.get('tag') ?? '',
    range: rangeOf(query),
    isSmall: query.get('view') === 'small',
  };
}

/** Only what differs from the default, and what the choice of machines needs. */
export function toQuery(selection: Selection): string {
  const query = new URLSearchParams();
  if (selection.metric !== DEFAULT.metric) query.set('metric', selection.metric);
  if (selection.by !== DEFAULT.by) query.set('by', selection.by);
  if (selection.by === 'hottest' && selection.top !== DEFAULT.top) query.set('top', String(selection.top));
  for (const machine of selection.by === 'machines' ? selection.machines : []) query.append('machine', machine);
  if (selection.by === 'tag' && selection.tag !== '') query.set('tag', selection.tag);
  for (const [name, value] of new URLSearchParams(rangeQuery(selection.range))) query.set(name, value);
  if (selection.isSmall) query.set('view', 'small');
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

/** One line to compare: of a machine, or of the machines with a tag's value. */
export interface Line {
  name: string;
  href: string;
  note: string;
  points: Pick<HistorySeries, 'metric' | 't' | 'v' | 'min' | 'max'>;
  low: number | null;
  mean: number | null;
  high: number | null;
  last: number | null;
}

const known = (values: readonly (number | null)[] | null): number[] => (values ?? []).filter((value) => value !== null);
const mean = (values: readonly number[]): number | null => (values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length);
const extreme = (values: readonly number[], pick: (a: number, b: number) => number): number | null => (values.length === 0 ? null : values.reduce((a, b) => pick(a, b)));

function line(name: string, href: string, note: string, points: Line['points']): Line {
  const values = known(points.v);
  const [lows, highs] = [known(points.min), known(points.max)];
  return { name, href, note, points, low: extreme(lows.length > 0 ? lows : values, Math.min), mean: mean(values), high: extreme(highs.length > 0 ? highs : values, Math.max), last: values.at(-1) ?? null };
}

/** Of a machine with several series of the metric (disks, interfaces) the one with the highest mean speaks, as among the hottest. */
export function linesOfMachines(history: MachinesHistory): Line[] {
  return history.machines.map(({ machine, series }) => {
    const speaking = [...series].sort((a, b) => (mean(known(b.v)) ?? -Infinity) - (mean(known(a.v)) ?? -Infinity))[0];
    const empty = { metric: history.metric, t: [], v: [], min: null, max: null };
    const note = series.length > 1 ? Object.values(speaking?.labels ?? {}).join(', ') : '';
    return line(machine, `/machines/${encodeURIComponent(machine)}`, note, speaking ?? empty);
  });
}

/** Of a metric that a machine has several times, a group's mean is that of all of them: no machine speaks with its highest there. */
export const isOfSeveral = (metric: string): boolean => /^system\.(disk|filesystem|network\.(receive|transmit))\./.test(metric);

export function linesOfTags({ metric, series }: FleetRollups): Line[] {
  return series.map(({ tag, t, mean: v, min, max, machines }) => {
    const count = Math.max(0, ...machines);
    const name = tag === null ? 'whole fleet' : tag.value === '' ? '(empty)' : tag.value;
    const href = tag === null ? '/' : `/?tag=${encodeURIComponent(`${tag.name}:${tag.value}`)}`;
    return line(name, href, count === 1 ? '1 machine' : `${countText(count)} machines`, { metric, t, v, min, max });
  });
}

/** The highest first; a line without values last. */
export function highestFirst(lines: readonly Line[]): Line[] {
  return [...lines].sort((a, b) => (b.mean ?? -Infinity) - (a.mean ?? -Infinity) || a.name.localeCompare(b.name, 'en', { numeric: true }));
}
