// The dashboard in a real browser, against the mock hub or any hub at BASE_URL: what a person would notice first if it broke.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { givenUrl, firstMachine, launch, open, PATIENCE_MS, rows, startHub, settles, type MockHub } from './harness.ts';

let hub: MockHub;
let browser: Browser;

before(async () => {
  [hub, browser] = await Promise.all([startHub(), launch()]);
});

after(async () => {
  await browser.close();
  await hub.stop();
});

test('the fleet shows a row per machine with status, values and age', async () => {
  const { page, faults } = await open(browser, hub.url);
  await firstMachine(page);
  const row = page.locator(rows).filter({ has: page.locator('.status[data-status="up"]') }).first();
  await row.waitFor();
  await settles(() => row.locator('.col-cpu .value').innerText(), /%/);
  await settles(() => row.locator('.seen').innerText(), /ago|now/);
  await settles(() => page.locator('.chip').innerText(), 'Live');
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('a live update changes what is shown without a reload', async () => {
  const { page } = await open(browser, hub.url);
  await firstMachine(page);
  const shown = (): Promise<string> => page.evaluate((selector) => [...document.querySelectorAll(selector)].map((row) => `${row.getAttribute('data-id')} ${row.querySelector('.col-network')?.textContent}`).sort().join('\n'), rows);
  const first = await shown();
  await page.waitForFunction(([selector, before]) => {
    const now = [...document.querySelectorAll(selector ?? '')].map((row) => `${row.getAttribute('data-id')} ${row.querySelector('.col-network')?.textContent}`).sort().join('\n');
    return now !== before;
  }, [rows, first], { timeout: PATIENCE_MS });
  await page.context().close();
});

test('sorting and filters work, and live in the address', async () => {
  const { page } = await open(browser, hub.url);
  const id = await firstMachine(page);
  await page.getByRole('button', { name: 'Machine', exact: true }).click();
  await settles(() => page.locator('th[data-sort="name"]').getAttribute('aria-sort'), 'ascending');
  await page.waitForFunction((selector) => {
    const ids = [...document.querySelectorAll(selector)].map((row) => row.getAttribute('data-id') ?? '');
    return ids.every((one, index) => index === 0 || (ids[index - 1] ?? '').localeCompare(one, 'en', { numeric: true }) <= 0);
  }, rows);
  await page.keyboard.press('/');
  await page.keyboard.type(id);
  await page.waitForFunction(([selector, wanted]) => [...document.querySelectorAll(selector ?? '')].every((row) => (row.getAttribute('data-id') ?? '').includes(wanted ?? '')), [rows, id]);
  assert.ok(page.url().includes('sort=name') && page.url().includes(`q=${encodeURIComponent(id)}`));
  await page.locator('#search').fill('no machine has this name');
  await page.getByRole('button', { name: 'Clear the filters' }).click();
  await page.locator(rows).first().waitFor();
  await page.reload();
  await page.locator('th[data-sort="name"][aria-sort="ascending"]').waitFor();
  await page.context().close();
});

test('the machine screen draws its history and grows by live points', async () => {
  const { page, faults } = await open(browser, hub.url);
  const id = await page.locator(rows).filter({ has: page.locator('.status[data-status="up"]') }).first().getAttribute('data-id', { timeout: PATIENCE_MS });
  await page.locator(`tr[data-id="${id}"] .machine-link`).click();
  await page.waitForURL(/\/machines\//);
  await page.getByRole('heading', { level: 1, name: id ?? '' }).waitFor();
  const chart = page.locator('[data-panel="cpu"] .plot');
  await page.waitForFunction(() => /now \d/.test(document.querySelector('[data-panel="cpu"] .plot')?.getAttribute('aria-label') ?? ''), undefined, { timeout: PATIENCE_MS });
  const painted = await chart.locator('canvas').evaluate((canvas: HTMLCanvasElement) => new Set(canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data).size);
  assert.ok(painted > 8, 'the canvas holds more than a frame');
  await settles(() => page.locator('[data-panel="cpu"] .tier').innerText(), /^raw/);
  const legend = page.locator('[data-panel="network"] .legend, [data-panel="cpu"] .legend').last();
  const before = await legend.innerText();
  await page.waitForFunction((text) => [...document.querySelectorAll<HTMLElement>('[data-panel="network"] .legend, [data-panel="cpu"] .legend')].at(-1)?.innerText !== text, before, { timeout: PATIENCE_MS });
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('a drag zooms into the history and a double click goes back', async () => {
  const { page } = await open(browser, hub.url);
  const id = await firstMachine(page);
  await page.goto(`${hub.url}/machines/${encodeURIComponent(id)}?range=24h`);
  const over = page.locator('[data-panel="cpu"] .u-over');
  await over.waitFor({ timeout: PATIENCE_MS });
  await settles(() => page.locator('[data-panel="cpu"] .tier').innerText(), /min–max/);
  const box = await over.boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + box.width * 0.97, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.99, box.y + 60, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/from=\d+&to=\d+/);
  await page.waitForFunction(() => document.querySelector('[data-panel="cpu"] .tier')?.textContent?.startsWith('raw'), undefined, { timeout: PATIENCE_MS });
  await page.locator('[data-panel="cpu"] .chart-body').dblclick({ position: { x: 200, y: 60 } });
  await page.waitForURL(/range=24h/);
  await page.context().close();
});

test('a chart can be read as a table', async () => {
  const { page } = await open(browser, hub.url);
  const id = await firstMachine(page);
  await page.goto(`${hub.url}/machines/${encodeURIComponent(id)}?range=6h`);
  await page.locator('[data-panel="memory"] .u-over').waitFor({ timeout: PATIENCE_MS });
  await page.getByRole('button', { name: 'Memory: view as table' }).click();
  await page.locator('[data-panel="memory"] .chart-table tbody tr').first().waitFor();
  await page.context().close();
});

test('the theme follows the system, then the choice, which outlives a reload', async () => {
  const { page } = await open(browser, hub.url, { colorScheme: 'light' });
  const theme = (): Promise<string | undefined> => page.evaluate(() => document.documentElement.dataset.theme);
  await settles(theme, 'light');
  await page.getByRole('button', { name: 'Switch to the dark theme' }).click();
  await settles(theme, 'dark');
  await page.reload();
  await settles(theme, 'dark');
  await page.context().close();
});

test('the keyboard reaches screens, rows and help', async () => {
  const { page } = await open(browser, hub.url);
  await firstMachine(page);
  await page.keyboard.press('?');
  await page.getByRole('heading', { name: 'Keyboard' }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('a');
  await page.waitForURL(/\/alerts$/);
  await page.keyboard.press('g');
  await page.keyboard.press('f');
  await page.locator(rows).first().waitFor();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/machines\//);
  await page.context().close();
});

test('a pause stops the screen and says so', async () => {
  const { page } = await open(browser, hub.url);
  await firstMachine(page);
  await page.keyboard.press('Space');
  await settles(() => page.locator('.chip').innerText(), 'Paused');
  await page.keyboard.press('Space');
  await settles(() => page.locator('.chip').innerText(), 'Live');
  await page.context().close();
});

test('the alerts come as fragments of the hub, with local times', async () => {
  const { page, faults } = await open(browser, `${hub.url}/alerts`);
  const body = page.locator('tbody[hx-get*="active"]');
  await page.waitForFunction(() => {
    const list = document.querySelector<HTMLTableSectionElement>('tbody[hx-get*="active"]');
    return list !== null && (list.rows.length > 0 || list.closest('section')?.querySelector('[data-note]')?.textContent === list.dataset.empty);
  }, undefined, { timeout: PATIENCE_MS });
  for (const row of await body.locator('tr').all()) assert.equal(await row.locator('td .severity svg').count(), 1);
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('an alert can be silenced and its silence ended', { skip: givenUrl !== undefined }, async () => {
  const { page, faults } = await open(browser, `${hub.url}/alerts`);
  const cell = page.locator('[data-standing][data-machine="db-1"][data-rule="disk-almost-full"]');
  await cell.getByRole('button', { name: 'Silence: disk-almost-full on db-1' }).click({ timeout: PATIENCE_MS });
  await page.getByRole('dialog').getByLabel('Who').fill('ana');
  await page.getByRole('dialog').getByRole('button', { name: 'Silence' }).click();
  await cell.getByText('silenced').waitFor({ timeout: PATIENCE_MS });
  await cell.getByRole('button', { name: /^End silence/ }).click();
  await cell.getByText('active').waitFor({ timeout: PATIENCE_MS });
  await settles(() => page.getByRole('dialog').count(), 0);
  assert.deepEqual(faults, []);
  await page.context().close();
});

test('a machine that does not exist is said to be missing', async () => {
  const { page } = await open(browser, `${hub.url}/machines/no-such-machine-anywhere`);
  await page.getByText('No machine has this name').waitFor({ timeout: PATIENCE_MS });
  await page.context().close();
});

test('the server sends the strict policy with the page', async () => {
  const response = await fetch(hub.url);
  const policy = response.headers.get('content-security-policy') ?? '';
  assert.match(policy, /script-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
});

test('on a phone every control is at least 44 px high', async () => {
  const { page } = await open(browser, hub.url, { viewport: { width: 390, height: 844 }, hasTouch: true });
  await firstMachine(page);
  const small = await page.evaluate(() => [...document.querySelectorAll<HTMLElement>('.topbar button, .topbar input, .nav a, .toolbar button, .toolbar select')]
    .filter((node) => node.offsetParent !== null || getComputedStyle(node).position === 'fixed')
    .map((node) => ({ text: node.innerText, height: node.getBoundingClientRect().height }))
    .filter(({ height }) => height > 0 && height < 44));
  assert.deepEqual(small, []);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
  const widths = await page.locator(rows).first().evaluate((row) => ['.spark', '.col-memory', '.col-disk'].map((part) => row.querySelector(part)?.getBoundingClientRect().width ?? 0));
  assert.ok(widths.every((width) => width > 80), `the card's fields are ${widths.join(', ')} px wide`);
  await page.context().close();
});

test('going back from a machine finds the fleet where it was left', async () => {
  const { page } = await open(browser, hub.url, { viewport: { width: 1400, height: 400 } });
  await firstMachine(page);
  await page.evaluate(() => window.scrollTo(0, 300));
  // The driver scrolls the row into view before it clicks: where the fleet was left is what the click saw.
  await page.evaluate(() => document.addEventListener('click', () => { document.body.dataset.leftAt = String(window.scrollY); }, { capture: true, once: true }));
  const id = await page.locator(rows).nth(Math.min(1, (await page.locator(rows).count()) - 1)).getAttribute('data-id');
  await page.locator(`tr[data-id="${id}"] .machine-link`).click();
  await page.waitForURL(/\/machines\//);
  await page.getByRole('heading', { level: 1, name: id ?? '' }).waitFor();
  const left = await page.evaluate(() => window.scrollY);
  assert.equal(left, 0);
  await page.goBack();
  await page.waitForFunction(() => Math.abs(window.scrollY - Number(document.body.dataset.leftAt)) <= 1, undefined, { timeout: PATIENCE_MS });
  await page.context().close();
});
