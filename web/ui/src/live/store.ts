// What the page knows of the fleet: the newest state of every machine and alert, merged from snapshots and deltas.
//
// Kept true: a machine disappears only when the hub says so; while paused, changes wait (newest wins) and nothing on screen moves;
// listeners hear of changes at most twice a second and only when a frame can be painted.

import type { Alert, Hub, Machine, Subscription, Update } from '../protocol.ts';
import { Ring } from './ring.ts';

/** 15 minutes at the default interval of 5 s. */
const SPARK_POINTS = 180;
const PUBLISH_MS = 500;
/** The rest of a large snapshot follows at once; after this long, what it did not list is gone. */
const CONFIRM_MS = 3_000;

export interface Change {
  /** Ids of machines that changed; everything did when `all` is set. */
  machines: ReadonlySet<string>;
  all: boolean;
  alerts: boolean;
}

type Listener = (change: Change) => void;
type UpdateListener = (update: Update) => void;

export class FleetStore {
  readonly machines = new Map<string, Machine>();
  readonly alerts = new Map<string, Alert>();
  readonly sparks = new Map<string, Ring>();
  /** Machines whose sparkline has been given its past, or is about to be. */
  readonly seeded = new Set<string>();
  hub: Hub | null = null;
  /** False until the first snapshot of the whole fleet. */
  isLoaded = false;
  /** The oldest point of any sparkline: all of them begin there. */
  sparksSince: number | null = null;
  /** Known machines that a snapshot has not confirmed yet: a large one goes on in the deltas after it. */
  private unconfirmed = new Set<string>();
  private paused = false;
  private waiting: [Update, Subscription][] = [];
  private changed = new Set<string>();
  private changedAll = false;
  private changedAlerts = false;
  private scheduled = false;
  private publishedAt = 0;
  private readonly listeners = new Set<Listener>();
  private readonly updateListeners = new Set<UpdateListener>();

  get isPaused(): boolean {
    return this.paused;
  }

  setPaused(paused: boolean): void {
    this.paused = paused;
    if (paused) return;
    for (const [update, subscription] of this.waiting) this.merge(update, subscription);
    this.waiting = [];
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Hears every update as it is merged, for charts that append points. */
  listenUpdates(listener: UpdateListener): () => void {
    this.updateListeners.add(listener);
    return () => this.updateListeners.delete(listener);
  }

  apply(update: Update, subscription: Subscription): void {
    if (this.paused) this.hold(update, subscription);
    else this.merge(update, subscription);
  }

  mergeMachine(machine: Machine): void {
    const known = this.machines.get(machine.id);
    this.machines.set(machine.id, withDetail(machine, known));
    this.recordSpark(machine);
    this.changed.add(machine.id);
    this.schedule();
  }

  /** Puts the past before the live points that have come meanwhile; both have each sample under the time at which it was measured. */
  seedSpark(id: string, times: readonly number[], values: readonly (number | null)[]): void {
    const live = this.sparks.get(id);
    const ring = new Ring(SPARK_POINTS);
    times.forEach((time, index) => {
      const value = values[index];
      if (value !== null && value !== undefined) ring.push(time, value);
    });
    // What both have is older than the newest of the past, or as old, and so is not taken twice.
    for (let index = 0; live !== undefined && index < live.length; index += 1) ring.push(live.timeAt(index), live.valueAt(index));
    this.sparks.set(id, ring);
    if (ring.length > 0) this.sparksSince = Math.min(this.sparksSince ?? Infinity, ring.timeAt(0));
  }

  /** While paused a newer snapshot replaces all that waits, and waiting deltas are folded into one, so the memory stays bounded. */
  private hold(update: Update, subscription: Subscription): void {
    const last = this.waiting.at(-1);
    if (update.type === 'snapshot' || last === undefined) {
      this.waiting = [[update, subscription]];
      return;
    }
    last[0] = fold(last[0], update);
  }

  private merge(update: Update, subscription: Subscription): void {
    const isFleet = subscription.machines.includes('*');
    this.hub = update.hub;
    if (update.type === 'snapshot' && isFleet) this.replaceAll();
    // Whatever the machines, a snapshot has all alerts that fire: what it lacks was resolved while we were away.
    if (update.type === 'snapshot') {
      this.alerts.clear();
      this.changedAlerts = true;
    }
    for (const machine of update.machines) {
      this.unconfirmed.delete(machine.id);
      this.mergeMachine(machine);
    }
    for (const id of update.removed) this.remove(id);
    for (const alert of update.alerts) {
      if (alert.state === 'firing') this.alerts.set(alert.id, alert);
      else this.alerts.delete(alert.id);
      this.changedAlerts = true;
    }
    for (const listener of this.updateListeners) listener(update);
    this.schedule();
  }

  private replaceAll(): void {
    const unconfirmed = new Set(this.machines.keys());
    this.unconfirmed = unconfirmed;
    setTimeout(() => {
      // A newer snapshot has a set of its own.
      if (this.unconfirmed !== unconfirmed) return;
      for (const id of unconfirmed) this.remove(id);
      this.schedule();
    }, CONFIRM_MS);
    this.isLoaded = true;
    this.changedAll = true;
  }

  private remove(id: string): void {
    this.machines.delete(id);
    this.sparks.delete(id);
    this.seeded.delete(id);
    this.changedAll = true;
  }

  private recordSpark(machine: Machine): void {
    const { cpu, cpu_time: time } = machine.summary;
    if (cpu === null || time === null) return;
    let ring = this.sparks.get(machine.id);
    if (ring === undefined) {
      ring = new Ring(SPARK_POINTS);
      this.sparks.set(machine.id, ring);
    }
    ring.push(time, cpu);
    if (machine.status === 'up') this.sparksSince = Math.min(this.sparksSince ?? Infinity, time);
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    const wait = Math.max(0, this.publishedAt + PUBLISH_MS - Date.now());
    setTimeout(() => requestAnimationFrame(() => this.publish()), wait);
  }

  /** What waits to be told is told, by the clock or by whom it would come too late. */
  publish(): void {
    if (!this.scheduled) return;
    this.scheduled = false;
    this.publishedAt = Date.now();
    const change: Change = { machines: this.changed, all: this.changedAll, alerts: this.changedAlerts };
    this.changed = new Set();
    this.changedAll = false;
    this.changedAlerts = false;
    for (const listener of this.listeners) listener(change);
  }
}

/** A summary message says nothing of the series, so what an earlier full one told is kept. */
function withDetail(machine: Machine, known: Machine | undefined): Machine {
  if (known === undefined || machine.series !== undefined) return machine;
  return {
    ...machine,
    ...(known.series === undefined ? {} : { series: known.series }),
    ...(known.values === undefined ? {} : { values: known.values }),
    ...(known.times === undefined ? {} : { times: known.times }),
    ...(known.processes === undefined ? {} : { processes: known.processes }),
  };
}

/** Two updates as one: the later state of each machine and alert wins. */
export function fold(earlier: Update, later: Update): Update {
  const machines = new Map(earlier.machines.map((machine) => [machine.id, machine]));
  for (const id of later.removed) machines.delete(id);
  for (const machine of later.machines) machines.set(machine.id, machine);
  const alerts = new Map([...earlier.alerts, ...later.alerts].map((alert) => [alert.id, alert]));
  const removed = new Set([...earlier.removed, ...later.removed].filter((id) => !machines.has(id)));
  return { ...later, type: earlier.type, machines: [...machines.values()], alerts: [...alerts.values()], removed: [...removed] };
}
