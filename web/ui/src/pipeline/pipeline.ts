// The hub from within: the dataflow with its rates, lag and queues, the sinks, how long made-up transactions take, and what was refused.

import './pipeline.css';
import template from './pipeline.html?raw';
import { api, messageOf } from '../api.ts';
import { element, find, icon, timeNode } from '../dom.ts';
import { ago, bytes, clockTime, count, dateTime, milliseconds, percent } from '../format.ts';
import type { Dependency, Pipeline, Setting, SyntheticFigures } from '../protocol.ts';
import { WHOLE_FLEET } from '../live/client.ts';
import type { Context, Screen } from '../screen.ts';
import { cell, head, number, row } from './cells.ts';
import { DeadLetters } from './dead.ts';
import { Flow, totals } from './flow.ts';
import { histogram } from './histogram.ts';
import { tiersOf } from './tiers.ts';

const REFRESH_MS = 2_000;
/** Refusals are rare and come from the history: no need to ask for them as often. */
const DEAD_EVERY = 8;

export function mountPipeline(place: HTMLElement, context: Context): Screen {
  place.innerHTML = template;
  const board = new Board(place, context);
  void board.refresh();
  const timer = window.setInterval(() => {
    if (!context.isPaused() && !document.hidden) void board.refresh();
  }, REFRESH_MS);
  context.live.subscribe(WHOLE_FLEET);
  return {
    title: 'Pipeline',
    onResume: () => void board.refresh(),
    leave: () => {
      window.clearInterval(timer);
      board.leave();
    },
  };
}

class Board {
  private readonly place: HTMLElement;
  private readonly context: Context;
  private readonly flow: Flow;
  private readonly dead: DeadLetters;
  private readonly abort = new AbortController();
  private isAsking = false;
  /** How long what is kept: known once it was asked for. */
  private settings: readonly Setting[] | null = null;
  private asked = 0;
  /** When the newest figures came; what is shown is of then. */
  private shownAt: number | null = null;

  constructor(place: HTMLElement, context: Context) {
    this.place = place;
    this.context = context;
    this.flow = new Flow(find(place, '[data-flow]'));
    this.dead = new DeadLetters(find(place, '[data-dead-letters]'), context.now, this.abort.signal);
  }

  leave(): void {
    this.abort.abort();
  }

  /** One question at a time: a hub that is slow must not be asked more and more. */
  async refresh(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    const { signal } = this.abort;
    const asksDead = this.asked % DEAD_EVERY === 0;
    this.asked += 1;
    try {
      const [pipeline, synthetic] = await Promise.all([api.pipeline(signal), api.synthetic(signal)]);
      this.settings ??= (await api.config(signal)).settings;
      if (signal.aborted) return;
      this.shownAt = Date.now();
      find(this.place, '[data-state]').textContent = '';
      this.show(pipeline, synthetic);
    } catch (error) {
      if (signal.aborted) return;
      const since = this.shownAt === null ? '' : ` Showing figures of ${dateTime(this.shownAt)}.`;
      find(this.place, '[data-state]').textContent = `${messageOf(error)}${since}`;
      if (this.shownAt === null) find(this.place, '[data-flow]').firstElementChild?.replaceChildren('No figures yet.');
    } finally {
      const page = this.place.firstElementChild;
      page?.classList.remove('is-loading');
      page?.classList.toggle('is-unknown', this.shownAt === null);
      this.isAsking = false;
    }
    if (asksDead) await this.dead.refresh();
  }

  private show(pipeline: Pipeline, synthetic: SyntheticFigures): void {
    const { place } = this;
    const fill = (part: string, rows: Node[]): void => find(place, `[data-${part}]`).replaceChildren(...rows);
    const say = (part: string, text: string): void => {
      find(place, `[data-${part}]`).textContent = text;
    };
    const { graph, stages, queues, sinks } = pipeline;
    const cluster = sinks.find(({ name }) => name === 'cluster')?.detail;
    say('scope', cluster === undefined ? '' : `Of this process alone: ${cluster}.`);
    fill('tiles', tiles(pipeline));
    this.flow.show(graph, queues.map(({ name }) => name));
    const awake = graph.workers.map(({ awake_share }, index) => `worker ${index} ${awake_share === null ? 'just started' : `${percent(awake_share)} awake`}`);
    say('workers', awake.join(', '));
    say('over', graph.over_s === null ? 'measuring' : `over the last ${Math.round(graph.over_s)} s`);
    say('synthetic', synthetic.enabled ? `one every ${milliseconds(synthetic.every_ms)}, ${count(synthetic.under_way)} under way, percentiles of the last 5 min` : cluster === undefined ? 'off (synthetic.every)' : 'off here: process 0 has them, unless synthetic.every is off');
    fill('stages', synthetic.stages.map(stageRow));
    const down = sinks.filter(({ status }) => status !== 'up').length;
    say('ready', down === 0 ? 'all up' : `${down} down`);
    fill('sinks', sinks.map((sink) => sinkRow(sink, this.context.now())));
    fill('queues', queues.map(queueRow));
    fill('tiers', tiersOf(pipeline, this.settings ?? [], this.context.store.hub?.series ?? null).map(({ tier, row: what, kept, made, where }) => row(head('Tier', tier), cell('A row is', what), cell('Kept for', kept), cell('Made', made), cell('Where', where))));
    fill('totals', stages.filter((stage) => Object.keys(stage.totals).length > 0).map(totalsOf));
    fill('operators', graph.operators.map((operator) => {
      const { busy, inPerS, outPerS, waiting, lagMs } = totals(operator);
      return row(head('Operator', operator.name), cell('Busy', meter(busy ?? 0, busy === null ? '–' : percent(busy))), number('In/s', count(inPerS)), number('Out/s', count(outPerS)), number('Waiting', count(waiting)), number('Lag', milliseconds(lagMs)));
    }));
  }
}

