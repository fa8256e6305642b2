// Numbers, sizes and times as a person reads them. At most three significant digits, always with a unit, and an en dash for "not known".

import { preferences } from './preferences.ts';

const NONE = '–';
const NBSP = '\u00a0';

export type Quantity = 'ratio' | 'bytes' | 'rate' | 'network' | 'count' | 'load' | 'celsius' | 'seconds';

type Maybe = number | null | undefined;

const known = (value: Maybe): value is number => typeof value === 'number' && Number.isFinite(value);

/** Up to three significant digits without an exponent: 0.042, 4.2, 42.1, 421. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || size === 0) return value.toFixed(0);
  if (size >= 10) return trim(value.toFixed(1));
  if (size >= 1) return trim(value.toFixed(2));
  return trim(value.toPrecision(2));
}

function trim(text: string): string {
  return text.includes('.') && !text.includes('e') ? text.replace(/\.?0+$/, '') : text;
}

/** A share 0..1 as a percentage; one decimal below ten so that an idle machine does not read as nothing. */
export function percent(ratio: Maybe): string {
  if (!known(ratio)) return NONE;
  const value = ratio * 100;
  const text = Math.abs(value) >= 9.95 || value === 0 ? value.toFixed(0) : value.toFixed(1);
  return `${text}${NBSP}%`;
}

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const SI_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
const BIT_UNITS = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s', 'Pbit/s'];

export function bytes(value: Maybe): string {
  const isBinary = preferences().bytes === 'iec';
  return sized(value, isBinary ? 1024 : 1000, isBinary ? BINARY_UNITS : SI_UNITS);
}

/** What goes over a wire, in bytes a second. */
export function network(value: Maybe): string {
  if (preferences().network === 'bytes') return rate(value);
  return sized(known(value) ? value * 8 : value, 1000, BIT_UNITS);
}

function sized(value: Maybe, base: number, units: readonly string[]): string {
  if (!known(value)) return NONE;
  let size = Math.abs(value);
  let unit = 0;
  // 999.5 would print as 1000, so it moves on to the next unit.
  while (size >= 999.5 && unit < units.length - 1) {
    size /= base;
    unit += 1;
  }
  const text = unit === 0 ? size.toFixed(0) : digits(size);
  return `${value < 0 ? '−' : ''}${text}${NBSP}${units[unit] ?? ''}`;
}

export function rate(value: Maybe): string {
  return known(value) ? `${bytes(value)}/s` : NONE;
}

const DECIMAL_UNITS = ['', 'k', 'M', 'G', 'T'];

export function count(value: Maybe): string {
  if (!known(value)) return NONE;
  let size = value;
  let unit = 0;
  // Four digits are still read at a glance as a plain number; with a prefix three are enough.
  while (Math.abs(size) >= (unit === 0 ? 9999.5 : 999.5) && unit < DECIMAL_UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  if (unit > 0) return `${digits(size)}${NBSP}${DECIMAL_UNITS[unit] ?? ''}`;
  return Math.abs(size) >= 1000 ? String(Math.round(size)).replace(/\B(?=\d{3}$)/, ',') : digits(size);
}

export function load(value: Maybe): string {
  return known(value) ? value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2) : NONE;
}

export function celsius(value: Maybe): string {
  if (!known(value)) return NONE;
  return preferences().temperature === 'celsius' ? `${value.toFixed(0)}${NBSP}°C` : `${(value * 1.8 + 32).toFixed(0)}${NBSP}°F`;
}

export function milliseconds(value: Maybe): string {
  if (!known(value)) return NONE;
  return value >= 1000 ? `${digits(value / 1000)}${NBSP}s` : `${digits(value)}${NBSP}ms`;
}

const SPANS: [string, number][] = [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]];

