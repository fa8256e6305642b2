// The panel of the hottest machines: asks while it is open and on screen, remembers whether it was closed.

import Alpine from '@alpinejs/csp';
import { api } from '../api.ts';
import { columns, isWorthShowing, minuteText, type Column } from './hottest.ts';

const MACHINES = 3;
const EVERY_MS = 20_000;
const KEY = 'hottest-panel';
/** Where the lists stand below each other they would push the machines off the screen. */
const WIDE = '(min-width: 900px)';

/** Declares the Alpine component; once, before Alpine starts. */
export function registerHottest(): void {
  Alpine.data('hottest', () => createComponent());
}

function createComponent() {
  return {
    isShown: false,
    isOpen: (remembered() ?? (matchMedia(WIDE).matches ? 'open' : 'closed')) === 'open',
    minute: '',
    columns: [] as Column[],
    timer: 0,
    stop: new AbortController(),
    init() {
      void this.ask();
      this.timer = window.setInterval(() => void this.ask(), EVERY_MS);
    },
    destroy() {
      window.clearInterval(this.timer);
      this.stop.abort();
    },
    toggle(event: Event) {
      const isOpen = event.target instanceof HTMLDetailsElement && event.target.open;
      // The element says so, too, when it was opened from here.
      if (isOpen === this.isOpen) return;
      this.isOpen = isOpen;
      remember(isOpen ? 'open' : 'closed');
      void this.ask();
    },
    async ask() {
      // Closed, it is asked once, to know whether there is anything to open.
      if (document.hidden || (!this.isOpen && this.isShown)) return;
      try {
        const hottest = await api.hottest(MACHINES, this.stop.signal);
        this.isShown = isWorthShowing(hottest);
        this.columns = columns(hottest);
        this.minute = minuteText(hottest.minute);
      } catch {
        // The rest of the screen says when the hub is away; what was listed stays, with its minute.
      }
    },
  };
}

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(word: string): void {
  try {
    localStorage.setItem(KEY, word);
  } catch {
    // A browser that keeps nothing opens the panel anew each time.
  }
}
