// Chart colours, read from the CSS variables so that both themes have one home. The set of eight stays distinct for colour-blind readers.

export interface Palette {
  series: string[];
  axis: string;
  grid: string;
  text: string;
  warning: string;
  critical: string;
  up: string;
  accent: string;
  surface: string;
  heat: string[];
  font: string;
}

let cached: Palette | null = null;

export function palette(): Palette {
  cached ??= read();
  return cached;
}

/** To be called when the theme changed, before anything is painted again. */
export function forgetPalette(): void {
  cached = null;
}

function read(): Palette {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string): string => style.getPropertyValue(name).trim();
  return {
    series: [1, 2, 3, 4, 5, 6, 7, 8].map((index) => value(`--series-${index}`)),
    axis: value('--text-faint'),
    grid: value('--grid'),
    text: value('--text'),
    warning: value('--warning'),
    critical: value('--critical'),
    up: value('--up'),
    accent: value('--accent'),
    surface: value('--surface'),
    heat: [0, 1, 2, 3, 4, 5, 6].map((index) => value(`--heat-${index}`)),
    font: value('--font'),
  };
}

/** A colour of the palette (#rrggbb) with an opacity. */
export function alpha(color: string, opacity: number): string {
  const byte = Math.round(Math.min(1, Math.max(0, opacity)) * 255);
  return `${color}${byte.toString(16).padStart(2, '0')}`;
}
