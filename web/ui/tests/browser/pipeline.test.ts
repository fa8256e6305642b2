// The pipeline screen in a real browser: figures that move, every operator of the API in picture and table, a hub that goes away said so.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { firstMachine, givenUrl, launch, open, PATIENCE_MS, startHub, startMock, type MockHub } from './harness.ts';

let hub: MockHub;
let browser: Browser;

before(async () => {
  [hub, browser] = await Promise.all([startHub(), launch()]);
});

after(async () => {
  await browser.close();
  await hub.stop();
});

test('the pipeline shows what the API says of operators, sinks and queues', async () => {
  const { page, faults } = await open(browser, hub.url);
  await firstMachine(page);
  await page.keyboard.press('g');
  await page.keyboard.press('p');
  await page.locator('[data-operators] tr').first().waitFor({ timeout: PATIENCE_MS });
  const told = (await (await fetch(`${hub.url}/api/v1/pipeline`)).json()) as { graph: { operators: { name: string; scope: boolean }[] }; sinks: { name: string }[]; queues: { name: string }[] };
  const names = (selector: string): Promise<string[]> => page.locator(`${selector} th`).allInnerTexts();
  assert.deepEqual(await names('[data-operators]'), told.graph.operators.map(({ name }) => name));
  assert.deepEqual(await names('[data-sinks]'), told.sinks.map(({ name }) => name));
  assert.deepEqual(await names('[data-queues]'), told.queues.map(({ name }) => name));
  assert.deepEqual(await page.locator('.flow-name').allTextContents(), told.graph.operators.filter(({ scope }) => !scope).map(({ name }) => name));
  await page.locator('.flow-rate', { hasText: /records\/s/ }).first().waitFor({ timeout: PATIENCE_MS });
  const tiles = page.locator('[data-tiles]');
  const before = await tiles.innerText();
  await page.waitForFunction((text) => document.querySelector<HTMLElement>('[data-tiles]')?.innerText !== text, before, { timeout: PATIENCE_MS });
  await page.waitForFunction(() => document.querySelector('[data-dead] tr') !== null || document.querySelector('[data-dead-note]')?.textContent === 'Nothing was refused.', undefined, { timeout: PATIENCE_MS });
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('a hub that goes away leaves the figures and says of when they are', { skip: givenUrl !== undefined }, async () => {
  const own = await startMock('--machines', '3');
  const { page } = await open(browser, `${own.url}/pipeline`);
  await page.locator('[data-operators] tr').first().waitFor({ timeout: PATIENCE_MS });
  await own.stop();
  await page.getByText(/The hub cannot be reached\. Showing figures of/).waitFor({ timeout: PATIENCE_MS });
  assert.ok((await page.locator('[data-operators] tr').count()) > 0);
  await page.context().close();
});
