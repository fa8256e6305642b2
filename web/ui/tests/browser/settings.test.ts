// Settings, audit record, groups and cards of the fleet, and the saved alert history, in a real browser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { firstMachine, launch, open, PATIENCE_MS, rows, startHub, settles, type MockHub } from './harness.ts';

let hub: MockHub;
let browser: Browser;

before(async () => {
  [hub, browser] = await Promise.all([startHub(), launch()]);
});

after(async () => {
  await browser.close();
  await hub.stop();
});

test('units, times and theme are chosen once and stay', async () => {
  const { page, faults } = await open(browser, hub.url, { colorScheme: 'dark' });
  await firstMachine(page);
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  const sample = page.locator('[data-sample]');
  await sample.getByText('1.5\u00a0GiB').waitFor({ timeout: PATIENCE_MS });
  await page.getByRole('button', { name: 'kB, MB' }).click();
  await page.getByRole('button', { name: 'Bits', exact: true }).click();
  await page.getByRole('button', { name: '°F' }).click();
  await page.getByRole('button', { name: 'Compact' }).click();
  await page.getByRole('button', { name: 'Light', exact: true }).click();
  await page.reload();
  await sample.getByText('1.61\u00a0GB, 100\u00a0Mbit/s, 142\u00a0°F').waitFor({ timeout: PATIENCE_MS });
  const root = await page.evaluate(() => ({ ...document.documentElement.dataset }));
  assert.deepEqual([root.theme, root.density], ['light', 'compact']);
  await page.getByRole('button', { name: 'System', exact: true }).click();
  await settles(() => page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await page.locator('.settings-pair tbody tr', { hasText: 'http.address' }).waitFor({ timeout: PATIENCE_MS });
  await page.getByLabel('Find').fill('data_dir');
  await settles(() => page.locator('.settings-pair tbody tr').count(), 1);
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('who changes a rule stands in the record', async () => {
  const name = `audited-${process.pid}`;
  const { page, faults } = await open(browser, `${hub.url}/settings`);
  await page.getByLabel('Your name').fill('Ana Müller');
  await page.getByLabel('Your name').blur();
  await page.goto(`${hub.url}/rules/~new`);
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.waitForURL(/\/rules$/, { timeout: PATIENCE_MS });
  await page.goto(`${hub.url}/audit`);
  const entry = page.locator('.audit-table tr', { hasText: name }).first();
  await entry.getByText('Ana Müller').waitFor({ timeout: PATIENCE_MS });
  await entry.getByText('made the rule').waitFor();
  await fetch(`${hub.url}/api/v1/rules/${name}`, { method: 'DELETE' });
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('the fleet in groups and as cards, kept in the address', async () => {
  const { page, faults } = await open(browser, hub.url);
  await firstMachine(page);
  const shown = await page.locator(rows).count();
  await page.getByRole('button', { name: 'Cards' }).click();
  await page.locator('.fleet-table.is-cards').waitFor();
  await page.waitForURL(/view=cards/);
  const select = page.getByLabel('Group by tag');
  const tag = await select.locator('option').nth(1).getAttribute('value').catch(() => null);
  if (tag !== null) {
    await select.selectOption(tag);
    await page.locator('.group-row').first().waitFor({ timeout: PATIENCE_MS });
    await page.reload();
    await page.locator('.group-row').first().waitFor({ timeout: PATIENCE_MS });
  }
  await page.getByRole('button', { name: 'Table', exact: true }).click();
  await page.locator('.fleet-table:not(.is-cards)').waitFor();
  assert.ok(shown > 0 && (await page.locator(rows).count()) > 0);
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('the alert history is saved as a file', async () => {
  const { page, faults } = await open(browser, `${hub.url}/alerts`);
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: PATIENCE_MS }), page.getByRole('button', { name: 'The last 30 days as CSV' }).click()]);
  assert.match(download.suggestedFilename(), /^alerts-\d{4}-\d\d-\d\d\.csv$/);
  assert.match(await readFile(await download.path(), 'utf8'), /^id,rule,machine,severity,/);
  assert.deepEqual(faults, []);
  await page.context().close();
});
