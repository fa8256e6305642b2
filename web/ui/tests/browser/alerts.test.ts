// Alerts in a real browser: one that fires, is silenced, speaks again, and stands in the history once its rule is gone.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { deleteRule, makeRule, settles, someMachine, stage } from './harness.ts';

const on = stage();

test('the alerts come as fragments of the hub, with local times', () => on.visit('/alerts', async (page) => {
  await settles(() => page.evaluate(() => {
    const list = document.querySelector<HTMLTableSectionElement>('tbody[hx-get*="active"]');
    return list !== null && (list.rows.length > 0 || list.closest('section')?.querySelector('[data-note]')?.textContent === list.dataset.empty);
  }), true);
  // Alerts come and go meanwhile: all rows are looked at in one moment.
  await settles(() => page.evaluate(() => [...document.querySelectorAll('tbody[hx-get*="active"] tr')].every((row) => row.querySelectorAll('td .severity svg').length === 1)), true);
}));

test('an alert fires, is silenced, speaks again, and is history when its rule is gone', async () => {
  const [rule, machine] = [`memory-there-${process.pid}`, await someMachine(on)];
  await on.visit('/alerts', async (page) => {
    await makeRule(on, rule, machine);
    const cell = page.locator(`[data-standing][data-machine="${machine}"][data-rule="${rule}"]`);
    await cell.getByRole('button', { name: `Silence: ${rule} on ${machine}` }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Who').fill('ana');
    await dialog.getByRole('button', { name: 'Silence' }).click();
    await cell.getByText('silenced').waitFor();
    await cell.getByRole('button', { name: /^End silence/ }).click();
    await cell.getByText('active').waitFor();
    await settles(() => dialog.count(), 0);
    await deleteRule(on, rule);
    await settles(() => cell.count(), 0);
    await page.locator('tbody[hx-get*="resolved"] tr', { hasText: rule }).first().waitFor();
  });
});

test('the alert history is saved as a file', () => on.visit('/alerts', async (page) => {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'The last 30 days as CSV' }).click()]);
  assert.match(download.suggestedFilename(), /^alerts-\d{4}-\d\d-\d\d\.csv$/);
  assert.match(await readFile(await download.path(), 'utf8'), /^id,rule,machine,severity,/);
}));
