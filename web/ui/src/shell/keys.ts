// The keyboard: one listener, global keys first, then the screen's own. Silent while a person types, or holds a modifier.

export interface KeyActions {
  search(): void;
  /** The palette of all commands. */
  commands(): void;
  theme(): void;
  pause(): void;
  help(): void;
  /** To the screen at this address. */
  go(path: string): void;
  screen(key: string): boolean;
}

const CHORD_MS = 1200;

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName);
}

export function startKeys(actions: KeyActions): void {
  let chordAt = Number.NEGATIVE_INFINITY;
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.altKey) return;
    // With its modifier it is no text, so it works in a field, too.
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k' && document.querySelector('dialog[open]') === null) {
      event.preventDefault();
      actions.commands();
      return;
    }
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || document.querySelector('dialog[open]') !== null) return;
    const isChord = event.timeStamp - chordAt < CHORD_MS;
    chordAt = event.key === 'g' ? event.timeStamp : Number.NEGATIVE_INFINITY;
    if (event.key === 'g') return;
    if (run(event, actions, isChord)) event.preventDefault();
  });
}

function run(event: KeyboardEvent, actions: KeyActions, isChord: boolean): boolean {
  if (isChord) return chord(event.key, actions);
  switch (event.key) {
    case '/': actions.search(); return true;
    case 'd': actions.theme(); return true;
    case '?': actions.help(); return true;
    case ' ':
      // The space bar presses a focused button; it must not do two things.
      if (event.target instanceof HTMLElement && event.target.closest('button, a, summary') !== null) return false;
      actions.pause();
      return true;
    default: return actions.screen(event.key);
  }
}

const STEPS: Readonly<Record<string, number>> = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 };

/** How far a key leads through a list: `j` and `k` always, the arrows once the focus is in it, because else they scroll the page. */
export function stepOf(key: string, hasFocus: boolean): number {
  return key.startsWith('Arrow') && !hasFocus ? 0 : (STEPS[key] ?? 0);
}

/** Walks through the links of a list; whether the key was one for that. */
export function walk(key: string, links: readonly HTMLElement[]): boolean {
  const at = links.findIndex((link) => link === document.activeElement);
  const step = stepOf(key, at >= 0);
  if (step === 0) return false;
  links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
  return true;
}

/** `g` and one of these. */
const CHORDS: Readonly<Record<string, string>> = { f: '/', a: '/alerts', r: '/rules', c: '/compare', p: '/pipeline', u: '/audit', s: '/settings' };

function chord(key: string, actions: KeyActions): boolean {
  const path = CHORDS[key];
  if (path !== undefined) actions.go(path);
  return path !== undefined;
}
