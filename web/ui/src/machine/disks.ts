// Disk space per mount, as bars of the newest values: where it is full matters more than how it got there.

import { element, setText } from '../dom.ts';
import { bytes, duration, percent } from '../format.ts';
import { shareLevel } from '../levels.ts';
import type { HistorySeries, Machine } from '../protocol.ts';
import { secondsToFull } from './trend.ts';

interface Mount {
  mountpoint: string;
  device: string;
  fstype: string;
  utilization: number | null;
  usage: number | null;
  limit: number | null;
  inodes: number | null;
  isReadonly: boolean;
}

/** Machines with hundreds of mounts exist; the fullest are the ones to see. */
const MOUNTS_MAX = 12;

export function mountsOf(machine: Machine): Mount[] {
  const mounts = new Map<string, Mount>();
  (machine.series ?? []).forEach(({ metric, labels }, index) => {
    if (!metric.startsWith('system.filesystem.')) return;
    const mountpoint = labels.mountpoint ?? '';
    const mount = mounts.get(mountpoint) ?? {
      mountpoint, device: labels.device ?? '', fstype: labels.fstype ?? '', utilization: null, usage: null, limit: null, inodes: null, isReadonly: false,
    };
    mounts.set(mountpoint, mount);
    take(mount, metric.slice('system.filesystem.'.length), machine.values?.[index] ?? null);
  });
  return [...mounts.values()].sort((a, b) => (b.utilization ?? -1) - (a.utilization ?? -1));
}

function take(mount: Mount, name: string, value: number | null): void {
  switch (name) {
    case 'utilization': mount.utilization = value; break;
    case 'usage': mount.usage = value; break;
    case 'limit': mount.limit = value; break;
    case 'inodes.utilization': mount.inodes = value; break;
    case 'readonly': mount.isReadonly = value === 1; break;
    default: break;
  }
}

export class DiskPanel {
  private readonly list = element('ul', { class: 'mounts' });
  readonly node = element('section', { class: 'panel', 'aria-labelledby': 'panel-disks', 'data-panel': 'disks' },
    element('header', { class: 'panel-head' }, element('h2', { id: 'panel-disks' }, 'Disk space')), this.list);

  /** What was used of each mount in the last day. */
  private past = new Map<string, HistorySeries>();

  setPast(series: readonly HistorySeries[]): void {
    this.past = new Map(series.map((one) => [one.labels.mountpoint ?? '', one]));
  }

  /** False when the machine told of no file system. */
  show(machine: Machine): boolean {
    const mounts = mountsOf(machine);
    const shown = mounts.slice(0, MOUNTS_MAX);
    while (this.list.childElementCount > shown.length) this.list.lastElementChild?.remove();
    shown.forEach((mount, index) => {
      let item = this.list.children[index];
      if (item === undefined) {
        item = emptyItem();
        this.list.append(item);
      }
      const past = this.past.get(mount.mountpoint);
      fill(item, mount, past === undefined || mount.limit === null ? null : secondsToFull(past, mount.limit));
    });
    return mounts.length > 0;
  }
}

function emptyItem(): HTMLElement {
  return element('li', { class: 'mount' },
    element('span', { class: 'mount-name' }), element('span', { class: 'mount-size' }), element('span', { class: 'value' }),
    element('span', { class: 'bar', 'aria-hidden': 'true' }, element('span', { class: 'bar-fill' })), element('span', { class: 'mount-note' }));
}

function fill(item: Element, mount: Mount, fullIn: number | null): void {
  const [name, size, value, bar, note] = item.children;
  if (name === undefined || size === undefined || value === undefined || note === undefined) return;
  const fillNode = bar?.firstElementChild;
  if (item instanceof HTMLElement) item.dataset.level = shareLevel(mount.utilization);
  setText(name, mount.mountpoint);
  setText(size, `${bytes(mount.usage)} of ${bytes(mount.limit)}`);
  setText(value, percent(mount.utilization));
  if (fillNode instanceof HTMLElement) fillNode.style.transform = `scaleX(${Math.min(1, Math.max(0, mount.utilization ?? 0)).toFixed(3)})`;
  const inodes = mount.inodes === null ? '' : ` · inodes ${percent(mount.inodes)}`;
  setText(note, `${mount.device} · ${mount.fstype}${inodes}${mount.isReadonly ? ' · read-only' : ''}${fullIn === null ? '' : ` · full in ${duration(fullIn)} if it goes on so`}`);
}
