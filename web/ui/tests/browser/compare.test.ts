// The compare screen in a real browser: hottest, chosen machines, tags, small charts, and all of it in the address.

import { test } from 'node:test';
import { MINUTE_PATIENCE_MS, settles, someMachine, stage } from './harness.ts';

const on = stage();

test('chosen machines are compared in one chart or many, and the address says which', () => on.visit('/compare', async (page) => {
  const id = await someMachine(on);
  await page.getByRole('button', { name: 'Chosen' }).click();
  await page.waitForURL(/by=machines/);
  const chosen = page.locator('[data-chosen] button');
  while ((await chosen.count()) > 0) await chosen.first().click();
  await page.getByLabel('Add a machine').fill(id);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.waitForURL(new RegExp(`machine=${encodeURIComponent(id)}`));
  await page.locator('tbody th', { hasText: id }).waitFor();
  await settles(() => page.locator('tbody td').first().innerText(), /%|–/);
  await settles(async () => (await page.locator('[data-charts] .plot').first().getAttribute('aria-label')) ?? '', /now \d/);
  await page.getByLabel('Add a machine').fill('nobody-knows-me');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByText('Nobody knows nobody-knows-me.').waitFor();
  await page.getByRole('button', { name: 'Small charts' }).click();
  await page.locator('.compare-charts.is-small').waitFor();
  await page.reload();
  await page.locator('.compare-charts.is-small .chart', { hasText: id }).waitFor();
  await settles(() => page.locator('[data-by] [aria-pressed="true"]').innerText(), 'Chosen');
}));

test('a machine beyond the most that are compared is refused in words', async () => {
  const many = Array.from({ length: 24 }, (_none, index) => `machine=nobody-${index}`).join('&');
  await on.visit(`/compare?by=machines&${many}`, async (page) => {
    await settles(() => page.locator('[data-chosen] button').count(), 24);
    const input = page.getByLabel('Add a machine');
    await input.fill('one-more');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    const said = (): Promise<string> => input.evaluate((field: HTMLInputElement) => field.validationMessage);
    await settles(said, '24 machines are compared at most: take one away first.');
    await page.getByRole('button', { name: 'Take nobody-3 out' }).click();
    await input.fill('one-more-now');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByRole('button', { name: 'Take one-more-now out' }).waitFor();
  });
});

test('the hottest machines are found by the last full minute', async () => {
  await settles(async () => (await on.ask<{ minute: number | null }>('/fleet/hottest?k=5')).minute !== null, true, MINUTE_PATIENCE_MS);
  await on.visit('/compare?top=5', async (page) => {
    await settles(() => page.locator('tbody th').count(), 5);
    await settles(() => page.locator('tbody td').first().innerText(), /%/);
  });
});

test('the fleet is compared by tag, and as a whole', async () => {
  await settles(async () => (await on.ask<{ series: unknown[] }>('/fleet/rollups?metric=system.cpu.utilization')).series.length > 0, true, MINUTE_PATIENCE_MS);
  await on.visit('/compare?by=tag&range=6h', async (page) => {
    await settles(() => page.locator('tbody th').count(), 1);
    const tag = page.getByLabel('Tag', { exact: true });
    await settles(() => tag.inputValue(), '');
    await tag.locator('option[value="role"]').waitFor({ state: 'attached' });
    await tag.selectOption('role');
    await page.waitForURL(/tag=role/);
    await settles(async () => (await page.locator('tbody th').count()) > 2, true);
    await page.getByLabel('Metric').selectOption('system.network.receive.bytes_rate');
    await page.getByText('Each disk or interface of a machine counts in its group').waitFor();
  });
});

test('two dates are picked, stand still, and stay in the address', () => on.visit('/compare', async (page) => {
  await page.getByRole('button', { name: 'From one date to another' }).click();
  const [from, to] = [page.getByLabel('From', { exact: true }), page.getByLabel('To', { exact: true })];
  const now = await to.inputValue();
  await from.fill(now);
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByText('It must begin before it ends').waitFor();
  const before = (hours: number): string => new Date(Date.parse(`${now}Z`) - hours * 3_600_000).toISOString().slice(0, 16);
  await from.fill(before(3));
  await to.fill(before(1));
  await page.getByRole('button', { name: 'Show' }).click();
  await page.waitForURL(/from=\d+&to=\d+/);
  await settles(() => page.locator('[data-range] [aria-pressed="true"]').count(), 0);
  await settles(() => page.locator('[data-span]').innerText(), /–/);
  const url = page.url();
  await page.keyboard.press('[');
  await page.waitForURL((next) => next.href !== url);
  await page.getByRole('button', { name: '6 h', exact: true }).click();
  await page.waitForURL(/range=6h/);
  await settles(() => page.locator('[data-span]').innerText(), '');
}));
