// The hottest machines of the last complete minute as short lists, one per metric. Plain functions; hottest-panel.ts shows them.

import { clockTime, load, network, percent } from '../format.ts';
import type { Hottest } from '../protocol.ts';

export interface Entry {
  id: string;
  href: string;
  value: string;
  bar: { width: string };
}

export interface Column {
  title: string;
  machines: Entry[];
}

/** What is listed, in this order; `full` is the value of a full bar where there is one, otherwise the highest listed. */
const LISTED: { metric: string; title: string; show: (value: number) => string; full?: number }[] = [
  { metric: 'system.cpu.utilization', title: 'CPU', show: percent, full: 1 },
  { metric: 'system.memory.utilization', title: 'Memory', show: percent, full: 1 },
  { metric: 'system.filesystem.utilization', title: 'Fullest disk', show: percent, full: 1 },
  { metric: 'system.network.receive.bytes_rate', title: 'Busiest interface, in', show: network },
  { metric: 'system.cpu.load_average.1m', title: 'Load', show: load },
];

export function columns(hottest: Hottest): Column[] {
  return LISTED.flatMap(({ metric, title, show, full }) => {
    const machines = hottest.metrics.find((of) => of.metric === metric)?.machines ?? [];
    const most = full ?? machines[0]?.value ?? 0;
    const entry = ({ id, value }: { id: string; value: number }): Entry => ({
      id,
      href: `/machines/${encodeURIComponent(id)}`,
      value: show(value),
      bar: { width: `${most > 0 ? Math.min(100, Math.max(0, (value / most) * 100)).toFixed(1) : 0}%` },
    });
    return machines.length === 0 ? [] : [{ title, machines: machines.map(entry) }];
  });
}

/** One machine is no list to look through. */
export function isWorthShowing(hottest: Hottest): boolean {
  return hottest.metrics.some((of) => of.machines.length > 1);
}

export function minuteText(minute: number | null): string {
  return minute === null ? '' : `minute of ${clockTime(minute).slice(0, 5)}`;
}
