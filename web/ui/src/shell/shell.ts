// The frame around every screen, as one Alpine store: navigation, search, the live chip, the banners, theme and help.

import Alpine from '@alpinejs/csp';
import { clockTime, count } from '../format.ts';
import type { Phase } from '../live/connection.ts';
import { navigate } from '../router.ts';
import { effectsOf } from './effects.ts';
import { currentTheme, toggleTheme, type Theme } from './theme.ts';

export interface ShellActions {
  setPaused(paused: boolean): void;
  retry(): void;
  onTheme(): void;
  onSearch(text: string): void;
}

const BADGE_MAX = 999;
/** A short loss is not worth a banner that moves the page. */
const BANNER_AFTER_MS = 5_000;

export interface Shell {
  screen: string;
  phase: Phase;
  paused: boolean;
  theme: Theme;
  search: string;
  banner: string;
  degraded: string[];
  alertCount: number;
  readonly alertBadge: string;
  readonly chip: Chip;
  readonly chipWord: string;
  readonly chipLabel: string;
  readonly alertWords: string;
  readonly themeWord: string;
  readonly degradedText: string;
  current(screen: string): 'page' | null;
  toggleTheme(): void;
  togglePause(): void;
  pressChip(): void;
  retry(): void;
  typed(): void;
  submitSearch(): void;
  clearSearch(event: Event): void;
  openHelp(): void;
  closeHelp(): void;
}

type Chip = 'live' | 'paused' | 'connecting' | 'reconnecting';

const WORDS: Record<Chip, string> = { live: 'Live', paused: 'Paused', connecting: 'Connecting', reconnecting: 'Reconnecting' };

export function createShell(actions: ShellActions): Shell {
  const help = (): HTMLDialogElement | null => document.querySelector<HTMLDialogElement>('#help');
  Alpine.store<Shell>('shell', {
    screen: 'fleet',
    phase: 'connecting',
    paused: false,
    theme: currentTheme(),
    search: '',
    banner: '',
    degraded: [],
    alertCount: 0,
    get chip(): Chip {
      if (this.phase !== 'live') return this.phase;
      return this.paused ? 'paused' : 'live';
    },
    get chipWord(): string {
      return WORDS[this.chip];
    },
    get chipLabel(): string {
      const press = this.phase !== 'live' ? 'press to try now' : this.paused ? 'press to resume' : 'press to pause';
      return `${this.chipWord}: ${press}`;
    },
    get alertWords() {
      return this.alertCount === 1 ? '1 alert firing' : `${count(this.alertCount)} alerts firing`;
    },
    /** Where there is room for three digits. */
    get alertBadge(): string {
      return this.alertCount > BADGE_MAX ? `${BADGE_MAX}+` : String(this.alertCount);
    },
    get themeWord() {
      return this.theme === 'dark' ? 'Switch to the light theme' : 'Switch to the dark theme';
    },
    get degradedText() {
      return effectsOf(this.degraded);
    },
    current(screen) {
      return this.screen === screen ? 'page' : null;
    },
    toggleTheme() {
      this.theme = toggleTheme();
      actions.onTheme();
    },
    togglePause() {
      this.paused = !this.paused;
      actions.setPaused(this.paused);
    },
    pressChip() {
      if (this.phase === 'live') this.togglePause();
      else actions.retry();
    },
    retry: actions.retry,
    typed() {
      actions.onSearch(this.search);
    },
    submitSearch() {
      if (this.screen !== 'fleet') navigate(this.search === '' ? '/' : `/?q=${encodeURIComponent(this.search)}`);
    },
    clearSearch(event) {
      this.search = '';
      actions.onSearch('');
      if (event.target instanceof HTMLElement) event.target.blur();
    },
    openHelp() {
      help()?.showModal();
    },
    closeHelp() {
      help()?.close();
    },
  });
  return Alpine.store<Shell>('shell');
}

/** Shows the "as of" banner once a connection has been away for a while. */
export class Banner {
  private timer: number | undefined;
  private wasLive = false;
  private readonly shell: Shell;

  constructor(shell: Shell) {
    this.shell = shell;
  }

  phase(phase: Phase, lostAt: number | null): void {
    this.shell.phase = phase;
    if (phase === 'live') {
      this.wasLive = true;
      window.clearTimeout(this.timer);
      this.timer = undefined;
      this.shell.banner = '';
    } else if (phase === 'reconnecting' && this.timer === undefined) {
      const since = clockTime(lostAt ?? Date.now());
      this.timer = window.setTimeout(() => {
        this.shell.banner = this.wasLive ? `Connection lost. Showing data as of ${since}.` : 'The hub cannot be reached. The page keeps trying.';
      }, BANNER_AFTER_MS);
    }
  }
}
