// The units that a threshold is typed in: those that values of its metric are shown in. What goes over the wire is the base unit.

import { kindOf, type Quantity } from '../format.ts';
import { preferences } from '../preferences.ts';

export interface Scale {
  /** What stands behind the number; empty for a plain number. */
  unit: string;
  factor: number;
  offset: number;
}

const scale = (unit: string, factor: number, offset = 0): Scale => ({ unit, factor, offset });

const powers = (base: number, units: readonly string[], per = ''): Scale[] => units.map((unit, power) => scale(`${unit}${per}`, base ** power));

function sizes(per: string): Scale[] {
  return preferences().bytes === 'iec' ? powers(1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB'], per) : powers(1000, ['B', 'kB', 'MB', 'GB', 'TB'], per);
}

/** What a rule's threshold may be typed in, for its metric. A number of samples has no unit. */
export function scalesOf(metric: string, unit: string, input: string): Scale[] {
  if (input === 'minute_count') return [scale('samples', 1)];
  const kind: Quantity = kindOf(metric, unit);
  switch (kind) {
    case 'ratio': return [scale('%', 0.01)];
    case 'bytes': return sizes('');
    case 'rate': return sizes('/s');
    case 'network': return preferences().network === 'bytes' ? sizes('/s') : powers(1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s']).map((one) => ({ ...one, factor: one.factor / 8 }));
    case 'celsius': return preferences().temperature === 'celsius' ? [scale('°C', 1)] : [scale('°F', 1 / 1.8, -32 / 1.8)];
    case 'seconds': return [scale('ms', 0.001), scale('s', 1), scale('min', 60), scale('h', 3600), scale('d', 86_400)];
    case 'count':
    case 'load': return [scale('', 1)];
  }
}

/** Without the noise of binary fractions: 0.9 / 0.01 is 90, not 90.00000000000001. */
const clean = (value: number): number => Number(value.toPrecision(12));

export const toBase = ({ factor, offset }: Scale, shown: number): number => clean(shown * factor + offset);

export const fromBase = ({ factor, offset }: Scale, value: number): number => clean((value - offset) / factor);

/** The unit in which a value reads best: the largest in which it is at least one. */
export function bestScale(scales: readonly Scale[], value: number): Scale {
  const fitting = scales.filter((one) => Math.abs(fromBase(one, value)) >= 1);
  return fitting.at(-1) ?? scales.find(({ factor }) => factor === 1) ?? scales[0] ?? scale('', 1);
}
