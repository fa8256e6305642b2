// The time range of the machine screen and how it lives in the address: `?range=1h` follows now, `?from=…&to=…` (milliseconds) stands still.

export interface Preset {
  id: string;
  label: string;
  ms: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const PRESETS: readonly Preset[] = [
  { id: '5m', label: '5 m', ms: 5 * MINUTE },
  { id: '15m', label: '15 m', ms: 15 * MINUTE },
  { id: '1h', label: '1 h', ms: HOUR },
  { id: '6h', label: '6 h', ms: 6 * HOUR },
  { id: '24h', label: '24 h', ms: DAY },
  { id: '7d', label: '7 d', ms: 7 * DAY },
  { id: '30d', label: '30 d', ms: 30 * DAY },
  { id: '90d', label: '90 d', ms: 90 * DAY },
];

export const DEFAULT_PRESET = '1h';

export type Range = { kind: 'live'; preset: string; ms: number } | { kind: 'fixed'; from: number; to: number };

/** A zoom stops here: below it even the raw tier has no two points. */
const SPAN_MS_MIN = 30_000;
const SPAN_MS_MAX = 90 * DAY;

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY };

/** `3h`, `90m`, `2d`: a length that a range may have; null for anything else. */
function lengthMs(text: string): number | null {
  const [, amount, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  const ms = Number(amount) * (UNITS_MS[unit ?? ''] ?? Number.NaN);
  return ms >= SPAN_MS_MIN && ms <= SPAN_MS_MAX ? ms : null;
}

/** The last so much: a preset or any other length. */
export function live(id: string): Range {
  const ms = lengthMs(id);
  return ms === null ? { kind: 'live', preset: DEFAULT_PRESET, ms: HOUR } : { kind: 'live', preset: id, ms };
}

/** What a person types: `3h` or `now-3h`, or two times with `to` between them (`10:00 to 11:30`, of today, or with their dates). Null where it says nothing. */
export function typed(text: string, now: number): Range | null {
  const [first, last, ...more] = text.trim().toLowerCase().replaceAll(/\bnow\s*-\s*/g, '-').split(/\s+to\s+/);
  if (first === undefined || more.length > 0) return null;
  if (last === undefined || last === 'now') {
    const length = first.replace(/^-/, '');
    if (lengthMs(length) !== null) return live(length);
  }
  const [from, to] = [moment(first, now), last === undefined || last === 'now' ? now : moment(last, now)];
  return from === null || to === null || to <= from ? null : fixed(from, to);
}

function moment(text: string, now: number): number | null {
  const ago = lengthMs(text.replace(/^-/, ''));
  if (ago !== null) return now - ago;
  const [, hours, minutes] = /^(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  if (minutes !== undefined) return new Date(now).setHours(Number(hours), Number(minutes), 0, 0);
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at;
}

export function fixed(from: number, to: number): Range {
  const middle = (from + to) / 2;
  const span = Math.min(SPAN_MS_MAX, Math.max(SPAN_MS_MIN, to - from));
  return { kind: 'fixed', from: Math.round(middle - span / 2), to: Math.round(middle + span / 2) };
}

/** What is wrong with two dates that were picked; empty where nothing is. */
export function datesFault(from: number, to: number, now: number): string {
  return from >= Math.min(to, now) ? 'It must begin before it ends, and before now.' : '';
}

/** The same span, ending now where it would end later. */
export function untilNow(range: Range, now: number): Range {
  return range.kind === 'fixed' && range.to > now ? fixed(range.from - (range.to - now), now) : range;
}

export function fromQuery(query: URLSearchParams): Range {
  const from = Number(query.get('from'));
  const to = Number(query.get('to'));
  if (from > 0 && to > from) return fixed(from, to);
  return live(query.get('range') ?? DEFAULT_PRESET);
}

export function toQuery(range: Range): string {
  if (range.kind === 'fixed') return `?from=${range.from}&to=${range.to}`;
  return range.preset === DEFAULT_PRESET ? '' : `?range=${range.preset}`;
}

export function bounds(range: Range, now: number): [from: number, to: number] {
  return range.kind === 'fixed' ? [range.from, range.to] : [now - range.ms, now];
}

/** The range half a span earlier (-1) or later (1); never beyond now, where it follows now again. */
export function shift(range: Range, direction: -1 | 1, now: number): Range {
  const [from, to] = bounds(range, now);
  const by = ((to - from) / 2) * direction;
  if (to + by >= now) return range.kind === 'live' ? range : fixed(now - (to - from), now);
  return fixed(from + by, to + by);
}

/** Twice as close or half as close, around the middle. */
export function zoom(range: Range, factor: number, now: number): Range {
  const [from, to] = bounds(range, now);
  const half = ((to - from) * factor) / 2;
  const middle = (from + to) / 2;
  const end = Math.min(now, middle + half);
  return fixed(end - 2 * half, end);
}
