// The two axes of a chart, with labels that are round in the unit that they are shown in.

import type uPlot from 'uplot';
import { clockTime, dayMonth, quantity, type Quantity } from '../format.ts';
import { preferences } from '../preferences.ts';
import { FRAME } from './frame.ts';
import { palette } from './palette.ts';

/** From one label to the next below a chart, at least, in pixels. */
const TICK_SPACE = 72;

/** Time below, values on the left. Values of a mirrored chart are read without a sign. */
export function axesOf(kind: Quantity, isMirrored: boolean): uPlot.Axis[] {
  const colors = palette();
  const shared = { font: `11px ${colors.font}`, stroke: colors.axis, ticks: { show: false } };
  return [
    { ...shared, grid: { stroke: colors.grid, width: 1 }, size: FRAME.bottom, space: TICK_SPACE, incrs: TIME_STEPS, values: (_plot, splits, _axis, _space, increment) => timeLabels(splits, increment) },
    {
      ...shared,
      grid: { stroke: colors.grid, width: 1 },
      size: FRAME.left,
      gap: 8,
      space: 34,
      ...stepsOf(kind),
      values: (_plot, splits, _axis, _space, increment) => splits.map((value) => (kind === 'load' ? evenly(value, increment) : quantity(kind, isMirrored ? Math.abs(value) : value))),
    },
  ];
}

/** With as many decimals as its neighbours. */
const evenly = (value: number, step: number): string => value.toFixed([0, 1].find((places) => Number.isInteger(step * 10 ** places)) ?? 2);

/** Labels are to be round in the unit that they are shown in. */
function stepsOf(kind: Quantity): { incrs?: number[] } {
  const { bytes, network } = preferences();
  if (kind === 'network' && network === 'bits') return { incrs: BIT_STEPS };
  const isBinary = bytes === 'iec' && (kind === 'bytes' || kind === 'rate' || kind === 'network');
  return isBinary ? { incrs: BINARY_STEPS } : {};
}

/** 1, 2, 5 … of every binary unit, so that labels are round in KiB, MiB and GiB. */
const BINARY_STEPS = [0, 1, 2, 3, 4, 5].flatMap((power) => [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map((step) => step * 1024 ** power));

const BIT_STEPS = [0, 1, 2, 3, 4].flatMap((power) => [1, 2, 5, 10, 20, 50, 100, 200, 500].map((step) => (step * 1000 ** power) / 8));

const [MINUTE_S, HOUR_S, DAY_S] = [60, 3_600, 86_400];

/** Fine enough that a narrow chart has more than one label, too. */
const TIME_STEPS = [1, 2, 5, 10, 15, 30, ...[1, 2, 5, 10, 15, 30].map((step) => step * MINUTE_S), ...[1, 2, 3, 6, 12].map((step) => step * HOUR_S), ...[1, 2, 7, 14, 28].map((step) => step * DAY_S)];

/** Round times of a range, with their labels: as many as fit, as below the other charts. Seconds since the epoch. */
export function timeTicks(from: number, to: number, width: number): { at: number; text: string }[] {
  const step = TIME_STEPS.find((one) => ((to - from) / one) * TICK_SPACE <= width) ?? DAY_S * 28;
  // Days begin at midnight of where one is.
  const shift = preferences().zone === 'utc' ? 0 : new Date(from * 1000).getTimezoneOffset() * 60;
  const first = Math.ceil((from - shift) / step) * step + shift;
  const times = Array.from({ length: Math.max(0, Math.floor((to - first) / step) + 1) }, (_, index) => first + index * step);
  const texts = timeLabels(times, step);
  return times.map((at, index) => ({ at, text: texts[index] ?? '' }));
}

function timeLabels(splits: number[], incrementSeconds: number): string[] {
  let previousDay = '';
  return splits.map((at) => {
    const day = dayMonth(at * 1000);
    if (incrementSeconds >= DAY_S) return day;
    const time = clockTime(at * 1000);
    const text = incrementSeconds < 60 ? time : time.slice(0, 5);
    const isNewDay = previousDay !== '' && day !== previousDay;
    previousDay = day;
    return isNewDay ? day : text;
  });
}
