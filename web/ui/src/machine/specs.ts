// Which charts the machine screen has, as data: the series of each, how they are drawn, and which rules concern them.
// A chart whose metrics a machine does not have is left out. A new chart is one more entry here.

import type { Quantity } from '../format.ts';
import type { Labels } from '../protocol.ts';

export interface SeriesSpec {
  metric: string;
  /** One line per value of this label; without it the metric is one line. */
  by?: string;
  name?: string;
  /** Goes before the label's value: "in eth0". */
  prefix?: string;
  /** `dots`: what happened at single times, with nothing between them. */
  fill?: 'none' | 'soft' | 'stack' | 'dots';
  dash?: boolean;
  /** Drawn below zero. */
  mirror?: boolean;
  /** Label values in drawing order with their colours; those not named are left out. */
  only?: Readonly<Record<string, number>>;
  /** A value of the label `by` that is left out. */
  without?: string;
  color?: number;
}

export type ProcessOrder = 'by_cpu' | 'by_memory';

export interface PanelSpec {
  id: string;
  title: string;
  kind: Quantity;
  shape: 'plot' | 'heat';
  series: readonly SeriesSpec[];
  yMax?: number;
  /** The newest value of this metric is the top of the axis. */
  yMaxMetric?: string;
  fromZero?: boolean;
  /** Rules on another metric than those drawn, multiplied by a live value to fit the axis. */
  ruleScales?: Readonly<Record<string, string>>;
  /** Below it stand the processes that use the most of this. */
  processes?: ProcessOrder;
}

const MODES = { user: 0, system: 1, iowait: 6, nice: 2, irq: 3, softirq: 4, steal: 5 } as const;

export const PANELS: readonly PanelSpec[] = [
  {
    id: 'cpu', title: 'CPU', kind: 'ratio', shape: 'plot', yMax: 1, processes: 'by_cpu',
    series: [
      { metric: 'system.cpu.mode.utilization', by: 'cpu.mode', only: MODES, fill: 'stack' },
      { metric: 'system.cpu.utilization', name: 'total', color: 7 },
    ],
  },
  { id: 'cores', title: 'CPU per core', kind: 'ratio', shape: 'heat', series: [{ metric: 'system.cpu.core.utilization', by: 'cpu', prefix: 'core' }] },
  {
    id: 'memory', title: 'Memory', kind: 'bytes', shape: 'plot', yMaxMetric: 'system.memory.limit', processes: 'by_memory',
    series: [
      { metric: 'system.memory.used', name: 'used', fill: 'stack', color: 0 },
      { metric: 'system.memory.buffers', name: 'buffers', fill: 'stack', color: 3 },
      { metric: 'system.memory.cached', name: 'cached', fill: 'stack', color: 7 },
    ],
    ruleScales: { 'system.memory.utilization': 'system.memory.limit' },
  },
  {
    id: 'load', title: 'Load average', kind: 'load', shape: 'plot',
    series: [
      { metric: 'system.cpu.load_average.1m', name: '1 min', fill: 'soft', color: 0 },
      { metric: 'system.cpu.load_average.5m', name: '5 min', color: 1 },
      { metric: 'system.cpu.load_average.15m', name: '15 min', color: 2 },
    ],
  },
  {
    id: 'network', title: 'Network', kind: 'network', shape: 'plot',
    series: [
      { metric: 'system.network.receive.bytes_rate', by: 'device', without: 'lo', prefix: 'in', fill: 'soft' },
      { metric: 'system.network.transmit.bytes_rate', by: 'device', without: 'lo', prefix: 'out', fill: 'soft', mirror: true },
    ],
  },
  {
    id: 'disk-io', title: 'Disk I/O', kind: 'rate', shape: 'plot',
    series: [
      { metric: 'system.disk.read.bytes_rate', by: 'device', prefix: 'read', fill: 'soft' },
      { metric: 'system.disk.write.bytes_rate', by: 'device', prefix: 'write', fill: 'soft', mirror: true },
    ],
  },
  {
    id: 'pressure', title: 'Pressure stall', kind: 'ratio', shape: 'plot',
    series: [
      { metric: 'system.pressure.cpu.some', name: 'CPU', color: 0 },
      { metric: 'system.pressure.memory.some', name: 'memory', color: 1 },
      { metric: 'system.pressure.memory.full', name: 'memory, all', color: 6, dash: true },
      { metric: 'system.pressure.io.some', name: 'I/O', color: 2 },
      { metric: 'system.pressure.io.full', name: 'I/O, all', color: 3, dash: true },
    ],
  },
  { id: 'disk-busy', title: 'Disk busy', kind: 'ratio', shape: 'plot', series: [{ metric: 'system.disk.busy', by: 'device', fill: 'soft' }] },
  {
    id: 'swap', title: 'Swap', kind: 'bytes', shape: 'plot',
    series: [{ metric: 'system.paging.usage', name: 'used', fill: 'soft', color: 0 }],
    ruleScales: { 'system.paging.utilization': 'system.paging.limit' },
  },
  { id: 'temperature', title: 'Temperature', kind: 'celsius', shape: 'plot', fromZero: false, series: [{ metric: 'system.temperature', by: 'sensor' }] },
  {
    id: 'payments', title: 'Payments, EUR', kind: 'count', shape: 'plot',
    series: [{ metric: 'payment.amount', by: 'merchant', fill: 'dots' }],
  },
  {
    id: 'payments-failed', title: 'Failed payments', kind: 'ratio', shape: 'plot', yMax: 1,
    series: [{ metric: 'payment.failed', by: 'merchant', fill: 'dots' }],
  },
  {
    id: 'payments-latency', title: 'Payment time', kind: 'seconds', shape: 'plot',
    series: [{ metric: 'payment.latency', by: 'merchant', fill: 'dots' }],
  },
  {
    id: 'counts', title: 'Connections, processes, files', kind: 'count', shape: 'plot',
    series: [
      { metric: 'system.network.connection.count', name: 'connections', fill: 'soft', color: 0 },
      { metric: 'system.process.count', name: 'processes', color: 1 },
      { metric: 'system.file_descriptor.count', name: 'open files', color: 2 },
    ],
  },
];

export function metricsOf(spec: PanelSpec): string[] {
  return [...new Set(spec.series.map(({ metric }) => metric))];
}

/** One text per series, whatever the order of its labels. */
export function seriesKey(metric: string, labels: Labels): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${metric}|${pairs.map(([key, value]) => `${key}=${value}`).join('|')}`;
}

export function seriesName(spec: SeriesSpec, labels: Labels): string {
  if (spec.by === undefined) return spec.name ?? spec.metric;
  const value = labels[spec.by] ?? '';
  return spec.prefix === undefined ? value : `${spec.prefix} ${value}`;
}