/** A length of time by its two largest units: "3 d 4 h", "12 min", "5 s". */
export function duration(seconds: Maybe): string {
  if (!known(seconds)) return NONE;
  let rest = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [unit, size] of SPANS) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0) parts.push(`${amount}${NBSP}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length > 0 ? parts.join(' ') : `0${NBSP}s`;
}

/** How long ago, by one unit only: it is read at a glance and changes often. */
export function ago(then: Maybe, now: number): string {
  if (!known(then)) return 'never';
  const seconds = Math.max(0, Math.round((now - then) / 1000));
  for (const [unit, size] of SPANS) {
    if (seconds >= size) return `${Math.floor(seconds / size)}${NBSP}${unit} ago`;
  }
  return 'now';
}

export function quantity(kind: Quantity, value: Maybe): string {
  switch (kind) {
    case 'ratio': return percent(value);
    case 'bytes': return bytes(value);
    case 'rate': return rate(value);
    case 'network': return network(value);
    case 'count': return count(value);
    case 'load': return load(value);
    case 'celsius': return celsius(value);
    case 'seconds': return known(value) && Math.abs(value) < 10 ? milliseconds(value * 1000) : duration(value);
  }
}

/** The way to show a metric's value. Its unit (UCUM) says it, but for `1`, which is a share or a plain number: there the name tells. */
export function kindOf(metric: string, unit: string): Quantity {
  switch (unit) {
    case '1': return kindOfPlain(metric);
    case 'By': return 'bytes';
    case 'By/s': return metric.startsWith('system.network.') ? 'network' : 'rate';
    case 'Cel': return 'celsius';
    case 's': return 'seconds';
    default: return 'count';
  }
}

function kindOfPlain(metric: string): Quantity {
  if (metric.endsWith('.utilization') || metric.startsWith('system.pressure.') || metric === 'system.disk.busy') return 'ratio';
  return metric.startsWith('system.cpu.load_average.') ? 'load' : 'count';
}

const OPERATORS: Record<string, string> = { gt: '>', gte: '≥', lt: '<', lte: '≤', eq: '=', ne: '≠' };

export function operator(name: string): string {
  return OPERATORS[name] ?? name;
}

const pad = (value: number): string => String(value).padStart(2, '0');

type Zone = ReturnType<typeof preferences>['zone'];

/** The date's parts in the zone that the reader chose, or another. */
function parts(ms: number, zone: Zone = preferences().zone): { month: number; day: number; hours: number; minutes: number; seconds: number } {
  const at = new Date(ms);
  return zone === 'utc'
    ? { month: at.getUTCMonth(), day: at.getUTCDate(), hours: at.getUTCHours(), minutes: at.getUTCMinutes(), seconds: at.getUTCSeconds() }
    : { month: at.getMonth(), day: at.getDate(), hours: at.getHours(), minutes: at.getMinutes(), seconds: at.getSeconds() };
}

export function clockTime(ms: number, zone?: Zone): string {
  const { hours, minutes, seconds } = parts(ms, zone);
  return `${pad(hours)}:${pad(minutes)}:${pad(seconds)}`;
}

/** As a field for a date and a time has it, in the zone that the reader chose. */
export function fieldTime(ms: number): string {
  const at = new Date(ms);
  const shift = preferences().zone === 'utc' ? 0 : at.getTimezoneOffset() * 60_000;
  return new Date(ms - shift).toISOString().slice(0, 16);
}

/** From one time to another; the date once where both are of one day. */
export function spanText(from: number, to: number): string {
  const isSameDay = new Date(from).toDateString() === new Date(to).toDateString();
  return `${dateTime(from)} – ${isSameDay ? clockTime(to) : dateTime(to)}`;
}

/** Milliseconds of what such a field has; null of an empty one. */
export function ofFieldTime(text: string): number | null {
  const at = Date.parse(preferences().zone === 'utc' ? `${text}Z` : text);
  return Number.isNaN(at) ? null : at;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export function dayMonth(ms: number, zone?: Zone): string {
  const { day, month } = parts(ms, zone);
  return `${day} ${MONTHS[month] ?? ''}`;
}

/** Date and time; the year is left out because nothing is kept for longer than 90 days. */
export function dateTime(ms: number, zone?: Zone): string {
  return `${dayMonth(ms, zone)} ${clockTime(ms, zone)}`;
}

/** On the reader's own clock and in UTC; the other one's date only where it is another day. */
export function bothTimes(ms: number): string {
  const [own, local, utc] = [dateTime(ms), dateTime(ms, 'local'), dateTime(ms, 'utc')];
  if (local === utc) return `${utc} UTC`;
  const other = preferences().zone === 'utc' ? 'local' : 'utc';
  const isSameDay = dayMonth(ms, 'local') === dayMonth(ms, 'utc');
  return `${own} (${isSameDay ? clockTime(ms, other) : dateTime(ms, other)} ${other === 'utc' ? 'UTC' : 'here'})`;
}
