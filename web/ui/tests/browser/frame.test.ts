// The frame around every screen: policy, theme, keys, pause.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { firstMachine, settles, stage } from './harness.ts';

const on = stage();

test('the server sends the strict policy with the page', async () => {
  const response = await fetch(on.url);
  const policy = response.headers.get('content-security-policy') ?? '';
  assert.match(policy, /script-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
});

test('the theme follows the system, then the choice, which outlives a reload', () => on.visit('/', async (page) => {
  const theme = (): Promise<string | undefined> => page.evaluate(() => document.documentElement.dataset.theme);
  await settles(theme, 'light');
  await page.getByRole('button', { name: 'Switch to the dark theme' }).click();
  await settles(theme, 'dark');
  await page.reload();
  await settles(theme, 'dark');
}, { colorScheme: 'light' }));

const press = async (page: Page, ...keys: string[]): Promise<void> => {
  for (const key of keys) await page.keyboard.press(key);
};

/** Two keys are one order only when they follow each other fast, which a busy machine may not let them. */
const pressChord = (page: Page, key: string, there: string): Promise<void> => settles(async () => {
  if (!(await page.locator(there).isVisible())) await press(page, 'g', key);
  return page.locator(there).isVisible();
}, true);

test('the keyboard reaches screens, rows and help', () => on.visit('/', async (page) => {
  await firstMachine(page);
  await press(page, '?');
  await page.getByRole('heading', { name: 'Keyboard' }).waitFor();
  await press(page, 'Escape');
  await page.getByRole('heading', { name: 'Keyboard' }).waitFor({ state: 'hidden' });
  for (const [key, title] of [['a', 'Alerts'], ['r', 'Rules'], ['c', 'Compare'], ['p', 'Pipeline'], ['u', 'Audit'], ['s', 'Settings']] as const) {
    await pressChord(page, key, `h1:text-is("${title}")`);
  }
  await pressChord(page, 'f', '.fleet-table');
}));

test('the command palette leads to a machine and to a screen', () => on.visit('/', async (page) => {
  const id = await firstMachine(page);
  await page.locator('#search').focus();
  await press(page, 'Control+k');
  const field = page.getByRole('combobox', { name: 'Go to or do' });
  const list = page.getByRole('listbox', { name: 'What fits' });
  await field.fill('no such thing at all');
  await page.getByText('Nothing is called so.').waitFor();
  await field.fill('settings');
  await settles(() => list.getByRole('option', { selected: true }).innerText(), /^Settings/);
  await press(page, 'Enter');
  await page.waitForURL(/\/settings$/);
  await press(page, 'Control+k');
  await field.fill(id);
  await press(page, 'ArrowDown', 'ArrowUp');
  await list.getByRole('option', { name: id }).first().click();
  await page.waitForURL(/\/machines\//);
  await settles(() => page.getByRole('dialog').count(), 0);
}));

test('keys walk through the rows and open one', () => on.visit('/?sort=name', async (page) => {
  await firstMachine(page);
  await page.locator('.chip[data-state="live"]').waitFor();
  await press(page, 'j');
  const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.closest('tr')?.getAttribute('aria-rowindex') ?? '');
  await settles(focused, '2');
  await press(page, 'ArrowDown');
  await settles(focused, '3');
  await press(page, 'ArrowUp', 'Enter');
  await page.waitForURL(/\/machines\//);
}));

test('a pause stops the screen and says so', () => on.visit('/', async (page) => {
  await firstMachine(page);
  await press(page, 'Space');
  await settles(() => page.locator('.chip').innerText(), 'Paused');
  await press(page, 'Space');
  await settles(() => page.locator('.chip').innerText(), 'Live');
}));
