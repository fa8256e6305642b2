// Every screen and dialog, dark and light, wide and on a phone, looked over by axe-core: no violation of WCAG 2.2 A and AA or of its best practices.
// On a phone nothing stands out of the page.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { violations } from './axe.ts';
import { deleteRule, makeRule, settles, someMachine, stage } from './harness.ts';

/** Address of each screen, and what is there once it shows something. */
const SCREENS: [path: string, ready: string][] = [
  ['/', 'table.fleet-table tbody tr[data-id]'],
  ['/alerts', 'h1'],
  ['/alerts?list=history', 'h1'],
  ['/alerts?list=silences', '[data-silences-note]:not(:empty), [data-silences] tbody tr'],
  ['/rules', '.rules-table tbody tr'],
  ['/rules/~new', '[data-words] strong, [data-words]:not(:empty)'],
  ['/compare', '[data-charts] .plot canvas, [data-note]:not([hidden])'],
  ['/pipeline', '[data-operators] tr'],
  ['/audit', '[data-note]:not([hidden]), tbody tr'],
  ['/settings', '.settings-pair tbody tr'],
];

const on = stage();

const COLOURS = { runOnly: ['color-contrast'] };

/** Everything in the dark theme, wide and on a phone; in the light one what a theme can break. */
async function everywhere(page: Page): Promise<void> {
  const theme = (): Promise<string | undefined> => page.evaluate(() => document.documentElement.dataset.theme);
  await settles(theme, 'dark');
  assert.deepEqual(await violations(page), [], 'dark, 1400 px');
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await settles(theme, 'light');
  assert.deepEqual(await violations(page, COLOURS), [], 'light, 1400 px');
  await page.setViewportSize({ width: 390, height: 844 });
  assert.deepEqual(await violations(page), [], 'light, 390 px');
  await settles(() => page.evaluate(() => document.documentElement.scrollWidth), 390);
}

const looked = { colorScheme: 'dark', reducedMotion: 'reduce' } as const;

for (const [path, ready] of SCREENS) {
  test(`${path} has no violation, in any theme or width`, () => on.visit(path, async (page) => {
    await page.locator(ready).first().waitFor();
    await page.locator('.chip[data-state="live"]').waitFor();
    await everywhere(page);
  }, looked));
}

test('one machine has no violation, nor a chart of it as a table', async () => {
  await on.visit(`/machines/${encodeURIComponent(await someMachine(on))}`, async (page) => {
    await page.locator('[data-panel="cpu"] canvas').waitFor();
    await page.getByRole('button', { name: 'CPU: view as table' }).click();
    await page.locator('[data-panel="cpu"] .chart-table tbody tr').first().waitFor();
    await page.getByRole('button', { name: 'From one date to another' }).click();
    await page.getByLabel('To', { exact: true }).waitFor();
    assert.deepEqual(await violations(page), [], 'dates, dark');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Collector' }).click();
    await page.getByRole('button', { name: 'Measure now' }).waitFor();
    assert.deepEqual(await violations(page), [], 'collector, dark');
    await page.keyboard.press('Escape');
    await everywhere(page);
  }, looked);
});

test('the fleet as cards and in groups has no violation', () => on.visit('/?view=cards&group=role', async (page) => {
  await page.locator('.group-row').first().waitFor();
  await everywhere(page);
}, looked));

test('the list of keys has no violation', () => on.visit('/settings', async (page) => {
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  await everywhere(page);
}, looked));

test('the command palette, the menu of columns and adding a machine have no violation', () => on.visit('/', async (page) => {
  await page.locator('table.fleet-table tbody tr[data-id]').first().waitFor();
  await page.keyboard.press('Control+k');
  await page.getByRole('listbox', { name: 'What fits' }).getByRole('option').first().waitFor();
  assert.deepEqual(await violations(page), [], 'palette, dark');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByRole('checkbox', { name: 'Uptime' }).waitFor();
  assert.deepEqual(await violations(page), [], 'columns, dark');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('dialog', { name: 'Add a machine' }).waitFor();
  assert.deepEqual(await violations(page), [], 'adding, dark');
}, looked));

test('the dialogs that silence and delete have no violation', async () => {
  const [rule, machine] = [`looked-at-${process.pid}`, await someMachine(on)];
  await makeRule(on, rule, machine);
  await on.visit('/alerts', async (page) => {
    await page.getByRole('button', { name: `Silence: ${rule} on ${machine}` }).click();
    await page.getByRole('dialog').waitFor();
    await everywhere(page);
  }, looked);
  await on.visit(`/rules/${rule}`, async (page) => {
    await page.getByRole('button', { name: 'Delete this rule' }).click();
    await page.getByRole('dialog').waitFor();
    await everywhere(page);
  }, looked);
  await deleteRule(on, rule);
});
