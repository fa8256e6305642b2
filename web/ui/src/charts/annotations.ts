// What is painted over a chart beside its data: threshold lines of rules, and the time spans of alerts.

import type uPlot from 'uplot';
import type { Severity } from '../protocol.ts';
import { alpha, palette } from './palette.ts';

export interface Threshold {
  value: number;
  severity: Severity;
}

export interface Mark {
  fromMs: number;
  /** Null while the alert is firing. */
  toMs: number | null;
  severity: Severity;
}

function color(severity: Severity): string {
  const colors = palette();
  return severity === 'critical' ? colors.critical : severity === 'warning' ? colors.warning : colors.accent;
}

export function paintThresholds(plot: uPlot, thresholds: readonly Threshold[]): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  const [low, high] = [plot.scales.y?.min ?? 0, plot.scales.y?.max ?? 0];
  ctx.save();
  ctx.lineWidth = ratio;
  ctx.setLineDash([4 * ratio, 4 * ratio]);
  for (const { value, severity } of thresholds) {
    if (value < low || value > high) continue;
    const y = Math.round(plot.valToPos(value, 'y', true)) + 0.5;
    ctx.strokeStyle = alpha(color(severity), 0.85);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

const HATCH_PX = 6;

/** Where nothing was measured: slanted lines, so that it is not read as zero. */
export function paintHoles(plot: uPlot, holes: readonly (readonly [from: number, to: number])[]): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.strokeStyle = palette().grid;
  ctx.lineWidth = ratio;
  for (const [from, to] of holes) {
    const left = Math.max(bbox.left, plot.valToPos(from, 'x', true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, 'x', true));
    if (right - left < 2 * ratio) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, bbox.top, right - left, bbox.height);
    ctx.clip();
    ctx.beginPath();
    for (let at = left - bbox.height; at < right; at += HATCH_PX * ratio) {
      ctx.moveTo(at, bbox.top + bbox.height);
      ctx.lineTo(at + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }
  ctx.restore();
}

/** The time an alert was firing is tinted; a small triangle on the top edge says when it began. */
export function paintMarks(plot: uPlot, marks: readonly Mark[]): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  const right = bbox.left + bbox.width;
  ctx.save();
  for (const { fromMs, toMs, severity } of marks) {
    const start = plot.valToPos(fromMs / 1000, 'x', true);
    const end = toMs === null ? right : plot.valToPos(toMs / 1000, 'x', true);
    if (end < bbox.left || start > right) continue;
    const from = Math.max(bbox.left, start);
    ctx.fillStyle = alpha(color(severity), 0.09);
    ctx.fillRect(from, bbox.top, Math.max(ratio, Math.min(end, right) - from), bbox.height);
    if (start < bbox.left) continue;
    ctx.fillStyle = color(severity);
    ctx.beginPath();
    ctx.moveTo(start - 5 * ratio, bbox.top);
    ctx.lineTo(start + 5 * ratio, bbox.top);
    ctx.lineTo(start, bbox.top + 7 * ratio);
    ctx.closePath();
    ctx.fill();
  }
  ctx.restore();
}
