// States that only a hub of our own can be brought into: a thousand machines, none at all, a hub that answers nothing but errors, and
// one that goes away. The mock hub plays them.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { firstMachine, launch, rows, settles, startMock, visit, type MockHub, type Visit } from './harness.ts';

const TRANSFER_BYTES_MAX = 150_000;
let browser: Browser;

before(async () => {
  browser = await launch();
});

after(() => browser.close());

async function withMock(machines: number, path: string, look: (page: Page, hub: MockHub) => Promise<void>, options: Visit = {}): Promise<void> {
  const hub = await startMock('--machines', String(machines));
  try {
    await visit(browser, hub.url + path, (page) => look(page, hub), options);
  } finally {
    await hub.stop();
  }
}

test('a thousand machines are a page of rows, and the last one can be reached', () => withMock(1000, '/', async (page) => {
  await firstMachine(page);
  await settles(() => page.locator('table.fleet-table').getAttribute('aria-rowcount'), '1001');
  assert.ok((await page.locator(rows).count()) < 60);
  await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
  await page.locator(`${rows}[aria-rowindex="1001"]`).waitFor();
  assert.ok((await page.locator(rows).count()) < 60);
}));

test('an empty fleet says how to add a machine', () => withMock(0, '/', async (page) => {
  await page.getByText('COLLECTOR_AGGREGATOR_URL=127.0.0.1:50051').waitFor();
}));

test('a lost hub is shown, its values stay, and the page comes back by itself', () => withMock(5, '/', async (page, hub) => {
  await firstMachine(page);
  await hub.stop();
  await page.locator('.chip[data-state="reconnecting"]').waitFor();
  await page.getByText(/Showing data as of \d\d:\d\d:\d\d/).waitFor();
  assert.ok((await page.locator(rows).count()) > 0);
  const again = await startMock('--machines', '5', '--port', new URL(hub.url).port);
  try {
    await page.locator('.chip[data-state="live"]').waitFor();
    await settles(() => page.getByText(/Showing data as of/).isVisible(), false);
  } finally {
    await again.stop();
  }
}, { isTroubled: true }));

test('a hub that goes away leaves the figures of the pipeline and says of when they are', () => withMock(3, '/pipeline', async (page, hub) => {
  await page.locator('[data-operators] tr').first().waitFor();
  await hub.stop();
  await page.getByText(/The hub cannot be reached\. Showing figures of/).waitFor();
  assert.ok((await page.locator('[data-operators] tr').count()) > 0);
}, { isTroubled: true }));

test('dead letters are sent again, one and then all', () => withMock(5, '/pipeline', async (page) => {
  const state = (): Promise<string> => page.locator('[data-resend-state]').innerText();
  await page.getByRole('button', { name: 'Send 1-0 again', exact: true }).click();
  await settles(state, '1-0 was sent again: 1 sample.');
  await page.locator('[data-dead] tr', { hasText: '1-0' }).getByText(/^sent/).waitFor();
  await page.getByRole('button', { name: 'Send all again' }).click();
  await settles(state, '2 letters sent again with 12 samples.');
  await settles(() => page.getByRole('button', { name: 'Send all again' }).isVisible(), false);
}));

test('everything the page can ever load fits the budget', () => {
  const files = readdirSync('dist', { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && !/\.(br|gz)$/.test(entry.name));
  // As the hub serves it to whom does not take Brotli.
  const served = (path: string): number => (existsSync(`${path}.gz`) ? statSync(`${path}.gz`) : statSync(path)).size;
  const total = files.reduce((sum, entry) => sum + served(join(entry.parentPath, entry.name)), 0);
  console.log(`compressed: ${(total / 1000).toFixed(1)} kB`);
  assert.ok(total <= TRANSFER_BYTES_MAX, `${total} bytes`);
});

test('nothing in the bundle evaluates text or names another host to load from', () => {
  const scripts = readdirSync('dist/assets').filter((name) => name.endsWith('.js'));
  for (const name of scripts) assert.doesNotMatch(readFileSync(join('dist/assets', name), 'utf8'), /[^.\w]eval\(/, name);
  assert.doesNotMatch(readFileSync('dist/index.html', 'utf8'), /(src|href)="https?:|<style|style="|<script>/);
});
