// How this reader wants numbers, times and rows shown. Kept in the browser; everything has a default, and what is stored but not known is ignored.

export interface Preferences {
  /** Powers of 1024 (KiB) or of 1000 (kB). */
  bytes: 'iec' | 'si';
  /** How fast the network is. */
  network: 'bytes' | 'bits';
  temperature: 'celsius' | 'fahrenheit';
  zone: 'local' | 'utc';
  density: 'comfortable' | 'compact';
  /** How full something is when it is coloured (levels.ts). */
  levels: 'usual' | 'early' | 'late';
}

/** Of each preference what is possible, the default first. */
export const CHOICES: { readonly [Name in keyof Preferences]: readonly Preferences[Name][] } = {
  bytes: ['iec', 'si'],
  network: ['bytes', 'bits'],
  temperature: ['celsius', 'fahrenheit'],
  zone: ['local', 'utc'],
  density: ['comfortable', 'compact'],
  levels: ['usual', 'early', 'late'],
};

const KEY = 'preferences';

/** From what was stored: each preference on its own, so that one bad value does not take the others along. */
export function parse(text: string | null): Preferences {
  let stored: Record<string, unknown> = {};
  try {
    stored = Object(JSON.parse(text ?? '{}')) as Record<string, unknown>;
  } catch {
    // Somebody else's text: the defaults hold.
  }
  const pick = <Name extends keyof Preferences>(name: Name): Preferences[Name] =>
    CHOICES[name].find((choice) => choice === stored[name]) ?? (CHOICES[name][0] as Preferences[Name]);
  return { bytes: pick('bytes'), network: pick('network'), temperature: pick('temperature'), zone: pick('zone'), density: pick('density'), levels: pick('levels') };
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    // Without storage a choice lasts as long as the page.
    return null;
  }
}

let current = parse(read());

export const preferences = (): Readonly<Preferences> => current;

export function setPreferences(part: Partial<Preferences>): void {
  current = { ...current, ...part };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // As above.
  }
  showDensity();
}

/** The stylesheets look at it. */
export function showDensity(): void {
  document.documentElement.dataset.density = current.density;
}
