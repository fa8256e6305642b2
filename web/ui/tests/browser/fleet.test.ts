// The fleet in a real browser: rows that live, sorting, filters, groups and cards, and a phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { firstMachine, rows, settles, stage } from './harness.ts';

const on = stage();

test('the fleet shows a row per machine with status, values and age', () => on.visit('/', async (page) => {
  await firstMachine(page);
  const row = page.locator(rows).filter({ has: page.locator('.status[data-status="up"]') }).first();
  await row.waitFor();
  await settles(() => row.locator('.col-cpu .value').innerText(), /%/);
  await settles(() => row.locator('.seen').innerText(), /ago|now/);
  await settles(() => page.locator('.chip').innerText(), 'Live');
  const { machines } = await on.ask<{ machines: unknown[] }>('/machines');
  await settles(() => page.locator('table.fleet-table').getAttribute('aria-rowcount'), String(machines.length + 1));
}));

test('a start opens one connection, which is told in its address what is wanted, and other screens of the fleet ask for nothing more', () => on.visit('/', async (page) => {
  await firstMachine(page);
  const said: string[] = [];
  page.on('websocket', (socket) => {
    said.push(decodeURIComponent(new URL(socket.url()).search));
    socket.on('framesent', ({ payload }) => said.push(String(payload)));
  });
  await page.reload();
  await firstMachine(page);
  await page.getByRole('link', { name: 'Rules', exact: true }).click();
  await page.locator('.rules-table tbody tr').first().waitFor();
  await page.goBack();
  await firstMachine(page);
  await settles(() => page.locator('.chip').innerText(), 'Live');
  assert.deepEqual(said, ['?subscribe={"type":"subscribe","machines":["*"],"detail":"summary","rate_ms":1000}']);
}));

test('a live update changes what is shown without a reload', () => on.visit('/', async (page) => {
  await firstMachine(page);
  const shown = (): Promise<string> => page.evaluate((selector) => [...document.querySelectorAll(selector)].map((row) => `${row.getAttribute('data-id')} ${row.querySelector('.col-network')?.textContent}`).sort().join('\n'), rows);
  const first = await shown();
  await settles(async () => (await shown()) !== first, true);
}));

test('sorting and filters work, and live in the address', () => on.visit('/', async (page) => {
  const id = await firstMachine(page);
  await page.getByRole('button', { name: 'Machine', exact: true }).click();
  await settles(() => page.locator('th[data-sort="name"]').getAttribute('aria-sort'), 'ascending');
  const ids = (): Promise<string[]> => page.evaluate((selector) => [...document.querySelectorAll(selector)].map((row) => row.getAttribute('data-id') ?? ''), rows);
  await settles(async () => (await ids()).every((one, index, all) => index === 0 || (all[index - 1] ?? '').localeCompare(one, 'en', { numeric: true }) <= 0), true);
  await page.keyboard.press('/');
  await page.keyboard.type(id);
  await settles(async () => (await ids()).every((one) => one.includes(id)), true);
  await settles(async () => page.url().includes('sort=name') && page.url().includes(`q=${encodeURIComponent(id)}`), true);
  await page.locator('#search').fill('no machine has this name');
  await page.getByRole('button', { name: 'Clear the filters' }).click();
  await page.locator(rows).first().waitFor();
  await page.reload();
  await page.locator('th[data-sort="name"][aria-sort="ascending"]').waitFor();
}));

test('the fleet in groups and as cards, kept in the address', () => on.visit('/', async (page) => {
  await firstMachine(page);
  await page.getByRole('button', { name: 'Cards' }).click();
  await page.locator('.fleet-table.is-cards').waitFor();
  await page.waitForURL(/view=cards/);
  const select = page.getByLabel('Group by tag');
  await select.locator('option').nth(1).waitFor({ state: 'attached' });
  await select.selectOption('role');
  await page.locator('.group-row').first().waitFor();
  await page.reload();
  await page.locator('.group-row').first().waitFor();
  await page.getByRole('button', { name: 'Table', exact: true }).click();
  await page.locator('.fleet-table:not(.is-cards)').waitFor();
  await settles(async () => (await page.locator(rows).count()) > 0, true);
  // Columns that are not shown take no room: a group's head is as wide as what is above it.
  const widthOf = (selector: string): Promise<number> => page.locator(selector).first().evaluate((node) => Math.round(node.getBoundingClientRect().width));
  await settles(async () => (await widthOf('.group-row th')) === (await widthOf('.fleet-table')) && (await widthOf('.fleet-table thead tr')) === (await widthOf('.fleet-table')), true);
}));

