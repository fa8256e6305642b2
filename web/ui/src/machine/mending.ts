// The newest part of the charts, asked for once more: samples that no message had (of two within one message the newer one wins), that
// were on their way to the disk when the history was asked, or that came late. One small request for all charts that were in view.

import type { HistoryQuery } from '../api.ts';
import type { HistorySeries, Machine } from '../protocol.ts';

export interface MendingHost {
  machine(): Machine | undefined;
  panels(): Iterable<{ liveMetrics(): string[]; mend(series: readonly HistorySeries[]): void }>;
  window(): [from: number, to: number];
  /** Nothing grows just now, or nobody looks. */
  isOff(): boolean;
  ask(query: HistoryQuery): Promise<HistorySeries[]>;
}

const EVERY_MS = 5_000;
/** What is older was in an earlier answer already; it has long been on the disk. */
const OVERLAP_MS = 30_000;
/** A history that does not answer is left alone for so long. */
const REST_MS = 60_000;
/** As many as one answer holds: nothing is thinned out. */
const POINTS_MAX = 10_000;

export class Mending {
  private readonly host: MendingHost;
  private readonly timer: number;
  /** Until when the charts have what the history has. */
  private until = Infinity;
  private isAsking = false;
  private restsUntil = 0;

  constructor(host: MendingHost) {
    this.host = host;
    this.timer = window.setInterval(() => void this.mend(), EVERY_MS);
    this.begin();
  }

  /** The charts are loaded anew. */
  begin(): void {
    this.until = this.host.window()[1];
  }

  stop(): void {
    window.clearInterval(this.timer);
  }

  private async mend(): Promise<void> {
    const [start, now] = this.host.window();
    const machine = this.host.machine();
    const heardAt = machine?.last_seen ?? 0;
    const interval = machine?.interval_ms ?? EVERY_MS;
    const isNothingNew = now - this.until < interval || heardAt < this.until - OVERLAP_MS;
    if (this.host.isOff() || this.isAsking || isNothingNew || now < this.restsUntil) return;
    const metrics = [...new Set([...this.host.panels()].flatMap((panel) => panel.liveMetrics()))];
    if (metrics.length === 0) return;
    this.isAsking = true;
    try {
      const series = await this.host.ask({ metrics, from: Math.max(start, this.until - OVERLAP_MS), to: now, maxPoints: POINTS_MAX });
      for (const panel of this.host.panels()) panel.mend(series);
      this.until = now;
    } catch {
      // The charts go on live; what they lack comes with the next answer.
      this.restsUntil = now + REST_MS;
    }
    this.isAsking = false;
  }
}
