// Settings and the audit record in a real browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deleteRule, settles, stage } from './harness.ts';

const on = stage();

test('units, times and theme are chosen once and stay', () => on.visit('/settings', async (page) => {
  const sample = page.locator('[data-sample]');
  await sample.getByText('1.5\u00a0GiB').waitFor();
  await page.getByRole('button', { name: 'kB, MB' }).click();
  await page.getByRole('button', { name: 'Bits', exact: true }).click();
  await page.getByRole('button', { name: '°F' }).click();
  await page.getByRole('button', { name: 'Compact' }).click();
  await page.getByRole('button', { name: '70 / 85 %' }).click();
  await page.getByRole('button', { name: 'Light', exact: true }).click();
  await page.reload();
  await sample.getByText('1.61\u00a0GB, 100\u00a0Mbit/s, 142\u00a0°F').waitFor();
  assert.equal(await page.getByRole('button', { name: '70 / 85 %' }).getAttribute('aria-pressed'), 'true');
  const root = await page.evaluate(() => ({ ...document.documentElement.dataset }));
  assert.deepEqual([root.theme, root.density], ['light', 'compact']);
  await page.getByRole('button', { name: 'System', exact: true }).click();
  await settles(() => page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await page.locator('.settings-pair tbody tr', { hasText: 'http.address' }).waitFor();
  await page.getByLabel('Find').fill('data_dir');
  await settles(() => page.locator('.settings-pair tbody tr').count(), 1);
}, { colorScheme: 'dark' }));

test('who changes a rule stands in the record', () => on.visit('/settings', async (page) => {
  const name = `audited-${process.pid}`;
  await page.getByLabel('Your name').fill('Ana Müller');
  await page.getByLabel('Your name').blur();
  await page.goto(`${on.url}/rules/~new`);
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.waitForURL(/\/rules$/);
  await page.goto(`${on.url}/audit`);
  const entry = page.locator('.audit-table tr', { hasText: name }).first();
  await entry.getByText('Ana Müller').waitFor();
  await entry.getByText('made the rule').waitFor();
  await entry.getByText(/> 90.%.* for 5.min.*everywhere; warning/).waitFor();
  await deleteRule(on, name);
}));
