// What the head of the machine screen says: the inventory line and the tiles of current values.

import { ago, bytes, celsius, duration, load, percent, network } from '../format.ts';
import type { Machine } from '../protocol.ts';
import { loadPerCore } from '../fleet/order.ts';

export interface Fact {
  label: string;
  value: string;
}

export interface Tile {
  label: string;
  value: string;
  note: string;
  level: 'ok' | 'warn' | 'critical';
}

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
  ];
  return facts.flatMap(([label, value]) => (value == null || value === '' ? [] : [{ label, value }]));
}

function level(value: number | null, warn: number, critical: number): Tile['level'] {
  if (value === null || value < warn) return 'ok';
  return value < critical ? 'warn' : 'critical';
}

export function tilesOf(machine: Machine): Tile[] {
  const { summary } = machine;
  const perCore = loadPerCore(machine);
  const tiles: Tile[] = [
    { label: 'CPU', value: percent(summary.cpu), note: machine.host?.cores == null ? '' : `${machine.host.cores} cores`, level: level(summary.cpu, 0.85, 0.95) },
    { label: 'Memory', value: percent(summary.memory), note: machine.host?.memory_bytes == null ? '' : `of ${bytes(machine.host.memory_bytes)}`, level: level(summary.memory, 0.85, 0.95) },
    { label: 'Fullest disk', value: percent(summary.disk), note: summary.disk_mount ?? '', level: level(summary.disk, 0.85, 0.95) },
    { label: 'Network in', value: network(summary.net_rx), note: `out ${network(summary.net_tx)}`, level: 'ok' },
    { label: 'Load', value: load(summary.load1), note: perCore === null ? '' : `${load(perCore)} per core`, level: level(perCore, 1.5, 3) },
  ];
  if (summary.swap !== null) tiles.push({ label: 'Swap', value: percent(summary.swap), note: '', level: level(summary.swap, 0.5, 0.9) });
  if (summary.pressure !== null) tiles.push({ label: 'Pressure', value: percent(summary.pressure), note: 'time stalled', level: level(summary.pressure, 0.2, 0.5) });
  if (summary.temperature !== null) tiles.push({ label: 'Temperature', value: celsius(summary.temperature), note: '', level: level(summary.temperature, 80, 90) });
  return tiles;
}
