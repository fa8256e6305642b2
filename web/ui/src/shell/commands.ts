// What the command palette offers and how it is found: the screens, what the keys do, and every machine that is known. Pure.

import type { Machine } from '../protocol.ts';
import { machinePath, rulePath } from '../router.ts';

export interface Command {
  label: string;
  /** What else it is found by. */
  words: string;
  /** Stands at its end: a key, or what kind of thing it is. */
  note: string;
  run(): void;
}

export interface CommandActions {
  go(path: string): void;
  theme(): void;
  pause(): void;
  help(): void;
  add(): void;
}

const LISTED_MAX = 12;

const SCREENS: readonly [label: string, path: string, key: string, words: string][] = [
  ['Fleet', '/', 'g f', 'machines hosts'],
  ['Alerts', '/alerts', 'g a', 'firing history silences'],
  ['Rules', '/rules', 'g r', 'thresholds'],
  ['New rule', rulePath('~new'), '', 'create threshold'],
  ['Compare', '/compare', 'g c', 'hottest machines'],
  ['Pipeline', '/pipeline', 'g p', 'dataflow sinks queues dead letters'],
  ['Audit', '/audit', 'g u', 'who changed'],
  ['Settings', '/settings', 'g s', 'units theme time zone density'],
];

/** Machines that need a look come before the others. */
const RANK: Record<Machine['status'], number> = { down: 0, stale: 1, up: 2 };

export function commandsOf(machines: Iterable<Machine>, actions: CommandActions): Command[] {
  const screens = SCREENS.map(([label, path, note, words]) => ({ label, words, note, run: () => actions.go(path) }));
  const deeds = [
    { label: 'Dark or light', words: 'theme', note: 'd', run: actions.theme },
    { label: 'Pause or resume', words: 'live stop', note: 'Space', run: actions.pause },
    { label: 'Add a machine', words: 'new host collector', note: '', run: actions.add },
    { label: 'Keyboard shortcuts', words: 'help keys', note: '?', run: actions.help },
  ];
  const listed = [...machines].sort((a, b) => RANK[a.status] - RANK[b.status]).map(({ id, status, tags }) => ({
    label: id, words: `${status} ${Object.entries(tags).map(([name, value]) => `${name}:${value}`).join(' ')}`, note: status, run: () => actions.go(machinePath(id)),
  }));
  return [...screens, ...deeds, ...listed];
}

/** Those with every word of the text, first where the label begins with it. */
export function found(commands: readonly Command[], text: string): Command[] {
  const wanted = text.trim().toLowerCase();
  const words = wanted.split(/\s+/);
  const fits = commands.filter(({ label, words: more }) => words.every((word) => `${label} ${more}`.toLowerCase().includes(word)));
  const rank = ({ label }: Command): number => (label.toLowerCase().startsWith(wanted) ? 0 : label.toLowerCase().includes(wanted) ? 1 : 2);
  return fits.map((command) => ({ command, rank: rank(command) })).sort((a, b) => a.rank - b.rank).slice(0, LISTED_MAX).map(({ command }) => command);
}
