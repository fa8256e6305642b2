// A rule as a person types it, and back. Pure: texts in, a body for the API or a sentence per field out.

import { count, duration, kindOf, operator, quantity } from '../format.ts';
import type { Labels, Rule, RuleBody } from '../protocol.ts';
import { bestScale, fromBase, scalesOf, toBase, type Scale } from './scale.ts';

/** What the form's fields hold. */
export interface Draft {
  name: string;
  summary: string;
  metric: string;
  input: string;
  operator: string;
  threshold: string;
  /** The unit that threshold and clear are typed in. */
  unit: string;
  clear: string;
  for_s: string;
  no_data_s: string;
  severity: string;
  enabled: boolean;
  machines: string;
  tags: string;
  labels: string;
  group_by: string;
}

export type FieldErrors = Partial<Record<keyof Draft, string>>;

export const NEW_RULE: Draft = {
  name: '', summary: '', metric: 'system.cpu.utilization', input: 'sample', operator: 'gt', threshold: '90', unit: '%', clear: '80', for_s: '5m', no_data_s: '',
  severity: 'warning', enabled: true, machines: '', tags: '', labels: '', group_by: '',
};

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** `1h30m`, `90s`, `90` (seconds); null where it is none of them. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim().replaceAll(' ', '');
  if (/^\d+$/.test(trimmed)) return Number(trimmed);
  if (!/^(\d+[smhdw])+$/.test(trimmed)) return null;
  return [...trimmed.matchAll(/(\d+)([smhdw])/g)].reduce((sum, [, amount, unit]) => sum + Number(amount) * (SECONDS[unit ?? ''] ?? 0), 0);
}

/** The other way round: `90` seconds are `1m30s`. */
export function durationText(seconds: number): string {
  let rest = seconds;
  const parts = (['d', 'h', 'm', 's'] as const).flatMap((unit) => {
    const size = SECONDS[unit] ?? 1;
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    return amount > 0 ? [`${amount}${unit}`] : [];
  });
  return parts.length === 0 ? '0s' : parts.join('');
}

const list = (text: string): string[] => text.split(/[,\s]+/).filter((part) => part !== '');

/** `role=db*, site=eu`; null where a part is no pair. */
export function pairs(text: string): Labels | null {
  const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '');
  const found = parts.map((part) => /^([^=]+)=(.*)$/.exec(part));
  if (found.some((match) => match === null)) return null;
  return Object.fromEntries(found.map((match) => [(match?.[1] ?? '').trim(), (match?.[2] ?? '').trim()]));
}

const pairsText = (labels: Labels | null | undefined): string => Object.entries(labels ?? {}).map(([name, value]) => `${name}=${value}`).join(', ');

const numberOf = (text: string): number | null => (text.trim() === '' || !Number.isFinite(Number(text.replace(',', '.'))) ? null : Number(text.replace(',', '.')));

/** The body of the rule, or what is wrong with which field. The API checks what only it can know. */
export function bodyOf(draft: Draft, unit: string): { body: RuleBody } | { errors: FieldErrors } {
  const errors: FieldErrors = {};
  const scales = scalesOf(draft.metric, unit, draft.input);
  const scale = scales.find((one) => one.unit === draft.unit) ?? (scales[0] as Scale);
  const threshold = numberOf(draft.threshold);
  if (threshold === null) errors.threshold = 'Enter a number.';
  const clear = draft.clear.trim() === '' ? null : numberOf(draft.clear);
  if (draft.clear.trim() !== '' && clear === null) errors.clear = 'Enter a number, or leave it empty.';
  const lasting = draft.for_s.trim() === '' ? 0 : parseDuration(draft.for_s);
  if (lasting === null) errors.for_s = 'Write a time like 5m, 90s or 1h30m.';
  const silence = draft.no_data_s.trim() === '' ? null : parseDuration(draft.no_data_s);
  if (draft.no_data_s.trim() !== '' && silence === null) errors.no_data_s = 'Write a time like 10m, or leave it empty.';
  const [tags, labels] = [pairs(draft.tags), pairs(draft.labels)];
  if (tags === null) errors.tags = 'Write name=value, several with commas: role=db*, site=eu.';
  if (labels === null) errors.labels = 'Write name=value, several with commas: mountpoint=/var*.';
  if (Object.keys(errors).length > 0 || threshold === null || lasting === null || tags === null || labels === null) return { errors };
  const body: RuleBody = {
    metric: draft.metric.trim(), input: draft.input, operator: draft.operator, threshold: toBase(scale, threshold), clear: clear === null ? null : toBase(scale, clear),
    for_s: lasting, no_data_s: silence, severity: draft.severity as Rule['severity'], enabled: draft.enabled, summary: draft.summary.trim(),
    machines: list(draft.machines), tags, labels, group_by: list(draft.group_by),
  };
  return { body: draft.name.trim() === '' ? body : { name: draft.name.trim(), ...body } };
}

