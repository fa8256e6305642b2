// One machine in a real browser: charts with their history, live points, zoom, tables, and what runs on it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstMachine, MINUTE_PATIENCE_MS, rows, settles, someMachine, stage } from './harness.ts';

const on = stage();
const pathOf = (id: string, query = ''): string => `/machines/${encodeURIComponent(id)}${query}`;

test('the machine screen draws its history and grows by live points', () => on.visit('/', async (page) => {
  await firstMachine(page);
  const id = await page.locator(rows).filter({ has: page.locator('.status[data-status="up"]') }).first().getAttribute('data-id');
  await page.locator(`tr[data-id="${id}"] .machine-link`).click();
  await page.waitForURL(/\/machines\//);
  await page.getByRole('heading', { level: 1, name: id ?? '' }).waitFor();
  const chart = page.locator('[data-panel="cpu"] .plot');
  await settles(async () => (await chart.getAttribute('aria-label')) ?? '', /now \d/);
  const painted = (): Promise<number> => chart.locator('canvas').evaluate((canvas: HTMLCanvasElement) => new Set(canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data).size);
  await settles(async () => (await painted()) > 8, true);
  await settles(() => page.locator('[data-panel="cpu"] .tier').innerText(), /^raw/);
  const legend = page.locator('[data-panel="network"] .legend, [data-panel="cpu"] .legend').last();
  const before = await legend.innerText();
  await settles(async () => (await legend.innerText()) !== before, true);
}));

test('a drag zooms into the history and a double click goes back', async () => {
  const id = await someMachine(on);
  // Minutes are there once one has closed.
  await settles(async () => (await on.ask<{ series: unknown[] }>(`${pathOf(id)}/history?metric=system.cpu.utilization&from=now-24h`)).series.length > 0, true, MINUTE_PATIENCE_MS);
  await on.visit(pathOf(id, '?range=24h'), async (page) => {
    const over = page.locator('[data-panel="cpu"] .u-over');
    await over.waitFor();
    const tier = (): Promise<string> => page.locator('[data-panel="cpu"] .tier').innerText();
    await settles(tier, /min–max/);
    const box = await over.boundingBox();
    assert.ok(box);
    await page.mouse.move(box.x + box.width * 0.97, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.99, box.y + 60, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/from=\d+&to=\d+/);
    await settles(tier, /^raw/);
    await page.locator('[data-panel="cpu"] .chart-body').dblclick({ position: { x: 200, y: 60 } });
    await page.waitForURL(/range=24h/);
  });
});

test('a chart can be read as a table', async () => {
  await on.visit(pathOf(await someMachine(on), '?range=15m'), async (page) => {
    await page.locator('[data-panel="memory"] .u-over').waitFor();
    await page.getByRole('button', { name: 'Memory: view as table' }).click();
    await page.locator('[data-panel="memory"] .chart-table tbody tr').first().waitFor();
  });
});

test('a machine that does not exist is said to be missing', () => on.visit('/machines/no-such-machine-anywhere', async (page) => {
  await page.getByText('No machine has this name').waitFor();
}, { isTroubled: true }));
