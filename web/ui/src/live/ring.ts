// The last quarter of an hour of one number, for a sparkline: fixed memory, oldest overwritten first.

export class Ring {
  private readonly times: Float64Array;
  private readonly values: Float32Array;
  private next = 0;
  private filled = 0;

  constructor(capacity: number) {
    this.times = new Float64Array(capacity);
    this.values = new Float32Array(capacity);
  }

  get length(): number {
    return this.filled;
  }

  /** Points must come in order of time; a repeated or older one is ignored. */
  push(time: number, value: number): void {
    if (this.filled > 0 && time <= this.timeAt(this.filled - 1)) return;
    this.times[this.next] = time;
    this.values[this.next] = value;
    this.next = (this.next + 1) % this.times.length;
    this.filled = Math.min(this.filled + 1, this.times.length);
  }

  /** The index 0 is the oldest point. */
  timeAt(index: number): number {
    return this.times[this.slot(index)] ?? Number.NaN;
  }

  valueAt(index: number): number {
    return this.values[this.slot(index)] ?? Number.NaN;
  }

  private slot(index: number): number {
    const capacity = this.times.length;
    return (this.next - this.filled + index + capacity) % capacity;
  }
}
