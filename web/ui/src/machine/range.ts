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

export function live(id: string): Range {
  const preset = PRESETS.find((one) => one.id === id) ?? PRESETS.find((one) => one.id === DEFAULT_PRESET);
  return { kind: 'live', preset: preset?.id ?? DEFAULT_PRESET, ms: preset?.ms ?? HOUR };
}

export function fixed(from: number, to: number): Range {
  const middle = (from + to) / 2;
  const span = Math.min(SPAN_MS_MAX, Math.max(SPAN_MS_MIN, to - from));
  return { kind: 'fixed', from: Math.round(middle - span / 2), to: Math.round(middle + span / 2) };
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
