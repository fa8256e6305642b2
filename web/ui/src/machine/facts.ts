// What the head of the machine screen says: the inventory line and the tiles of current values.

import { ago, bytes, celsius, duration, load, network, percent, quantity } from '../format.ts';
import type { Machine } from '../protocol.ts';
import { levelAt, loadLevel, shareLevel, temperatureLevel, type Level } from '../levels.ts';
import { loadPerCore } from '../fleet/order.ts';

export interface Fact {
  label: string;
  value: string;
}

export interface Tile {
  label: string;
  value: string;
  note: string;
  level: Level;
}

/** Less is the way here, and what a collector waits to send more at once. */
const CLOCK_OFF_MS = 5_000;

/** What is not known is left out, not shown as empty. */
export function factsOf(machine: Machine, now: number): Fact[] {
  const { host } = machine;
  const cpu = [host?.cpu_model, host?.cores === null || host === null ? null : `${host.cores} cores`].filter((part) => part !== null && part !== undefined && part !== '');
  const uptime = machine.summary.uptime ?? (host?.boot_time == null ? null : (now - host.boot_time) / 1000);
  const facts: [string, string | null | undefined][] = [
    ['System', host?.os],
    ['Kernel', [host?.kernel, host?.arch].filter(Boolean).join(' ')],
    ['CPU', cpu.join(' · ')],
    ['Memory', host?.memory_bytes == null ? null : bytes(host.memory_bytes)],
    ['Up for', uptime === null ? null : duration(uptime)],
    ['Agent', host?.agent_version],
    ['Interval', machine.interval_ms === null ? null : duration(machine.interval_ms / 1000)],
    ['Last seen', ago(machine.last_seen, now)],
    ['Its clock', clockOf(machine)],
  ];
  return facts.flatMap(([label, value]) => (value == null || value === '' ? [] : [{ label, value }]));
}

/** How far its samples' times are from when they arrive, by which its charts are off; a spool that is being sent is behind, too. */
export function clockOf({ last_seen: heard, times }: Machine): string | null {
  const newest = Math.max(...(times ?? []).flatMap((time) => time ?? []));
  const off = heard === null || newest === -Infinity ? 0 : newest - heard;
  return Math.abs(off) < CLOCK_OFF_MS ? null : `${duration(Math.abs(off) / 1000)} ${off > 0 ? 'ahead' : 'behind'}`;
}

/** The newest payment of each merchant, of a machine that is a payment processor. */
function paymentTiles(machine: Machine): Tile[] {
  const newest = (metric: string): { value: number; merchant: string }[] => (machine.series ?? []).flatMap((series, index) => {
    const value = machine.values?.[index];
    return series.metric === metric && value !== null && value !== undefined ? [{ value, merchant: series.labels.merchant ?? '' }] : [];
  });
  const tile = (label: string, metric: string, show: (value: number) => string): Tile[] => {
    const most = newest(metric).reduce<{ value: number; merchant: string } | null>((best, one) => (best === null || one.value > best.value ? one : best), null);
    return most === null ? [] : [{ label, value: show(most.value), note: most.merchant, level: 'ok' }];
  };
  const failed = newest('payment.failed');
  const count = failed.filter(({ value }) => value > 0).length;
  return [
    ...tile('Largest of the newest', 'payment.amount', (value) => `${load(value)} EUR`),
    ...(failed.length === 0 ? [] : [{ label: 'Newest that failed', value: `${count} of ${failed.length}`, note: 'merchants', level: levelAt(count / failed.length, 0.25, 0.5) }]),
    ...tile('Slowest of the newest', 'payment.latency', (value) => quantity('seconds', value)),
  ];
}

export function tilesOf(machine: Machine): Tile[] {
  const payments = paymentTiles(machine);
  return payments.length > 0 ? payments : hostTiles(machine);
}

function hostTiles(machine: Machine): Tile[] {
  const { summary } = machine;
  const perCore = loadPerCore(machine);
  const tiles: Tile[] = [
    { label: 'CPU', value: percent(summary.cpu), note: machine.host?.cores == null ? '' : `${machine.host.cores} cores`, level: shareLevel(summary.cpu) },
    { label: 'Memory', value: percent(summary.memory), note: machine.host?.memory_bytes == null ? '' : `of ${bytes(machine.host.memory_bytes)}`, level: shareLevel(summary.memory) },
    { label: 'Fullest disk', value: percent(summary.disk), note: summary.disk_mount ?? '', level: shareLevel(summary.disk) },
    { label: 'Network in', value: network(summary.net_rx), note: `out ${network(summary.net_tx)}`, level: 'ok' },
    { label: 'Load', value: load(summary.load1), note: perCore === null ? '' : `${load(perCore)} per core`, level: loadLevel(perCore) },
  ];
  if (summary.swap !== null) tiles.push({ label: 'Swap', value: percent(summary.swap), note: '', level: levelAt(summary.swap, 0.5, 0.9) });
  if (summary.pressure !== null) tiles.push({ label: 'Pressure', value: percent(summary.pressure), note: 'time stalled', level: levelAt(summary.pressure, 0.2, 0.5) });
  if (summary.temperature !== null) tiles.push({ label: 'Temperature', value: celsius(summary.temperature), note: '', level: temperatureLevel(summary.temperature) });
  return tiles;
}
