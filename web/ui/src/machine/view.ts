// The Alpine part of the machine screen: head, tiles, alerts, range buttons and process lists. Texts only; charts are grid.ts's.

import Alpine from '@alpinejs/csp';
import { present, worstFirst, type AlertView } from '../alerts/present.ts';
import { tagsOf } from '../fleet/order.ts';
import { bytes, count, fieldTime, ofFieldTime, percent, spanText } from '../format.ts';
import type { Machine, ProcessUse } from '../protocol.ts';
import { machinePath } from '../router.ts';
import type { Context } from '../screen.ts';
import { factsOf, tilesOf, type Fact, type Tile } from './facts.ts';
import type { ShownProcesses } from './processes.ts';
import { datesFault, PRESETS, type Range } from './range.ts';

export interface ViewActions {
  pick(preset: string): void;
  shift(direction: -1 | 1): void;
  back(): void;
  /** False when the text says no range. */
  type(text: string): boolean;
  /** What is shown now. */
  window(): [from: number, to: number];
  show(from: number, to: number): void;
}

/** Charts are what the screen is for: more alerts than this are on a screen of their own. */
const ALERTS_SHOWN = 8;

const byName = new Intl.Collator('en', { numeric: true }).compare;

interface ProcessRow {
  key: string;
  name: string;
  cpu: string;
  memory: string;
}

const toRow = (process: ProcessUse, index: number): ProcessRow => ({
  key: `${index}/${process.name}`,
  name: process.name,
  cpu: percent(process.cpu),
  memory: bytes(process.memory),
});

export function createView(context: Context, id: string, actions: ViewActions) {
  return {
    id,
    isKnown: false,
    isMissing: false,
    status: '',
    statusIcon: '#i-up',
    tags: [] as { text: string; href: string }[],
    facts: [] as Fact[],
    tiles: ['CPU', 'Memory', 'Fullest disk', 'Network in', 'Load', 'Pressure'].map((label): Tile => ({ label, value: '–', note: '\u00a0', level: 'ok' })),
    alerts: [] as AlertView[],
    moreAlerts: '',
    morePath: `/alerts?q=${encodeURIComponent(id)}`,
    presets: PRESETS,
    preset: '',
    rangeText: '',
    isZoomed: false,
    typedText: '',
    typedWords: '',
    fromDate: '',
    toDate: '',
    datesFault: '',
    hasNeighbours: false,
    previous: '/',
    next: '/',
    hasProcesses: false,
    processNote: '',
    processLists: [] as { title: string; rows: ProcessRow[] }[],
    show(machine: Machine) {
      const now = context.now();
      this.isKnown = true;
      this.isMissing = false;
      this.status = machine.status;
      this.statusIcon = `#i-${machine.status}`;
      this.tags = tagsOf(machine).map((text) => ({ text, href: `/?tag=${encodeURIComponent(text)}` }));
      this.facts = factsOf(machine, now);
      this.tiles = tilesOf(machine);
    },
    /** Of the newest list, or of the instant under the crosshair. */
    showProcesses({ list, note }: ShownProcesses) {
      this.hasProcesses ||= list !== null;
      this.processNote = note;
      this.processLists = [
        { title: 'Top processes by CPU', rows: (list?.by_cpu ?? []).map(toRow) },
        { title: 'Top processes by memory', rows: (list?.by_memory ?? []).map(toRow) },
      ];
    },
    showAlerts() {
      const own = [...context.store.alerts.values()].filter(({ machine }) => machine === id);
      this.alerts = worstFirst(own).slice(0, ALERTS_SHOWN).map((alert) => present(alert, context.now()));
      this.moreAlerts = own.length > ALERTS_SHOWN ? `Show all ${count(own.length)} alerts of ${id}` : '';
    },
    showNeighbours() {
      const ids = [...context.store.machines.keys()].sort(byName);
      const at = ids.indexOf(id);
      this.hasNeighbours = at >= 0 && ids.length > 1;
      this.previous = machinePath(ids[(at - 1 + ids.length) % ids.length] ?? id);
      this.next = machinePath(ids[(at + 1) % ids.length] ?? id);
    },
    showRange(range: Range) {
      this.preset = range.kind === 'live' ? range.preset : '';
      this.isZoomed = range.kind === 'fixed';
      this.typedText = range.kind === 'live' && PRESETS.every(({ id: preset }) => preset !== range.preset) ? range.preset : '';
      this.rangeText = range.kind === 'live' ? '' : spanText(range.from, range.to);
    },
    isPreset(preset: string): string {
      return String(this.preset === preset);
    },
    pick: (preset: string) => actions.pick(preset),
    earlier: () => actions.shift(-1),
    later: () => actions.shift(1),
    back: () => actions.back(),
    type() {
      const isRange = actions.type(this.typedText);
      this.typedWords = isRange ? '' : 'That is no range. Try 3h, 2d, or 10:00 to 11:30.';
    },
    /** Before it opens: what is shown now. */
    fillDates() {
      [this.fromDate, this.toDate] = actions.window().map(fieldTime) as [string, string];
      this.datesFault = '';
    },
    pickDates() {
      const [from, to] = [ofFieldTime(this.fromDate), ofFieldTime(this.toDate)];
      if (from === null || to === null) return;
      this.datesFault = datesFault(from, to, context.now());
      if (this.datesFault !== '') return;
      document.querySelector<HTMLElement>('#range-dates')?.hidePopover();
      actions.show(from, to);
    },
    isMistyped(): string {
      return String(this.typedWords !== '');
    },
    retype() {
      this.typedWords = '';
    },
  };
}

export type View = ReturnType<typeof createView>;

/** Alpine makes the component from its name, so the one that is on screen is handed over here. */
export function registerView(context: Context, id: string, actions: ViewActions, onReady: (view: View) => void): void {
  Alpine.data('machine', () => ({
    ...createView(context, id, actions),
    init(this: View) {
      onReady(this);
    },
  }));
}
