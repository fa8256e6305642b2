// Dark or light: the system's choice until a person makes their own, which is remembered. public/early.js does the first paint.

import { forgetPalette } from '../charts/palette.ts';

export type Theme = 'dark' | 'light';

export function currentTheme(): Theme {
  return document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light';
}

/** What the reader chose; without a choice the system decides. */
export type ThemeChoice = Theme | 'system';

export function themeChoice(): ThemeChoice {
  return hasChoice() ? currentTheme() : 'system';
}

export function setThemeChoice(choice: ThemeChoice): Theme {
  try {
    if (choice === 'system') localStorage.removeItem('theme');
    else localStorage.setItem('theme', choice);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  const isDark = choice === 'system' ? matchMedia('(prefers-color-scheme: dark)').matches : choice === 'dark';
  show(isDark ? 'dark' : 'light');
  return currentTheme();
}

export function toggleTheme(): Theme {
  const theme: Theme = currentTheme() === 'dark' ? 'light' : 'dark';
  try {
    localStorage.setItem('theme', theme);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  show(theme);
  return theme;
}

/** Follows the system while no choice is stored. */
export function followSystem(onChange: (theme: Theme) => void): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (event) => {
    if (hasChoice()) return;
    const theme: Theme = event.matches ? 'dark' : 'light';
    show(theme);
    onChange(theme);
  });
}

function hasChoice(): boolean {
  try {
    return localStorage.getItem('theme') !== null;
  } catch {
    return false;
  }
}

function show(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  forgetPalette();
}