/** A share of a whole as a bar with its text. */
function meter(share: number, text: string, level = 'ok'): HTMLElement {
  const fill = element('span', { class: 'bar-fill' });
  fill.style.transform = `scaleX(${Math.min(1, Math.max(0, share))})`;
  return element('span', { class: 'inline-meter', 'data-level': level }, element('span', { class: 'value' }, text), element('span', { class: 'bar', 'aria-hidden': 'true' }, fill));
}

function tiles({ samples_per_s, frames_per_s, clients, stages, time, complete_until }: Pipeline): HTMLElement[] {
  const lag = (name: string): number | null => stages.find((stage) => stage.name === name)?.lag_ms ?? null;
  const tile = (title: string, value: string, note: string): HTMLElement => element('div', { class: 'tile' }, element('h2', {}, title), element('p', { class: 'tile-value' }, value), element('p', { class: 'tile-note' }, note));
  return [
    tile('Throughput', `${count(samples_per_s)}/s`, `samples, in ${count(frames_per_s)} frames/s`),
    tile('Graph', milliseconds(lag('graph')), 'behind what is durable'),
    tile('History', milliseconds(lag('history')), 'behind what is durable'),
    tile('Complete until', clockTime(complete_until), `${milliseconds(Math.max(0, time - complete_until))} behind now: all before is durable`),
    tile('Live clients', count(clients), 'browsers and programs on /ws'),
  ];
}

function stageRow({ name, p50_ms, p99_ms, max_ms, late, lost, curve }: SyntheticFigures['stages'][number]): HTMLTableRowElement {
  const bad = (amount: number): string => (amount > 0 ? 'warn' : 'ok');
  const many = (label: string, amount: number): HTMLElement => element('td', { 'data-label': label, class: 'number' }, element('span', { class: 'value', 'data-level': bad(amount) }, count(amount)));
  return row(head('Exit', name), cell('Took', bars(name, curve)), number('p50', milliseconds(p50_ms)), number('p99', milliseconds(p99_ms)), number('Max', milliseconds(max_ms)), many('Late', late), many('Lost', lost));
}

/** The histogram: a bar per bucket, its height by the root of its share, so that a rare slow one is still seen. */
function bars(name: string, curve: [number, number][]): HTMLElement {
  const buckets = histogram(curve);
  const [first, last] = [buckets[0], buckets.at(-1)];
  if (first === undefined || last === undefined) return element('span', { class: 'muted' }, 'none yet');
  const shown = buckets.map(({ fromMs, toMs, share }) => {
    const bar = element('span', { class: 'histogram-bar', title: `${milliseconds(fromMs)} to ${milliseconds(toMs)}: ${percent(share)}` });
    bar.style.height = `${Math.max(share > 0 ? 6 : 1, Math.sqrt(share) * 100)}%`;
    return bar;
  });
  const picture = element('span', { class: 'histogram', role: 'img', 'aria-label': `${name}: from ${milliseconds(first.fromMs)} to ${milliseconds(last.toMs)}` }, ...shown);
  return element('span', { class: 'histogram-line' }, element('span', { class: 'muted' }, milliseconds(first.fromMs)), picture, element('span', { class: 'muted' }, milliseconds(last.toMs)));
}

function sinkRow({ name, status, required, since, latency_ms, last_error, circuit, detail }: Dependency, now: number): HTMLTableRowElement {
  const isUp = status === 'up';
  const mark = element('span', { class: 'status', 'data-status': isUp ? 'up' : 'down' }, icon(isUp ? 'up' : 'down'), status);
  const notes = [detail ?? '', required ? 'required' : '', isUp ? '' : (last_error ?? '')].filter((text) => text !== '');
  const told = element('div', {}, mark, ...notes.map((text) => element('span', { class: 'cell-note' }, text)));
  return row(head('Name', name), cell('State', told), cell('Since', timeNode(since, ago(since, now))), element('td', { 'data-label': 'Latency', class: 'number is-alone' }, milliseconds(latency_ms)), cell('Circuit', circuit ?? '–'));
}

function queueRow({ name, depth, depth_max, capacity, sent, shed }: Pipeline['queues'][number]): HTMLTableRowElement {
  const share = capacity > 0 ? depth / capacity : 0;
  const level = share >= 0.9 ? 'critical' : share >= 0.5 ? 'warn' : 'ok';
  return row(head('Queue', name), cell('Depth', meter(share, `${count(depth)} of ${count(capacity)}`, level)), number('Deepest', count(depth_max)), number('Sent', count(sent)), element('td', { 'data-label': 'Shed', class: 'number' }, element('span', { class: 'value', 'data-level': shed > 0 ? 'warn' : 'ok' }, count(shed))));
}

function totalsOf({ name, totals: all }: Pipeline['stages'][number]): HTMLElement {
  const entries = Object.entries(all).map(([what, amount]) => element('div', {}, element('dt', {}, what.replaceAll('_', ' ')), element('dd', {}, what.endsWith('bytes') ? bytes(amount) : count(amount))));
  return element('div', { class: 'stage-totals' }, element('h3', {}, name), element('dl', {}, ...entries));
}
