// Rows and cells of the pipeline's tables. `label` stands beside the value where a row lies as a card.

import { element } from '../dom.ts';

export const row = (...cells: HTMLElement[]): HTMLTableRowElement => element('tr', {}, ...cells);

export const head = (label: string, text: string): HTMLElement => element('th', { scope: 'row', 'data-label': label }, element('span', {}, text));

export const cell = (label: string, ...content: (Node | string)[]): HTMLElement => element('td', { 'data-label': label }, ...content);

export const number = (label: string, text: string): HTMLElement => element('td', { 'data-label': label, class: 'number' }, text);
