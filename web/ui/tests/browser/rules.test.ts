// The rules in a real browser: the list, a rule from first key to deletion, and what is wrong said at its field.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { firstMachine, launch, open, PATIENCE_MS, startHub, settles, type MockHub } from './harness.ts';

let hub: MockHub;
let browser: Browser;

before(async () => {
  [hub, browser] = await Promise.all([startHub(), launch()]);
});

after(async () => {
  await browser.close();
  await hub.stop();
});

test('a rule is tried out, made, switched off, and deleted', async () => {
  const name = `busy-${process.pid}`;
  const { page, faults } = await open(browser, hub.url);
  await firstMachine(page);
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  await page.locator('.rules-table tbody tr').first().waitFor({ timeout: PATIENCE_MS });
  await page.getByRole('link', { name: 'New rule' }).click();
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
  await page.getByLabel('Threshold').fill('0.5');
  await page.getByLabel('Resolves at').fill('');
  await page.getByLabel('For', { exact: true }).fill('');
  await page.locator('[data-words]').getByText(/^Would (not )?have fired|No machine has/).waitFor({ timeout: PATIENCE_MS });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.waitForURL(/\/rules$/, { timeout: PATIENCE_MS });
  const row = page.locator(`tr[data-rule="${name}"]`);
  await row.getByText('CPU > 0.5\u00a0%', { exact: true }).waitFor({ timeout: PATIENCE_MS });
  await row.getByRole('switch').click();
  await row.locator('[role="switch"][aria-checked="false"]').waitFor({ timeout: PATIENCE_MS });
  await row.getByRole('link', { name }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor({ timeout: PATIENCE_MS });
  await settles(() => page.getByLabel('Threshold').inputValue(), '0.5');
  await page.getByRole('button', { name: 'Delete this rule' }).click();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.waitForURL(/\/rules$/, { timeout: PATIENCE_MS });
  await page.locator('.rules-table tbody tr').first().waitFor({ timeout: PATIENCE_MS });
  await settles(() => row.count(), 0);
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('what is wrong with a rule is said at its field, before and after it is sent', async () => {
  const { page } = await open(browser, `${hub.url}/rules/~new`);
  const clear = page.getByLabel('Resolves at');
  await clear.waitFor({ timeout: PATIENCE_MS });
  await clear.fill('high');
  await page.getByText('Enter a number, or leave it empty.').waitFor({ timeout: PATIENCE_MS });
  await clear.fill('95');
  await page.getByText(/must lie on the calm side/).waitFor({ timeout: PATIENCE_MS });
  await settles(() => clear.getAttribute('aria-invalid'), 'true');
  await clear.fill('80');
  await page.locator('.field-error').waitFor({ state: 'detached', timeout: PATIENCE_MS });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Give the rule a name.').waitFor({ timeout: PATIENCE_MS });
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Not A Name');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText(/[Uu]se 1 to 64 of a-z/).waitFor({ timeout: PATIENCE_MS });
  await page.context().close();
});

test('another unit says the same in other numbers', async () => {
  const { page } = await open(browser, `${hub.url}/rules/~new`);
  await page.getByLabel('Metric').fill('system.memory.available');
  await page.getByLabel('Unit').selectOption('GiB');
  await page.getByLabel('Threshold').fill('2');
  await page.getByLabel('Unit').selectOption('MiB');
  await settles(() => page.getByLabel('Threshold').inputValue(), '2048');
  await page.context().close();
});

test('a rule of the file is shown, not changed', async () => {
  const { page, faults } = await open(browser, `${hub.url}/rules`);
  const row = page.locator('.rules-table tbody tr', { has: page.getByText('file', { exact: true }) }).first();
  await row.waitFor({ timeout: PATIENCE_MS });
  await settles(() => row.getByRole('switch').getAttribute('aria-disabled'), 'true');
  await row.getByRole('link').first().click();
  await page.getByText('This rule comes from the rule file').waitFor({ timeout: PATIENCE_MS });
  await settles(() => page.getByLabel('Threshold').isDisabled(), true);
  await page.getByRole('link', { name: 'Make a rule of your own like it' }).click();
  await page.getByRole('heading', { level: 1, name: 'New rule' }).waitFor({ timeout: PATIENCE_MS });
  await settles(() => page.getByLabel('Threshold').isEnabled(), true);
  assert.deepEqual(faults, []);
  await page.context().close();
});
