// The per-core heat strip: one line of cells per core over time. Painted as plain rectangles on one canvas, because 128 lines in a
// chart would be a knot and 128 charts would be slow.

import { bothTimes, percent } from '../format.ts';
import { bucketCount, bucketMeans } from './downsample.ts';
import type { Named } from './summary.ts';
import { timeTicks } from './axes.ts';
import { FRAME } from './frame.ts';
import { isPinned, moveCrosshair, onCrosshair } from './crosshair.ts';
import { palette } from './palette.ts';
import { followPresses } from './press.ts';

const { left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM } = FRAME;

/** Height of a tick at a time, in pixels. */
const TICK = 5;

/** Where each colour of the ramp begins: shades of one hue for work, and the two warning colours only where a core is nearly full. */
const STEPS = [0, 0.1, 0.25, 0.45, 0.65, 0.85, 0.95];

export function heatStep(value: number): number {
  return Math.max(0, STEPS.findLastIndex((from) => value >= from));
}

export interface HeatData {
  cores: Named[];
  fromMs: number;
  toMs: number;
  stepMs: number;
}

export class Heat {
  private readonly canvas = document.createElement('canvas');
  private readonly line = document.createElement('div');
  private readonly host: HTMLElement;
  private readonly height: number;
  private readonly onReadout: (text: string) => void;
  private readonly stop: () => void;
  private data: HeatData | null = null;
  private grid: (number | null)[][] = [];

  constructor(host: HTMLElement, height: number, onReadout: (text: string) => void) {
    this.host = host;
    this.height = height;
    this.onReadout = onReadout;
    this.canvas.className = 'heat-canvas';
    this.line.className = 'heat-line';
    this.line.hidden = true;
    host.append(this.canvas, this.line);
    host.addEventListener('pointermove', (event) => this.point(event));
    host.addEventListener('pointerleave', () => {
      if (isPinned()) return;
      onReadout('');
      moveCrosshair(null);
    });
    followPresses(host, (clientX) => this.timeAt(clientX));
    this.stop = onCrosshair((at) => this.follow(at));
  }

  draw(data: HeatData): void {
    this.data = data;
    this.paint();
  }

  resize(): void {
    if (this.data !== null) this.paint();
  }

  retheme(): void {
    this.resize();
  }

  destroy(): void {
    this.stop();
    this.canvas.remove();
    this.line.remove();
  }

  private plotWidth(): number {
    return Math.max(1, this.host.clientWidth - LEFT - RIGHT);
  }

  private paint(): void {
    const data = this.data;
    const context = this.canvas.getContext('2d');
    if (data === null || context === null || this.host.clientWidth === 0) return;
    const ratio = Math.min(3, devicePixelRatio || 1);
    this.canvas.width = Math.round(this.host.clientWidth * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const width = this.plotWidth();
    const count = bucketCount(data.fromMs, data.toMs, data.stepMs, width);
    this.grid = data.cores.map((core) => bucketMeans(core, { from: data.fromMs, to: data.toMs, count }));
    this.paintCells(context, width, count);
    this.paintLabels(context, width, data);
  }

  private paintCells(context: CanvasRenderingContext2D, width: number, count: number): void {
    const rowHeight = (this.height - TOP - BOTTOM) / Math.max(1, this.grid.length);
    const space = rowHeight > 5 ? 1 : 0;
    const ramp = palette().heat;
    this.grid.forEach((row, core) => {
      row.forEach((value, bucket) => {
        if (value === null) return;
        const left = Math.floor((bucket / count) * width);
        const right = Math.floor(((bucket + 1) / count) * width);
        context.fillStyle = ramp[heatStep(value)] ?? '';
        context.fillRect(LEFT + left, TOP + core * rowHeight, right - left, rowHeight - space);
      });
    });
  }

  private paintLabels(context: CanvasRenderingContext2D, width: number, data: HeatData): void {
    const colors = palette();
    const cores = data.cores.length;
    const rowHeight = (this.height - TOP - BOTTOM) / Math.max(1, cores);
    const every = Math.max(1, Math.ceil(14 / rowHeight));
    context.font = `11px ${colors.font}`;
    context.fillStyle = colors.axis;
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    for (let core = 0; core < cores; core += every) {
      context.fillText(data.cores[core]?.name ?? '', LEFT - 8, TOP + (core + 0.5) * rowHeight);
    }
    context.textBaseline = 'top';
    context.textAlign = 'center';
    const [from, to] = [data.fromMs / 1000, data.toMs / 1000];
    for (const { at, text } of timeTicks(from, to, width)) {
      const x = LEFT + ((at - from) / (to - from)) * width;
      context.fillText(text, x, this.height - 18);
      context.fillRect(Math.round(x), this.height - BOTTOM + 1, 1, TICK);
    }
  }

  private shareAt(clientX: number): number {
    return (clientX - this.host.getBoundingClientRect().left - LEFT) / this.plotWidth();
  }

  private timeAt(clientX: number): number | null {
    const share = this.shareAt(clientX);
    return this.data === null || share < 0 || share > 1 ? null : (this.data.fromMs + share * (this.data.toMs - this.data.fromMs)) / 1000;
  }

  private point(event: PointerEvent): void {
    const data = this.data;
    if (data === null || this.grid.length === 0 || isPinned()) return;
    const share = this.shareAt(event.clientX);
    const core = Math.floor(((event.clientY - this.host.getBoundingClientRect().top - TOP) / (this.height - TOP - BOTTOM)) * this.grid.length);
    const row = this.grid[core];
    if (share < 0 || share > 1 || row === undefined) return;
    const at = data.fromMs + share * (data.toMs - data.fromMs);
    const value = row[Math.min(row.length - 1, Math.floor(share * row.length))] ?? null;
    this.onReadout(`${data.cores[core]?.name ?? ''} · ${percent(value)} · ${bothTimes(at)}`);
    moveCrosshair(at / 1000);
  }

  private follow(atSeconds: number | null): void {
    const data = this.data;
    const share = data === null || atSeconds === null ? -1 : (atSeconds * 1000 - data.fromMs) / (data.toMs - data.fromMs);
    this.line.hidden = share < 0 || share > 1;
    this.line.style.transform = `translateX(${Math.round(LEFT + share * this.plotWidth())}px)`;
  }
}
