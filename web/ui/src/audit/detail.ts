// What an entry of the record says in detail, for a person: with the words of the rule editor, and values as they are shown. Pure.

import { fits } from '../alerts/silences.ts';
import { dateTime, duration, kindOf, quantity, type Quantity } from '../format.ts';
import type { AuditEntry, Metric, Rule, Silence } from '../protocol.ts';
import { question, scope } from '../rules/form.ts';

type Told = Pick<AuditEntry, 'action' | 'subject' | 'detail'>;
type Metrics = ReadonlyMap<string, Pick<Metric, 'display' | 'unit'>>;

interface Change {
  field: string;
  before?: unknown;
  after: unknown;
}

const FIELDS: Record<string, string> = {
  summary: 'What it tells people', severity: 'Severity', enabled: 'In force', metric: 'Metric', input: 'Looks at', operator: 'Is', threshold: 'Threshold', clear: 'Resolves at', for_s: 'For',
  no_data_s: 'Or when silent for', machines: 'Machines', tags: 'Tags', labels: 'Labels of the series', group_by: 'Group alerts by',
};
const INPUTS: Record<string, string> = { sample: 'every sample', minute_mean: 'the mean of each minute', minute_max: 'the maximum of each minute', minute_sum: 'the sum of each minute', minute_count: 'the number of samples of each minute' };
const OPERATORS: Record<string, string> = { gt: 'above', gte: 'at least', lt: 'below', lte: 'at most', eq: 'equal to', ne: 'not' };
/** What an empty field means. */
const EMPTY: Record<string, string> = { clear: 'the threshold', no_data_s: 'never', machines: 'all', group_by: 'rule', tags: 'any', labels: 'any', for_s: 'at once', summary: 'nothing' };

/** The details of entries, newest first; `rules` are those that there are now, by name. */
export function detailsOf(entries: readonly Told[], rules: ReadonlyMap<string, Pick<Rule, 'metric' | 'input'>>, metrics: Metrics): string[] {
  // A change says no more than what became different, so what a rule looked at then is found by going back.
  const then = new Map([...rules].map(([name, { metric, input }]) => [name, { metric, input: input ?? 'sample' }]));
  return entries.map((entry) => {
    if (!entry.action.startsWith('rule_')) return detailOf(entry);
    const changes = changesOf(entry.detail);
    if (changes === null) return entry.detail;
    const at = (field: string, side: 'before' | 'after'): unknown => changes.find((change) => change.field === field)?.[side];
    if (entry.action !== 'rule_updated') {
      const rule = Object.fromEntries(changes.map(({ field, after }) => [field, after])) as unknown as Rule;
      if (typeof rule.metric !== 'string' || typeof rule.threshold !== 'number') return entry.detail;
      then.set(entry.subject, { metric: rule.metric, input: rule.input ?? 'sample' });
      return [question(rule, metrics.get(rule.metric)?.display ?? rule.metric, metrics.get(rule.metric)?.unit ?? ''), scope(rule), rule.severity].join('; ');
    }
    const now = then.get(entry.subject);
    const was = now && { metric: String(at('metric', 'before') ?? now.metric), input: String(at('input', 'before') ?? now.input) };
    if (was) then.set(entry.subject, was);
    return changes.map(({ field, before, after }) => `${FIELDS[field] ?? field}: ${valueOf(field, before, was, metrics)} → ${valueOf(field, after, now, metrics)}`).join('; ');
  });
}

function valueOf(field: string, value: unknown, of: { metric: string; input: string } | undefined, metrics: Metrics): string {
  const isEmpty = value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0) || (field === 'for_s' && value === 0);
  if (isEmpty) return EMPTY[field] ?? 'nothing';
  switch (field) {
    case 'enabled': return value === true ? 'yes' : 'no';
    case 'metric': return metrics.get(String(value))?.display ?? String(value);
    case 'input': return INPUTS[String(value)] ?? String(value);
    case 'operator': return OPERATORS[String(value)] ?? String(value);
    case 'for_s':
    case 'no_data_s': return duration(Number(value));
    case 'threshold':
    case 'clear': {
      const unit = of && metrics.get(of.metric)?.unit;
      if (of === undefined || unit === undefined) return String(value);
      const kind: Quantity = of.input === 'minute_count' ? 'count' : kindOf(of.metric, unit);
      return quantity(kind, Number(value));
    }
    default: return Array.isArray(value) ? value.join(', ') : typeof value === 'object' ? Object.entries(value as object).map(([name, pattern]) => `${name}=${String(pattern)}`).join(', ') : String(value);
  }
}

/** `threshold: 0.9 -> 0.8, machines: ["a"]`, names with JSON behind them; null where it is none of that. */
function changesOf(detail: string): Change[] | null {
  const changes: Change[] = [];
  let rest = detail;
  while (rest !== '') {
    const field = /^([a-z_]+): /.exec(rest);
    if (field === null) return null;
    const first = valueAt(rest.slice(field[0].length));
    const second = first?.rest.startsWith(' -> ') ? valueAt(first.rest.slice(4)) : null;
    if (first === null || (second === null && first.rest.startsWith(' -> '))) return null;
    changes.push(second === null ? { field: field[1] ?? '', after: first.value } : { field: field[1] ?? '', before: first.value, after: second.value });
    rest = (second ?? first).rest;
    if (rest !== '' && !rest.startsWith(', ')) return null;
    rest = rest.slice(2);
  }
  return changes.length === 0 ? null : changes;
}

/** The JSON value that a text begins with; `none` stands for one that is absent. */
function valueAt(text: string): { value: unknown; rest: string } | null {
  const [none] = /^none(?= -> |, |$)/.exec(text) ?? [];
  if (none !== undefined) return { value: null, rest: text.slice(none.length) };
  const [whole] = /^(?:"(?:[^"\\]|\\.)*"|\[(?:"(?:[^"\\]|\\.)*"|[^\]"])*\]|\{(?:"(?:[^"\\]|\\.)*"|[^}"])*\}|[^,\s]+)/.exec(text) ?? [];
  if (whole === undefined) return null;
  try {
    return { value: JSON.parse(whole), rest: text.slice(whole.length) };
  } catch {
    return null;
  }
}

/** The record keeps what a silence fits as JSON. */
export function detailOf({ action, detail }: Pick<AuditEntry, 'action' | 'detail'>): string {
  const [, matchers, until, comment] = (action === 'silence_created' ? /^(\{.*\}) until (\S+?Z)(?:: (.*))?$/s.exec(detail) : null) ?? [];
  if (matchers === undefined || until === undefined) return detail;
  try {
    return `${fits(JSON.parse(matchers) as Silence['matchers'])}; until ${dateTime(Date.parse(until))}${comment === undefined || comment === '' ? '' : `; ${comment}`}`;
  } catch {
    return detail;
  }
}