test('columns are chosen, sort the rows, and stay chosen', () => on.visit('/', async (page) => {
  await firstMachine(page);
  const head = (name: string) => page.getByRole('columnheader', { name });
  assert.equal(await head('Uptime').count(), 0);
  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByRole('checkbox', { name: 'Uptime' }).check();
  await page.getByRole('checkbox', { name: 'Network' }).uncheck();
  await page.keyboard.press('Escape');
  await settles(() => page.locator('#fleet-columns').isVisible(), false);
  await head('Uptime').getByRole('button').click();
  await page.waitForURL(/sort=uptime/);
  await page.reload();
  await firstMachine(page);
  await head('Uptime').waitFor();
  assert.deepEqual([await head('Network').count(), await head('Uptime').getAttribute('aria-sort')], [0, 'descending']);
  await settles(() => page.locator(`${rows} .col-uptime`).first().innerText(), /\d/);
}));

test('a machine is added by a command that says where and what', () => on.visit('/', async (page) => {
  await firstMachine(page);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a machine' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('db 1');
  await dialog.getByRole('textbox', { name: 'Tags' }).fill('role=db');
  await settles(() => dialog.locator('code').innerText(), /^COLLECTOR_AGGREGATOR_URL=127\.0\.0\.1:\d+ COLLECTOR_MACHINE_ID='db 1' COLLECTOR_TAGS=role=db sysmonstm collector$/);
  await dialog.getByRole('button', { name: 'The small collector' }).click();
  await settles(() => dialog.locator('code').innerText(), /sysmonstm-collector$/);
  await dialog.getByText('Waiting for a new machine…').waitFor();
  await dialog.getByText(/nothing but this computer reaches it/).waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await settles(() => dialog.count(), 0);
}));

test('going back from a machine finds the fleet where it was left', () => on.visit('/', async (page) => {
  await firstMachine(page);
  await page.evaluate(() => window.scrollTo(0, 300));
  // The driver scrolls the row into view before it clicks: where the fleet was left is what the click saw.
  await page.evaluate(() => document.addEventListener('click', () => { document.body.dataset.leftAt = String(window.scrollY); }, { capture: true, once: true }));
  const id = await page.locator(rows).nth(Math.min(1, (await page.locator(rows).count()) - 1)).getAttribute('data-id');
  await page.locator(`tr[data-id="${id}"] .machine-link`).click();
  await page.waitForURL(/\/machines\//);
  await page.getByRole('heading', { level: 1, name: id ?? '' }).waitFor();
  await settles(() => page.evaluate(() => window.scrollY), 0);
  await page.goBack();
  await settles(() => page.evaluate(() => Math.abs(window.scrollY - Number(document.body.dataset.leftAt)) <= 1), true);
}, { viewport: { width: 1400, height: 400 } }));

const smallControls = (page: Page): Promise<{ text: string; height: number }[]> =>
  page.evaluate(() => [...document.querySelectorAll<HTMLElement>('.topbar button, .topbar input, .nav a, .toolbar button, .toolbar select')]
    .filter((node) => node.offsetParent !== null || getComputedStyle(node).position === 'fixed')
    .map((node) => ({ text: node.innerText, height: node.getBoundingClientRect().height }))
    .filter(({ height }) => height > 0 && height < 44));

test('on a phone every control is at least 44 px high, and machines are cards', () => on.visit('/', async (page) => {
  await firstMachine(page);
  assert.deepEqual(await smallControls(page), []);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
  const widths = await page.locator(rows).first().evaluate((row) => ['.spark', '.col-memory', '.col-disk'].map((part) => row.querySelector(part)?.getBoundingClientRect().width ?? 0));
  assert.ok(widths.every((width) => width > 80), `the card's fields are ${widths.join(', ')} px wide`);
}, { viewport: { width: 390, height: 844 }, hasTouch: true }));
