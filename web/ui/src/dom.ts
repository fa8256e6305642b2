// The few helpers for building nodes by hand. Text only ever enters as text, never as markup.

import { bothTimes } from './format.ts';

type Child = Node | string;

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';

/** A symbol of the sprite in index.html; decoration only, the word stands beside it. */
export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Writes only what changed: an equal write would still cost layout. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function find<T extends Element>(root: ParentNode, selector: string): T {
  const node = root.querySelector<T>(selector);
  if (node === null) throw new Error(`the template lacks ${selector}`);
  return node;
}

/** A time as it is said; its tooltip has the reader's own clock and UTC, and what else is worth knowing. */
export function timeNode(ms: number, text: string, more?: string): HTMLTimeElement {
  return element('time', { datetime: new Date(ms).toISOString(), title: more === undefined ? bothTimes(ms) : `${bothTimes(ms)}, ${more}` }, text);
}

/** A button that reads like a link. */
export function linkButton(text: string, onClick: () => void): HTMLButtonElement {
  const button = element('button', { type: 'button', class: 'link-button' }, text);
  button.addEventListener('click', onClick);
  return button;
}

/** Says what failed, with a way to try again. */
export function sayFailed(note: HTMLElement, text: string, again: () => void): void {
  note.hidden = false;
  note.replaceChildren(`${text} `, linkButton('Try again', again));
}
