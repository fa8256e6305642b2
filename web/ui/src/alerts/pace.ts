// How often something is asked for: alerts come and go many times a second, a list is read anew at most once in its span.

export class Pace {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private last = Number.NEGATIVE_INFINITY;
  private readonly leastMs: () => number;
  private readonly run: () => void;
  private readonly isPaused: () => boolean;

  /** While paused nothing runs by itself. */
  constructor(leastMs: () => number, run: () => void, isPaused: () => boolean = () => false) {
    this.leastMs = leastMs;
    this.run = run;
    this.isPaused = isPaused;
  }

  /** As soon as the span since the last time is over, but not before `wait` is: what comes as a burst is one change. */
  soon(wait = 0): void {
    if (this.timer !== undefined) return;
    const due = Math.max(wait, this.last + this.leastMs() - Date.now());
    if (due <= 0) {
      this.now();
      return;
    }
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (!this.isPaused()) this.now();
    }, due);
  }

  /** Whatever the span: a person asked. */
  now(): void {
    this.stop();
    this.last = Date.now();
    this.run();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
