// The last quarter of an hour of one number, for a sparkline: grows up to its capacity, then the oldest is overwritten first.

export class Ring {
  private readonly capacity: number;
  private readonly times: number[] = [];
  private readonly values: number[] = [];
  /** Where the oldest is. */
  private first = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get length(): number {
    return this.times.length;
  }

  /** Points must come in order of time; a repeated or older one is ignored. */
  push(time: number, value: number): void {
    const { length } = this;
    if (length > 0 && time <= this.timeAt(length - 1)) return;
    const slot = length < this.capacity ? length : this.first;
    if (length === this.capacity) this.first = (this.first + 1) % length;
    this.times[slot] = time;
    this.values[slot] = value;
  }

  /** The index 0 is the oldest point. */
  timeAt(index: number): number {
    return this.times[this.slot(index)] ?? Number.NaN;
  }

  valueAt(index: number): number {
    return this.values[this.slot(index)] ?? Number.NaN;
  }

  private slot(index: number): number {
    return (this.first + index) % this.length;
  }
}
