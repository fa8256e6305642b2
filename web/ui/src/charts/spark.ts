// One painter for every sparkline of the fleet table: a row only owns a small canvas, never a chart object.
// The scale is fixed at 0..1, so that lines of different machines can be compared by eye.

import type { Ring } from '../live/ring.ts';
import { alpha, palette } from './palette.ts';

export const SPAN_MS_MAX = 15 * 60_000;
const SPAN_MS_MIN = 60_000;

/** The time that all sparklines cover: as long as there has been something to draw, so that a fresh page is not an empty one. */
export function sparkSpan(sinceMs: number, now: number): number {
  return Math.min(SPAN_MS_MAX, Math.max(SPAN_MS_MIN, now - sinceMs));
}

export interface SparkStyle {
  now: number;
  spanMs: number;
  /** A wider distance than this between two points is a gap. */
  gapMs: number;
  isGrey: boolean;
}

export function paintSpark(canvas: HTMLCanvasElement, ring: Ring | undefined, style: SparkStyle): void {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (width === 0 || height === 0) return;
  const pixelsWide = Math.round(width * ratio);
  const pixelsHigh = Math.round(height * ratio);
  if (canvas.width !== pixelsWide || canvas.height !== pixelsHigh) {
    canvas.width = pixelsWide;
    canvas.height = pixelsHigh;
  }
  const context = canvas.getContext('2d');
  if (context === null) return;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const colors = palette();
  const color = style.isGrey ? colors.axis : (colors.series[0] ?? colors.accent);
  context.strokeStyle = colors.grid;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, height - 0.5);
  context.lineTo(width, height - 0.5);
  context.stroke();
  if (ring === undefined || ring.length === 0) return;
  for (const run of runs(ring, style)) paintRun(context, run, { width, height, color });
}

type Point = [x: number, y: number];

/** The points as shares of the box, cut where a gap is. */
function runs(ring: Ring, { now, spanMs, gapMs }: SparkStyle): Point[][] {
  const parts: Point[][] = [];
  let part: Point[] = [];
  let previous = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < ring.length; index += 1) {
    const at = ring.timeAt(index);
    if (at < now - spanMs) continue;
    if (at - previous > gapMs && part.length > 0) {
      parts.push(part);
      part = [];
    }
    part.push([1 - (now - at) / spanMs, Math.min(1, Math.max(0, ring.valueAt(index)))]);
    previous = at;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

function paintRun(context: CanvasRenderingContext2D, run: Point[], box: { width: number; height: number; color: string }): void {
  const x = (point: Point): number => point[0] * box.width;
  const y = (point: Point): number => box.height - 1 - point[1] * (box.height - 3);
  const first = run[0];
  const last = run.at(-1);
  if (first === undefined || last === undefined) return;
  context.beginPath();
  context.moveTo(x(first), y(first));
  for (const point of run) context.lineTo(x(point), y(point));
  // A single point would be invisible as a line of no length.
  if (run.length === 1) context.lineTo(x(first) - 1.5, y(first));
  context.strokeStyle = box.color;
  context.lineWidth = 1.5;
  context.lineJoin = 'round';
  context.stroke();
  context.lineTo(x(last), box.height);
  context.lineTo(x(first), box.height);
  context.closePath();
  context.fillStyle = alpha(box.color, 0.14);
  context.fill();
}