export function draftOf(rule: Rule, unit: string): Draft {
  const scale = bestScale(scalesOf(rule.metric, unit, rule.input ?? 'sample'), rule.threshold);
  return {
    name: rule.name, summary: rule.summary ?? '', metric: rule.metric, input: rule.input ?? 'sample', operator: rule.operator,
    threshold: String(fromBase(scale, rule.threshold)), unit: scale.unit, clear: rule.clear == null ? '' : String(fromBase(scale, rule.clear)),
    for_s: durationText(rule.for_s ?? 0), no_data_s: rule.no_data_s == null ? '' : durationText(rule.no_data_s), severity: rule.severity, enabled: rule.enabled,
    machines: (rule.machines ?? []).join(', '), tags: pairsText(rule.tags), labels: pairsText(rule.labels), group_by: (rule.group_by ?? []).join(', '),
  };
}

const INPUT_WORDS: Record<string, string> = { minute_mean: 'mean of a minute', minute_sum: 'sum of a minute', minute_count: 'samples a minute', minute_max: 'maximum of a minute' };

/** `CPU > 90 % for 5 min`: the question that a rule asks, in a line. */
export function question(rule: Rule, display: string, unit: string): string {
  const kind = rule.input === 'minute_count' ? 'count' : kindOf(rule.metric, unit);
  const input = INPUT_WORDS[rule.input ?? ''];
  const what = input === undefined ? display : `${display}, ${input}`;
  const lasting = (rule.for_s ?? 0) > 0 ? ` for ${duration(rule.for_s)}` : '';
  const silence = rule.no_data_s == null ? '' : `, or silent for ${duration(rule.no_data_s)}`;
  return `${what} ${operator(rule.operator)} ${quantity(kind, rule.threshold)}${lasting}${silence}`;
}

/** Where a rule applies; `everywhere` without a matcher. */
export function scope(rule: Rule): string {
  const parts = [...(rule.machines ?? []), ...Object.entries({ ...rule.tags }).map(([name, value]) => `${name}=${value}`), ...Object.entries({ ...rule.labels }).map(([name, value]) => `${name}=${value}`)];
  return parts.length === 0 ? 'everywhere' : parts.join(', ');
}

/** Where the hub is full, on how many series a rule is not in force; empty where it is on all. */
export function shortageOf({ unjudged_series: series = 0 }: Pick<Rule, 'unjudged_series'>): string {
  return series === 0 ? '' : `not on ${count(series)} series: the hub is full`;
}

/** Of the hub's synthetic transactions: kept among the own rules, by the hub itself. */
const PROBE = 'synthetic-probe';

/** Who changes a rule. */
export const keeperOf = ({ name, source }: Pick<Rule, 'name' | 'source'>): 'own' | 'file' | 'hub' => (name === PROBE ? 'hub' : source === 'own' ? 'own' : 'file');

/** Of so many each is named; of more, the rest is a number. */
const OTHERS_NAMED = 3;

/** What a rule says of the others that watch the same values, a line each. */
export function alsoWatched(others: readonly Rule[]): string[] {
  const named = others.length <= OTHERS_NAMED + 1 ? others : others.slice(0, OTHERS_NAMED);
  const lines = named.map(({ name, severity }) => `also watched by ${name}, ${severity}`);
  return named.length === others.length ? lines : [...lines, `and by ${count(others.length - named.length)} more`];
}

/** Other rules in force that watch the same values: each has an alert of its own. */
export function besides(rule: Rule, rules: readonly Rule[]): Rule[] {
  const watched = ({ metric, input, machines, tags, labels }: Rule): string => JSON.stringify([metric, input, machines ?? [], tags ?? {}, labels ?? {}]);
  return rules.filter((other) => other.name !== rule.name && other.enabled && rule.enabled && watched(other) === watched(rule));
}
