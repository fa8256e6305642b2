// Every screen, dark and light, wide and on a phone, looked over by axe-core: no violation of WCAG 2.2 A and AA or of its best practices.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { launch, open, PATIENCE_MS, startHub, type MockHub } from './harness.ts';

/** Address of each screen, and what is there once it shows something. */
const SCREENS: [path: string, ready: string][] = [
  ['/', 'table.fleet-table tbody tr[data-id]'],
  ['/alerts', 'h1'],
  ['/rules', '.rules-table tbody tr'],
  ['/rules/~new', '[data-words] strong, [data-words]:not(:empty)'],
  ['/compare', '[data-charts] .plot canvas, [data-note]:not([hidden])'],
  ['/pipeline', '[data-operators] tr'],
  ['/audit', '[data-note]:not([hidden]), tbody tr'],
  ['/settings', '.settings-pair tbody tr'],
];

interface Violation {
  id: string;
  help: string;
  nodes: { target: string[]; failureSummary: string }[];
}

const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let hub: MockHub;
let browser: Browser;

before(async () => {
  [hub, browser] = await Promise.all([startHub(), launch()]);
});

after(async () => {
  await browser.close();
  await hub.stop();
});

/** What axe finds, as sentences. Its text is put in by the driver, which the page's policy does not bind. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(source);
  const found = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations)')) as Violation[];
  return found.flatMap(({ id, help, nodes }) => nodes.slice(0, 5).map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(' ')}: ${failureSummary}`));
}

for (const [path, ready] of SCREENS) {
  test(`${path} has no violation, in any theme or width`, async () => {
    for (const colorScheme of ['dark', 'light'] as const) {
      for (const width of [1400, 390]) {
        const { page } = await open(browser, hub.url + path, { colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' });
        await page.locator(ready).first().waitFor({ timeout: PATIENCE_MS });
        await page.locator('.chip[data-state="live"]').waitFor({ timeout: PATIENCE_MS });
        assert.deepEqual(await violations(page), [], `${path}, ${colorScheme}, ${width} px`);
        await page.context().close();
      }
    }
  });
}

test('one machine has no violation, in any theme', async () => {
  for (const colorScheme of ['dark', 'light'] as const) {
    const { page } = await open(browser, hub.url, { colorScheme, reducedMotion: 'reduce' });
    await page.locator('table.fleet-table tbody tr[data-id] .machine-link').first().click({ timeout: PATIENCE_MS });
    await page.locator('[data-panel="cpu"] canvas').waitFor({ timeout: PATIENCE_MS });
    assert.deepEqual(await violations(page), [], colorScheme);
    await page.context().close();
  }
});
