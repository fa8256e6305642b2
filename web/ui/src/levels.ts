// From when on a value is coloured: by the reader's choice for what fills up (CPU, memory, disks), fixed for the rest.

import { preferences, type Preferences } from './preferences.ts';

export type Level = 'ok' | 'warn' | 'critical';

/** Where each choice begins to warn, and where it is critical. */
export const SHARES: Record<Preferences['levels'], readonly [warn: number, critical: number]> = { usual: [0.85, 0.95], early: [0.7, 0.85], late: [0.9, 0.98] };

export function levelAt(value: number | null, warn: number, critical: number): Level {
  if (value === null || value < warn) return 'ok';
  return value < critical ? 'warn' : 'critical';
}

/** Of a share of something that can be full. */
export function shareLevel(value: number | null): Level {
  return levelAt(value, ...SHARES[preferences().levels]);
}

export const temperatureLevel = (celsius: number | null): Level => levelAt(celsius, 80, 90);

export const loadLevel = (perCore: number | null): Level => levelAt(perCore, 1.5, 3);
