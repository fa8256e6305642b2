// The dataflow as a picture: a box per operator with what goes through it, lines for its channels. Drawn anew when the graph changes,
// otherwise only its texts change.

import { element } from '../dom.ts';
import { count, milliseconds, percent } from '../format.ts';
import type { GraphFigures, OperatorFigures } from '../protocol.ts';
import { layout, type Layout } from './layout.ts';

const BOX = { width: 148, height: 62, gapX: 32, gapY: 16, margin: 12 };
/** A picture that is wider than its panel shrinks so far, and then scrolls. */
const SCALE_MIN = 0.8;
/** A longer name is set narrower. */
const NAME_LETTERS_MAX = 19;
/** Ways that no channel tells of, because what stands on them (maps, joins, concatenations) counts nothing: pipeline/src/graph.rs has them. */
const UNCOUNTED: Readonly<Record<string, readonly string[]>> = {
  ship: ['order'], order: ['normalize'], normalize: ['coarsen tags'], window: ['rollup', 'contribute', 'evaluate'], coarsen: ['admit', 'silences'],
  admit: ['evaluate'], evaluate: ['breaches'], presence: ['breaches'], breaches: ['tell', 'tell groups'], silences: ['tell', 'tell groups'], share: ['hear'],
};
/** All sinks are fed by these; what is told to other processes goes through `share`, and what they tell comes from `hear`. */
const LAST = ['rollup', 'coarsen contributions', 'coarsen tags', 'tell', 'tell groups', 'hear'];
/** The graph looks ten times a second; beyond this something holds it up. */
const LAG_WARN_MS = 5_000;

const SVG = 'http://www.w3.org/2000/svg';

function svg(tag: string, attributes: Record<string, string | number>, ...children: (Node | string)[]): SVGElement {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** What an operator does on all workers together: rates add up, the worst lag counts. */
export interface Totals {
  busy: number | null;
  inPerS: number | null;
  outPerS: number | null;
  waiting: number;
  lagMs: number | null;
}

export function totals({ workers }: OperatorFigures): Totals {
  const sum = (values: (number | null)[]): number | null => (values.every((value) => value === null) ? null : values.reduce<number>((all, value) => all + (value ?? 0), 0));
  const lags = workers.map(({ lag_ms }) => lag_ms).filter((lag) => lag !== null);
  return {
    busy: sum(workers.map(({ busy_share }) => busy_share)),
    inPerS: sum(workers.map(({ records_in_per_s }) => records_in_per_s)),
    outPerS: sum(workers.map(({ records_out_per_s }) => records_out_per_s)),
    waiting: workers.reduce((all, { waiting_records }) => all + waiting_records, 0),
    lagMs: lags.length === 0 ? null : Math.max(...lags),
  };
}

export class Flow {
  private readonly place: HTMLElement;
  private shape = '';
  private boxes = new Map<string, { group: SVGElement; rate: SVGElement; note: SVGElement }>();

  constructor(place: HTMLElement) {
    this.place = place;
  }

  /** `sinks` are the operators that hand outputs to one: each has a queue of its name. */
  show({ operators, channels }: GraphFigures, sinks: readonly string[]): void {
    const drawn = operators.filter(({ scope }) => !scope);
    const last = LAST.map((name): [string, readonly string[]] => [name, name === 'hear' ? sinks : [...sinks, 'share']]);
    const known = [...Object.entries(UNCOUNTED), ...last].flatMap(([source, targets]) => targets.map((target) => ({ source, target })));
    const plan = layout(drawn.map(({ name }) => name), [...channels, ...known]);
    const shape = JSON.stringify(plan);
    if (shape !== this.shape) this.build(plan);
    this.shape = shape;
    for (const operator of drawn) this.write(operator);
  }

  private build({ nodes, lines, columns, rows }: Layout): void {
    this.boxes = new Map();
    if (nodes.length === 0) return this.place.replaceChildren(element('p', { class: 'empty-row' }, 'The graph does not look at itself (pipeline.introspection is off).'));
    const { width, height, gapX, gapY, margin } = BOX;
    const size = { width: columns * (width + gapX) - gapX + 2 * margin, height: rows * (height + gapY) - gapY + 2 * margin };
    const left = (column: number): number => margin + column * (width + gapX);
    const middle = (row: number): number => margin + row * (height + gapY) - gapY / 2;
    const at = new Map(nodes.map((node) => [node.name, node]));
    const paths = lines.flatMap(({ source, target, through }) => {
      const [from, to] = [at.get(source), at.get(target)];
      return from === undefined || to === undefined ? [] : [svg('path', { class: 'flow-line', d: pathOf([from, ...through, to], left, middle) })];
    });
    const groups = nodes.map(({ name, column, row }) => this.box(name, { x: left(column), y: middle(row) - height / 2 }));
    const picture = svg('svg', { class: 'flow', viewBox: `0 0 ${size.width} ${size.height}`, width: size.width, height: size.height, role: 'img', 'aria-label': 'The operators of the dataflow in flow order; the table of operators below has the same figures' }, ...paths, ...groups);
    picture.style.minWidth = `${size.width * SCALE_MIN}px`;
    this.place.replaceChildren(picture);
  }

  private box(name: string, { x, y }: { x: number; y: number }): SVGElement {
    const rate = svg('text', { class: 'flow-rate', x: 9, y: 38 });
    const note = svg('text', { class: 'flow-note', x: 9, y: 53 });
    const group = svg('g', { class: 'flow-box', transform: `translate(${x} ${y})` }, svg('rect', { width: BOX.width, height: BOX.height, rx: 8 }), svg('text', { class: 'flow-name', x: 9, y: 21, ...(name.length > NAME_LETTERS_MAX ? { textLength: BOX.width - 18, lengthAdjust: 'spacingAndGlyphs' } : {}) }, name), rate, note);
    this.boxes.set(name, { group, rate, note });
    return group;
  }

  private write(operator: OperatorFigures): void {
    const box = this.boxes.get(operator.name);
    if (box === undefined) return;
    const { busy, inPerS, outPerS, waiting, lagMs } = totals(operator);
    const passes = inPerS === null || inPerS === 0 ? outPerS : inPerS;
    box.rate.textContent = passes === null ? 'measuring' : `${count(passes)} records/s`;
    const parts = [busy === null ? '' : `${percent(busy)} busy`, waiting > 0 ? `${count(waiting)} waiting` : '', lagMs !== null && lagMs >= LAG_WARN_MS ? `${milliseconds(lagMs)} behind` : ''];
    box.note.textContent = parts.filter((part) => part !== '').join(', ');
    box.group.setAttribute('data-level', lagMs !== null && lagMs >= LAG_WARN_MS ? 'warn' : 'ok');
  }
}

/** From the right edge of the first to the left edge of the last, straight through the lanes between them. */
function pathOf(way: readonly { column: number; row: number }[], left: (column: number) => number, middle: (row: number) => number): string {
  const parts: string[] = [];
  way.forEach(({ column, row }, index) => {
    const [x, y] = [left(column), middle(row)];
    const previous = way[index - 1];
    if (previous === undefined) return parts.push(`M${x + BOX.width} ${y}`);
    parts.push(`C${x - BOX.gapX / 2} ${middle(previous.row)} ${x - BOX.gapX / 2} ${y} ${x} ${y}`);
    if (index < way.length - 1) parts.push(`H${x + BOX.width}`);
    return undefined;
  });
  return parts.join('');
}
