// A chart in one sentence, for people who hear the page: the range of each series, its last value and where it is heading.

import { quantity, type Quantity } from '../format.ts';
import type { Column } from './align.ts';

export interface Named extends Column {
  name: string;
}

const MAX_SERIES = 4;

export function describe(title: string, kind: Quantity, series: readonly Named[]): string {
  const spoken = series.map((one) => describeOne(one, kind)).filter((text) => text !== null);
  if (spoken.length === 0) return `${title}: no data in this range`;
  const rest = spoken.length - MAX_SERIES;
  const tail = rest > 0 ? `; and ${rest} more` : '';
  return `${title}. ${spoken.slice(0, MAX_SERIES).join('; ')}${tail}`;
}

function describeOne({ name, v }: Named, kind: Quantity): string | null {
  const values = v.filter((value) => value !== null);
  const last = values.at(-1);
  if (last === undefined) return null;
  const least = values.reduce((a, b) => Math.min(a, b));
  const most = values.reduce((a, b) => Math.max(a, b));
  const show = (value: number): string => quantity(kind, value);
  return `${name}: ${show(least)} to ${show(most)}, now ${show(last)}, ${trend(values, most - least)}`;
}

/** Compares the means of the first and last fifth; a change below a tenth of the spread is no trend. */
export function trend(values: readonly number[], spread: number): 'rising' | 'falling' | 'steady' {
  const part = Math.max(1, Math.floor(values.length / 5));
  const mean = (some: readonly number[]): number => some.reduce((a, b) => a + b, 0) / some.length;
  const change = mean(values.slice(-part)) - mean(values.slice(0, part));
  if (Math.abs(change) <= Math.max(spread * 0.1, Number.EPSILON)) return 'steady';
  return change > 0 ? 'rising' : 'falling';
}
