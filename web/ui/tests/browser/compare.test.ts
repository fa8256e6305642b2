// The compare screen in a real browser: hottest, chosen machines, tags, small charts, and all of it in the address.

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

test('chosen machines are compared in one chart or many, and the address says which', async () => {
  const { page, faults } = await open(browser, hub.url);
  const id = await firstMachine(page);
  await page.keyboard.press('g');
  await page.keyboard.press('c');
  await page.getByRole('button', { name: 'These machines' }).click();
  await page.waitForURL(/by=machines/);
  const chosen = page.locator('[data-chosen] button');
  while ((await chosen.count()) > 0) await chosen.first().click();
  await page.getByLabel('Add a machine').fill(id);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.waitForURL(new RegExp(`machine=${encodeURIComponent(id)}`));
  await page.locator('tbody th', { hasText: id }).waitFor({ timeout: PATIENCE_MS });
  await settles(() => page.locator('tbody td').first().innerText(), /%|–/);
  await page.waitForFunction(() => /All of them\. |no data/.test(document.querySelector('[data-charts] .plot')?.getAttribute('aria-label') ?? ''), undefined, { timeout: PATIENCE_MS });
  await page.getByLabel('Add a machine').fill('nobody-knows-me');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByText('Nobody knows nobody-knows-me.').waitFor({ timeout: PATIENCE_MS });
  await page.getByRole('button', { name: 'Small charts' }).click();
  await page.locator('.compare-charts.is-small').waitFor({ timeout: PATIENCE_MS });
  await page.reload();
  await page.locator('.compare-charts.is-small .chart', { hasText: id }).waitFor({ timeout: PATIENCE_MS });
  await settles(() => page.locator('[data-by] [aria-pressed="true"]').innerText(), 'These machines');
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('the whole fleet is a group, too', async () => {
  const { page, faults } = await open(browser, `${hub.url}/compare?by=tag&range=6h`);
  await page.waitForFunction(() => document.querySelector('tbody th') !== null || /Nothing to compare yet/.test(document.querySelector('[data-note]')?.textContent ?? ''), undefined, { timeout: PATIENCE_MS });
  await settles(() => page.getByLabel('Tag', { exact: true }).inputValue(), '');
  assert.deepEqual(faults, []);
  await page.context().close();
});
