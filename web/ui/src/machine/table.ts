// A chart as a table, for those who would rather read.

import { element, timeNode } from '../dom.ts';
import { dateTime, quantity } from '../format.ts';
import type { ChartColumn, Drawing } from './columns.ts';
import type { PanelSpec } from './specs.ts';

const ROWS_MAX = 200;

/** The newest rows first: that is what one looks for. */
export function tableOf({ title, kind }: PanelSpec, columns: readonly ChartColumn[], { x, values }: Drawing): HTMLTableElement {
  const head = element('tr', {}, element('th', { scope: 'col' }, 'Time'), ...columns.map(({ name }) => element('th', { scope: 'col' }, name)));
  const rows: HTMLElement[] = [];
  for (let row = x.length - 1; row >= 0 && rows.length < ROWS_MAX; row -= 1) {
    const cells = values.map((column) => element('td', {}, quantity(kind, column[row])));
    rows.push(element('tr', {}, element('th', { scope: 'row' }, timeNode((x[row] ?? 0) * 1000, dateTime((x[row] ?? 0) * 1000))), ...cells));
  }
  const caption = element('caption', { class: 'visually-hidden' }, title);
  return element('table', {}, caption, element('thead', {}, head), element('tbody', {}, ...rows));
}
