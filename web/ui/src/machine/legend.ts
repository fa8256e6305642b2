// The line under a chart that names its series with their newest value, or the value under the crosshair. A press hides a series.

import { element, setText } from '../dom.ts';
import { quantity, type Quantity } from '../format.ts';
import type { Cell } from '../charts/align.ts';
import type { ChartColumn } from './columns.ts';

export class Legend {
  readonly node = element('div', { class: 'legend' });
  private values: HTMLElement[] = [];
  private shape = '';
  private readonly kind: Quantity;
  private readonly onToggle: (key: string) => void;

  constructor(kind: Quantity, onToggle: (key: string) => void) {
    this.kind = kind;
    this.onToggle = onToggle;
  }

  build(columns: readonly ChartColumn[], hidden: ReadonlySet<string>): void {
    const shape = columns.map(({ key }) => `${key}${hidden.has(key) ? '-' : '+'}`).join('\n');
    if (shape === this.shape) return;
    this.shape = shape;
    this.values = columns.map(() => element('span', { class: 'legend-value' }));
    this.node.replaceChildren(...columns.map((column, index) => this.entry(column, hidden, this.values[index])));
  }

  /** The row under the crosshair, or the newest value of each series. */
  show(values: readonly Cell[][], row: number | null): void {
    values.forEach((cells, index) => {
      const node = this.values[index];
      const value = row === null ? cells.findLast((cell) => typeof cell === 'number') : cells[row];
      if (node !== undefined) setText(node, quantity(this.kind, value));
    });
  }

  private entry(column: ChartColumn, hidden: ReadonlySet<string>, value: HTMLElement | undefined): HTMLElement {
    const key = element('span', { class: column.spec.dash === true ? 'legend-key legend-dash' : 'legend-key', 'data-color': String((column.color % 8) + 1), 'aria-hidden': 'true' });
    const button = element('button', { type: 'button', class: 'legend-entry', 'aria-pressed': String(!hidden.has(column.key)), title: 'Show or hide' }, key, element('span', {}, column.name));
    if (value !== undefined) button.append(value);
    button.addEventListener('click', () => this.onToggle(column.key));
    return button;
  }
}
