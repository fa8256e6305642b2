// What every screen is: a function that fills its place and hands back how to leave it.

import type { LiveClient } from './live/client.ts';
import type { FleetStore } from './live/store.ts';

export interface Context {
  store: FleetStore;
  live: LiveClient;
  /** The hub's clock, in milliseconds: ages must not depend on the clock of the reader's computer. */
  now(): number;
  isPaused(): boolean;
}

export interface Screen {
  /** Name of the document, before the product's name. */
  title: string;
  /** Keys that mean something on this screen only; true when the key was used. */
  onKey?(key: string): boolean;
  /** The query of the address changed while the screen stays, by a link or the browser's back button. */
  onQuery?(query: URLSearchParams): void;
  /** The theme changed: repaint what is no CSS. */
  onTheme?(): void;
  /** Pause ended: catch up. */
  onResume?(): void;
  leave(): void;
}
