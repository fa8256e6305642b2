// The pipeline screen in a real browser: figures that move, every operator of the API in picture and table.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settles, stage } from './harness.ts';

const on = stage();

test('the pipeline shows what the API says of operators, sinks and queues', () => on.visit('/pipeline', async (page) => {
  await page.locator('[data-operators] tr').first().waitFor();
  const told = await on.ask<{ graph: { operators: { name: string; scope: boolean }[] }; sinks: { name: string }[]; queues: { name: string }[] }>('/pipeline');
  const names = (selector: string): Promise<string[]> => page.locator(`${selector} th`).allInnerTexts();
  assert.deepEqual(await names('[data-operators]'), told.graph.operators.map(({ name }) => name));
  assert.deepEqual(await names('[data-sinks]'), told.sinks.map(({ name }) => name));
  assert.deepEqual(await names('[data-queues]'), told.queues.map(({ name }) => name));
  // The picture stands them where the data meets them.
  assert.deepEqual((await page.locator('.flow-name').allTextContents()).sort(), told.graph.operators.filter(({ scope }) => !scope).map(({ name }) => name).sort());
  assert.ok((await page.locator('.flow-line').count()) >= told.graph.operators.filter(({ scope }) => !scope).length - 1, 'a line leads to every operator but the source');
  await page.locator('.flow-rate', { hasText: /records\/s/ }).first().waitFor();
  assert.deepEqual(await names('[data-tiers]'), ['hot', 'raw', 'minute', 'hour']);
  assert.match(await page.locator('[data-tiers] tr').nth(1).innerText(), /24h\s+\d.* samples\s+SQLite/);
  const tiles = page.locator('[data-tiles]');
  const before = await tiles.innerText();
  await settles(async () => (await tiles.innerText()) !== before, true);
  await settles(() => page.evaluate(() => document.querySelector('[data-dead] tr') !== null || document.querySelector('[data-dead-note]')?.textContent === 'Nothing was refused.'), true);
}));

test('a dead letter says what was refused, and why it cannot be sent again', () => on.visit('/pipeline', async (page) => {
  const { dead_letters: letters } = await on.ask<{ dead_letters: { id: string; machine: string; obstacle: string | null }[] }>('/dead-letters');
  const letter = letters.find(({ obstacle }) => obstacle !== null);
  assert.ok(letter);
  const row = page.locator('[data-dead] tr', { hasText: letter.id });
  await row.getByRole('link', { name: letter.machine }).waitFor();
  await row.getByText(letter.obstacle ?? '').waitFor();
}));
