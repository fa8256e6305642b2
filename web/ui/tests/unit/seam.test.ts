// Where the history of a chart ends and its live part begins: each sample once, whatever was on its way when somebody looked.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChartColumn } from '../../src/machine/columns.ts';
import { Mending } from '../../src/machine/mending.ts';
import { Lines, type LivePoints } from '../../src/machine/seam.ts';
import { seriesKey } from '../../src/machine/specs.ts';
import type { HistorySeries, Machine } from '../../src/protocol.ts';

const METRIC = 'system.cpu.utilization';
const KEY = seriesKey(METRIC, {});
const LATENCY_MS = 250;
const RATE_MS = 1000;
const TICK_MS = 50;
const MEND_MS = 5000;

const seriesOf = (t: number[]): HistorySeries => ({ metric: METRIC, labels: {}, unit: '1', t, v: t.map((at) => at / 10), min: null, max: null });
const columnOf = ({ t, v }: HistorySeries): ChartColumn => ({ key: KEY, name: 'CPU', spec: { metric: METRIC }, color: 0, t: [...t], v: [...v], min: null, max: null });
const live = (at: number): LivePoints => new Map([[KEY, [at, at / 10]]]);

/** Times at which a machine measures, some of them early or late, so that now and then two come within one message. */
function measured(interval: number, until: number): number[] {
  const wobble = (index: number): number => ((index * 7919) % 31) * 11;
  return Array.from({ length: Math.floor(until / interval) - 1 }, (_, index) => (index + 1) * interval + wobble(index));
}

/** A hub that tells of the newest sample once a second at most, and whose history is so far behind. */
class Hub {
  private toldAt = -Infinity;
  private told = 0;

  constructor(private readonly samples: readonly number[], private readonly lagMs: number) {}

  newest(now: number): number {
    return this.samples.findLast((at) => at <= now) ?? 0;
  }

  message(now: number): LivePoints | null {
    const newest = this.newest(now);
    if (newest === this.told || now - this.toldAt < RATE_MS) return null;
    [this.told, this.toldAt] = [newest, now];
    return live(newest);
  }

  history(from: number, to: number, now: number): HistorySeries {
    return seriesOf(this.samples.filter((at) => from <= at && at < to && at <= now - this.lagMs));
  }
}

/** A chart that is opened in the middle of a machine's life, and one below it that comes into view later. */
async function watched(interval: number, lagMs: number): Promise<{ lines: Lines[]; samples: number[]; doubled: number; mended: boolean }> {
  const [openedAt, scrolledAt, endAt] = [40_020, 61_310, 120_000];
  const samples = measured(interval, endAt);
  const hub = new Hub(samples, lagMs);
  const lines = [new Lines(), new Lines()];
  const isLoaded = [false, false];
  let now = openedAt;
  let doubled = 0;
  let mended = false;
  let tick: () => void = () => {};
  const timers = { setInterval: (run: () => void) => ((tick = run), 1), clearInterval: () => {} };
  Object.assign(globalThis, { window: timers });
  const mending = new Mending({
    machine: () => ({ last_seen: hub.newest(now), interval_ms: interval }) as Machine,
    panels: () => lines.map((one, index) => ({
      liveMetrics: () => (isLoaded[index] === true ? [METRIC] : []),
      mend: (series) => void (isLoaded[index] === true && (mended = one.mend(series) || mended)),
    })),
    window: () => [0, now],
    isOff: () => false,
    ask: ({ from, to }) => Promise.resolve([hub.history(from, to, now)]),
  });
  for (; now < endAt; now += TICK_MS) {
    const message = hub.message(now);
    [openedAt, scrolledAt].forEach((at, index) => {
      if (now < at + LATENCY_MS || isLoaded[index] === true) return;
      // What the hub read is older than when its answer comes.
      lines[index]?.load([columnOf(hub.history(0, at + 1000, at + LATENCY_MS / 2))], true, 0);
      isLoaded[index] = true;
    });
    if (message !== null) {
      lines.forEach((one, index) => {
        one.remember(message);
        if (isLoaded[index] === true) one.grow(message, 0);
      });
    }
    if ((now - openedAt) % MEND_MS === 0) tick();
    await Promise.resolve();
    for (const { columns: [column] } of lines) if (column !== undefined && new Set(column.t).size !== column.t.length) doubled += 1;
  }
  mending.stop();
  return { lines, samples, doubled, mended };
}

for (const interval of [1000, 5000]) {
  for (const lagMs of [0, 900, 4000]) {
    test(`at ${interval / 1000} s and a history ${lagMs} ms behind, no sample is missing or doubled where the history ends`, async () => {
      const { lines, samples, doubled, mended } = await watched(interval, lagMs);
      const settled = 120_000 - MEND_MS - lagMs - 2 * TICK_MS;
      for (const { columns: [column] } of lines) {
        assert.ok(column !== undefined);
        assert.deepEqual(column.t.filter((at) => at < settled), samples.filter((at) => at < settled));
        assert.deepEqual(column.v, column.t.map((at) => at / 10));
      }
      assert.equal(doubled, 0);
      if (interval === 1000) assert.ok(mended, 'messages alone lack some');
    });
  }
}

test('a series that did not change adds nothing, and a late sample finds its place', () => {
  const lines = new Lines();
  lines.load([columnOf(seriesOf([1000, 2000, 4000]))], true, 0);
  lines.grow(live(4000), 0);
  lines.grow(live(4000), 0);
  assert.equal(lines.mend([seriesOf([2000, 3000, 4000])]), true);
  assert.equal(lines.mend([seriesOf([2000, 3000, 4000])]), false);
  assert.deepEqual(lines.columns[0]?.t, [1000, 2000, 3000, 4000]);
  assert.deepEqual(lines.columns[0]?.v, [100, 200, 300, 400]);
});

test('what does not go on by itself takes nothing that came live', () => {
  const lines = new Lines();
  lines.remember(live(9000));
  lines.load([columnOf(seriesOf([1000]))], false, 0);
  assert.deepEqual(lines.columns[0]?.t, [1000]);
});
