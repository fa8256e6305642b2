// The rules in a real browser: the list, a rule from first key through its alert to deletion, and what is wrong said at its field.

import { test } from 'node:test';
import { settles, stage } from './harness.ts';

const on = stage();

test('a rule is tried out, made, fires, is switched off, and deleted', () => on.visit('/rules', async (page) => {
  const name = `busy-${process.pid}`;
  await page.locator('.rules-table tbody tr').first().waitFor();
  await page.getByRole('link', { name: 'New rule' }).click();
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
  await page.getByLabel('Threshold').fill('0.5');
  await page.getByLabel('Resolves at').fill('');
  await page.getByLabel('For', { exact: true }).fill('');
  await settles(() => page.locator('[data-words]').innerText(), /^Would (not )?have fired/);
  await settles(async () => (await page.locator('.rule-preview .plot').getAttribute('aria-label')) ?? '', /now \d/);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.waitForURL(/\/rules$/);
  const row = page.locator(`tr[data-rule="${name}"]`);
  await row.getByText('CPU > 0.5\u00a0%', { exact: true }).waitFor();
  await row.getByRole('link', { name: /\d+ firing/ }).click();
  await page.locator('tbody[hx-get*="active"] tr', { hasText: name }).first().waitFor();
  await page.goBack();
  await row.getByRole('switch').click();
  await row.locator('[role="switch"][aria-checked="false"]').waitFor();
  await row.getByRole('link', { name, exact: true }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
  await settles(() => page.getByLabel('Threshold').inputValue(), '0.5');
  await page.getByRole('link', { name: 'Add a critical level' }).click();
  await settles(() => page.getByRole('textbox', { name: 'Name', exact: true }).inputValue(), `${name}-critical`);
  await settles(() => page.getByLabel('Severity').inputValue(), 'critical');
  await page.goBack();
  await page.getByRole('button', { name: 'Delete this rule' }).click();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.waitForURL(/\/rules$/);
  await page.locator('.rules-table tbody tr').first().waitFor();
  await settles(() => row.count(), 0);
}));

test('what is wrong with a rule is said at its field, before and after it is sent', () => on.visit('/rules/~new', async (page) => {
  const clear = page.getByLabel('Resolves at');
  await clear.waitFor();
  await clear.fill('high');
  await page.getByText('Enter a number, or leave it empty.').waitFor();
  await clear.fill('95');
  await page.getByText(/must lie on the calm side/).waitFor();
  await settles(() => clear.getAttribute('aria-invalid'), 'true');
  await clear.fill('80');
  await page.locator('.field-error').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Give the rule a name.').waitFor();
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Not A Name');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText(/[Uu]se 1 to 64 of a-z/).waitFor();
}, { isTroubled: true }));

test('another unit says the same in other numbers', () => on.visit('/rules/~new', async (page) => {
  await page.getByLabel('Metric').fill('system.memory.available');
  await page.getByLabel('Unit').selectOption('GiB');
  await page.getByLabel('Threshold').fill('2');
  await page.getByLabel('Unit').selectOption('MiB');
  await settles(() => page.getByLabel('Threshold').inputValue(), '2048');
}, { isTroubled: true }));

test('a rule of the file is shown, not changed', () => on.visit('/rules', async (page) => {
  const row = page.locator('.rules-table tbody tr', { has: page.getByText('file', { exact: true }) }).first();
  await row.waitFor();
  await settles(() => row.getByRole('switch').getAttribute('aria-disabled'), 'true');
  await row.getByRole('link').first().click();
  await page.getByText('This rule comes from the rule file').waitFor();
  await settles(() => page.getByLabel('Threshold').isDisabled(), true);
  await page.getByRole('link', { name: 'Make a rule of your own like it' }).click();
  await page.getByRole('heading', { level: 1, name: 'New rule' }).waitFor();
  await settles(() => page.getByLabel('Threshold').isEnabled(), true);
}));
