// What is drawn on a chart beside its data: the thresholds of the rules that concern it, and when its alerts were firing.

import type { Mark, Threshold } from '../charts/annotations.ts';
import type { Alert, Machine, Rule } from '../protocol.ts';
import { metricsOf, type PanelSpec } from './specs.ts';

export function appliesTo(rule: Rule, machine: Machine | undefined, id: string): boolean {
  if (!rule.enabled) return false;
  const machines = rule.machines ?? [];
  if (machines.length > 0 && !machines.some((pattern) => glob(pattern, id))) return false;
  return Object.entries(rule.tags ?? {}).every(([key, pattern]) => {
    const value = machine?.tags[key];
    return value !== undefined && glob(pattern, value);
  });
}

/** `*` stands for any text and `?` for one sign, as in rule files. */
export function glob(pattern: string, text: string): boolean {
  const source = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(text);
}

/** `scale` gives the live value of a metric that turns a ratio into the chart's unit. */
export function thresholdsFor(spec: PanelSpec, rules: readonly Rule[], scale: (metric: string) => number | null): Threshold[] {
  const drawn = metricsOf(spec);
  return rules.flatMap((rule) => {
    if (drawn.includes(rule.metric)) return [{ value: rule.threshold, severity: rule.severity }];
    const by = spec.ruleScales?.[rule.metric];
    const factor = by === undefined ? null : scale(by);
    return factor === null ? [] : [{ value: rule.threshold * factor, severity: rule.severity }];
  });
}

export function marksFor(spec: PanelSpec, alerts: Iterable<Alert>): Mark[] {
  const metrics = new Set([...metricsOf(spec), ...Object.keys(spec.ruleScales ?? {})]);
  return [...alerts]
    .filter((alert) => metrics.has(alert.metric))
    .map((alert) => ({ fromMs: alert.since, toMs: alert.resolved, severity: alert.severity }));
}
