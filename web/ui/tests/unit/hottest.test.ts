import assert from 'node:assert/strict';
import { test } from 'node:test';
import { columns, isWorthShowing } from '../../src/fleet/hottest.ts';
import type { Hottest } from '../../src/protocol.ts';

const top = (metric: string, ...values: number[]): Hottest['metrics'][number] => ({
  metric, unit: '1', display: metric, machines: values.map((value, at) => ({ id: `m ${at}`, value })),
});

test('a list per known metric, in a fixed order, with bars of the full scale or of the highest', () => {
  const made = columns({ minute: 0, metrics: [top('system.cpu.load_average.1m', 8, 2), top('own.metric', 1, 1), top('system.cpu.utilization', 0.5)] });
  assert.deepEqual(made.map(({ title }) => title), ['CPU', 'Load']);
  assert.deepEqual(made[0]?.machines, [{ id: 'm 0', href: '/machines/m%200', value: '50\u00a0%', bar: { width: '50.0%' } }]);
  assert.deepEqual(made[1]?.machines.map(({ value, bar }) => [value, bar.width]), [['8.00', '100.0%'], ['2.00', '25.0%']]);
});

test('nothing to compare is not shown, and a metric at rest has empty bars', () => {
  assert.equal(isWorthShowing({ minute: null, metrics: [] }), false);
  assert.equal(isWorthShowing({ minute: 0, metrics: [top('system.cpu.utilization', 0.5)] }), false);
  const idle = columns({ minute: 0, metrics: [top('system.cpu.load_average.1m', 0, 0)] });
  assert.deepEqual(idle[0]?.machines.map(({ bar }) => bar.width), ['0%', '0%']);
});
