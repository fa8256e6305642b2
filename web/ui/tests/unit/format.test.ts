import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, bothTimes, bytes, count, digits, duration, kindOf, load, milliseconds, percent, quantity, rate } from '../../src/format.ts';

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

test('what is not known is an en dash, never a zero', () => {
  for (const show of [percent, bytes, rate, count, load, milliseconds, duration]) {
    assert.equal(show(null), '–');
    assert.equal(show(undefined), '–');
    assert.equal(show(Number.NaN), '–');
  }
});

test('at most three significant digits', () => {
  assert.deepEqual([0, 0.0421, 4.2, 42.13, 421.9].map(digits), ['0', '0.042', '4.2', '42.1', '422']);
});

test('a share reads as a percentage with a decimal only below ten', () => {
  assert.deepEqual([0, 0.0042, 0.0996, 0.5, 1].map((value) => plain(percent(value))), ['0 %', '0.4 %', '10 %', '50 %', '100 %']);
});

test('sizes change unit before they need a fourth digit', () => {
  assert.deepEqual([0, 999, 1000, 1536, 1024 ** 2 * 999.4, 1024 ** 2 * 1000, -2048].map((value) => plain(bytes(value))), ['0 B', '999 B', '0.98 KiB', '1.5 KiB', '999 MiB', '0.98 GiB', '−2 KiB']);
  assert.equal(plain(rate(1024)), '1 KiB/s');
});

test('counts are grouped, then shortened', () => {
  assert.deepEqual([7, 1234, 12_345, 4_500_000].map((value) => plain(count(value))), ['7', '1,234', '12.3 k', '4.5 M']);
});

test('a length of time is its two largest units', () => {
  assert.deepEqual([0, 59, 60, 3661, 90_061, 86_400].map((value) => plain(duration(value))), ['0 s', '59 s', '1 min', '1 h 1 min', '1 d 1 h', '1 d']);
});

test('an age is one unit, and a clock behind the hub gives no negative one', () => {
  assert.equal(plain(ago(0, 61_000)), '1 min ago');
  assert.equal(plain(ago(5_000, 1_000)), 'now');
  assert.equal(ago(null, 0), 'never');
});

test('the unit chooses how a value is shown, and for a plain number the name', () => {
  assert.deepEqual(['By', 'By/s', 'Cel', 's', '{process}'].map((unit) => kindOf('any', unit)), ['bytes', 'rate', 'celsius', 'seconds', 'count']);
  const plainly = ['system.cpu.utilization', 'system.pressure.io.some', 'system.disk.busy', 'system.cpu.load_average.1m', 'system.process.count'];
  assert.deepEqual(plainly.map((metric) => kindOf(metric, '1')), ['ratio', 'ratio', 'ratio', 'load', 'count']);
  assert.equal(plain(quantity('celsius', 54.4)), '54 °C');
});

test('short times are told in milliseconds, long ones in the units of people', () => {
  assert.deepEqual([0, 0.25, 1.5, 90].map((value) => quantity('seconds', value)), ['0\u00a0ms', '250\u00a0ms', '1.5\u00a0s', '1\u00a0min 30\u00a0s']);
});

test('a tooltip has the reader\'s own clock and UTC, with the date of the other where it is another day', () => {
  const at = Date.UTC(2026, 10, 22, 16, 5, 9);
  const late = Date.UTC(2026, 10, 22, 20, 0, 0);
  const before = process.env.TZ;
  try {
    process.env.TZ = 'Asia/Kolkata';
    assert.deepEqual([at, late].map((ms) => bothTimes(ms)), ['22 Nov 21:35:09 (16:05:09 UTC)', '23 Nov 01:30:00 (22 Nov 20:00:00 UTC)']);
    process.env.TZ = 'UTC';
    assert.equal(bothTimes(at), '22 Nov 16:05:09 UTC');
  } finally {
    process.env.TZ = before ?? '';
  }
});
