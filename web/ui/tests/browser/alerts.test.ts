// Alerts in a real browser: one that fires, is silenced, speaks again, and stands in the history once its rule is gone.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
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

test('all is clear only once the hub has said so, and only the list that is shown is asked for', () => on.visit('/alerts', async (page) => {
  const note = (list: string): Locator => page.locator(`[data-shown="${list}"] [data-note]`);
  const asked: string[] = [];
  const answers: (() => Promise<void>)[] = [];
  const alerts = page.url();
  // What the page has asked so far is not what is held back.
  await page.goto('about:blank');
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await page.route(/\/fragments\/alerts/, (route) => void answers.push(() => route.fulfill({ status: 200, contentType: 'text/html', headers: { 'x-total-count': '0' }, body: '' })));
  const answer = async (): Promise<void> => {
    await settles(async () => answers.length, 1);
    await answers.pop()?.();
  };
  await page.goto(alerts);
  await settles(async () => answers.length, 1);
  assert.equal(await note('active').textContent(), 'Looking…');
  await answer();
  await settles(() => note('active').textContent(), 'All clear. No alert is firing.');
  assert.equal(asked.filter((path) => path.startsWith('/api/v1/alerts/history')).length, 0);
  await page.getByRole('button', { name: 'History', exact: true }).click();
  assert.equal(await note('history').textContent(), 'Looking…');
  await answer();
  await settles(() => note('history').textContent(), 'Nothing has been resolved yet.');
  await settles(async () => asked.filter((path) => path.startsWith('/api/v1/alerts/history')).length, 1);
  await page.unroute(/\/fragments\/alerts/);
}));

/** Plays the hub for 1,100 alerts: those of `q` alone where it is a machine's name; what was asked, in order. */
async function manyAlerts(page: Page): Promise<URLSearchParams[]> {
  const asked: URLSearchParams[] = [];
  const row = (index: number): string => `<tr data-severity="info"><td>info</td><td><a href="/machines/m-${index}">m-${index}</a></td><td>r</td><td>1</td><td></td><td></td></tr>`;
  const all = Array.from({ length: 1_100 }, (_, index) => index);
  await page.route(/\/fragments\/alerts/, (route) => {
    const query = new URL(route.request().url()).searchParams;
    asked.push(query);
    const [q, limit, start] = [query.get('q') ?? '', Number(query.get('limit')), Number(query.get('cursor') ?? '')];
    const found = all.filter((index) => q === '' || `m-${index}` === q);
    const rest = found.length > start + limit ? { 'x-next-cursor': String(start + limit) } : {};
    const headers: Record<string, string> = query.get('state') === 'active' ? { 'x-total-count': String(found.length) } : rest;
    return route.fulfill({ status: 200, contentType: 'text/html', headers, body: found.slice(start, start + limit).map(row).join('') });
  });
  return asked;
}

test('of many alerts the list says how many there are, shows more, and finds each', () => on.visit('/settings', async (page) => {
  const asked = await manyAlerts(page);
  await page.goto(`${on.url}/alerts`);
  const panel = page.locator('[data-shown="active"] section').first();
  await panel.getByText('100 of 1,100').waitFor();
  await panel.getByRole('button', { name: 'Show more' }).click();
  await panel.getByText('600 of 1,100').waitFor();
  await panel.getByRole('button', { name: 'Show more' }).click();
  await settles(() => panel.locator('tbody tr').count(), 1_100);
  await settles(() => panel.getByRole('button', { name: 'Show more' }).isVisible(), false);
  await page.getByLabel('Machine, rule or any word').fill('m-1099');
  await settles(() => panel.locator('tbody td:nth-child(2)').allInnerTexts().then(String), 'm-1099');
  assert.equal(asked.at(-1)?.get('q'), 'm-1099');
  assert.ok(asked.every((query) => query.get('state') === 'active'));
}));

test('the history goes on to its end, held still while one reads on', () => on.visit('/settings', async (page) => {
  await manyAlerts(page);
  await page.goto(`${on.url}/alerts?list=history`);
  const panel = page.locator('[data-shown="history"] section').first();
  await panel.getByText('newest 100', { exact: true }).waitFor();
  const more = panel.getByRole('button', { name: 'Show more of the last 7 days' });
  await more.click();
  await panel.getByText('newest 600', { exact: true }).waitFor();
  await panel.getByText(/^as of \d\d:\d\d:\d\d$/).waitFor();
  await more.click();
  await panel.getByText('1,100', { exact: true }).waitFor();
  await settles(() => more.isVisible(), false);
  const names = await panel.locator('tbody td:nth-child(2)').allInnerTexts();
  assert.equal(new Set(names).size, 1_100);
  await panel.getByRole('button', { name: 'Newest' }).click();
  await panel.getByText('newest 100', { exact: true }).waitFor();
  await settles(() => panel.getByText(/^as of/).isVisible(), false);
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
    await page.getByRole('button', { name: 'History', exact: true }).click();
    await page.locator('tbody[hx-get*="resolved"] tr', { hasText: rule }).first().waitFor();
    assert.equal(new URL(page.url()).search, '?list=history');
  });
});

/** A rule of this test's own whose alerts fire while `look` looks. */
async function withRule(name: string, machines: string, look: (rule: string) => Promise<void>): Promise<void> {
  const rule = `${name}-${process.pid}`;
  await makeRule(on, rule, machines);
  try {
    await look(rule);
  } finally {
    await deleteRule(on, rule);
  }
}

const active = 'tbody[hx-get*="active"] tr';

test('the lists are filtered by words and severity, which the address keeps', () => withRule('sifted', '*', async (rule) => {
  await on.visit('/alerts', async (page) => {
    const rows = page.locator(`${active}:visible`);
    await page.locator(active, { hasText: rule }).first().waitFor();
    await page.getByLabel('Machine, rule or any word').fill(rule);
    const strangers = (): Promise<number> => rows.filter({ hasNotText: rule }).count();
    await settles(async () => (await rows.count()) > 0 && (await strangers()) === 0, true);
    await page.getByRole('button', { name: 'Info', exact: true }).click();
    await settles(() => rows.count(), 0);
    await page.getByText('No row is like that.').first().waitFor();
    await page.getByRole('button', { name: 'Critical', exact: true }).click();
    await page.waitForURL(new RegExp(`q=${rule}&severity=critical`));
    await page.reload();
    await settles(async () => (await rows.count()) > 0 && (await strangers()) === 0, true);
  });
}));

test('a rule that fires often is among the noisiest', () => withRule('noisy', '*', async (rule) => {
  const fired = async (): Promise<number> => (await on.ask<{ alerts: { rule: string }[] }>('/alerts/history?limit=1000')).alerts.filter((one) => one.rule === rule).length;
  await settles(async () => (await fired()) > 1, true);
  await on.visit('/alerts?list=history', async (page) => {
    const panel = page.locator('[data-noisy]');
    await panel.locator('tbody tr').first().waitFor();
    const counts = (await panel.locator('tbody [data-label="Alerts"]').allInnerTexts()).map(Number);
    assert.ok(counts.every((count, index) => count > 1 && count <= (counts[index - 1] ?? Infinity)), `most alerts first: ${counts.join(', ')}`);
    await settles(() => panel.getByRole('link', { name: rule }).count(), 1);
  });
}));

test('the list of silences says what each fits, and ends one', () => withRule('hushed', '*', async (rule) => {
  const { id } = await on.ask<{ id: string }>('/silences', { method: 'POST', body: JSON.stringify({ matchers: { rules: [rule] }, for_s: 3600, author: 'ana', comment: 'known' }) });
  await on.visit('/alerts?list=silences', async (page) => {
    const row = page.locator('[data-silences] tbody tr', { hasText: `rule ${rule}` });
    await row.getByText('ana').waitFor();
    await page.getByRole('button', { name: /^Active/ }).click();
    await page.locator(`[data-standing="silenced"][data-rule="${rule}"]`).first().waitFor();
    await page.getByRole('button', { name: /^Silences/ }).click();
    await row.getByRole('button', { name: `End the silence of rule ${rule}` }).click();
    await settles(() => row.count(), 0);
    await page.getByRole('button', { name: /^Active/ }).click();
    await page.locator(`[data-standing="active"][data-rule="${rule}"]`).first().waitFor();
    const { silences } = await on.ask<{ silences: { id: string; state: string }[] }>('/silences');
    assert.ok(silences.every((one) => one.id !== id || one.state === 'ended'));
  });
}));

test('keys silence and acknowledge the alert that has the focus', () => withRule('keyed', '*', async (rule) => {
  await on.visit(`/alerts?q=${rule}`, async (page) => {
    const row = page.locator(`${active}:visible`, { hasText: rule }).last();
    await row.getByRole('button', { name: /^Silence/ }).waitFor();
    await row.getByRole('link').first().focus();
    const machine = await row.locator('[data-standing]').getAttribute('data-machine');
    await page.keyboard.press('s');
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('heading', { name: 'Silence this alert' }).waitFor();
    await dialog.getByText(`${rule} on ${machine}`).waitFor();
    await page.keyboard.press('Escape');
    await settles(() => dialog.count(), 0);
    await page.keyboard.press('a');
    await dialog.getByLabel('Who').fill('ana');
    await dialog.getByRole('button', { name: 'Acknowledge' }).click();
    const cell = page.locator(`[data-standing][data-machine="${machine}"][data-rule="${rule}"]`);
    await cell.getByText('silenced').waitFor();
    await page.getByRole('button', { name: /^Silences/ }).click();
    await page.locator('[data-silences] tbody tr', { hasText: rule }).getByText('seen, being worked on').waitFor();
    await page.getByRole('button', { name: /^Active/ }).click();
    await cell.getByRole('button', { name: /^End silence/ }).click();
    await cell.getByText('active').waitFor();
  });
}));

test('a key never silences another alert than the one that has the focus', () => withRule('asked', '*', async (rule) => {
  await on.visit(`/alerts?q=${rule}`, async (page) => {
    const silenceable = page.locator(`${active}:has([data-act="silence"])`, { hasText: rule });
    const row = silenceable.last();
    const machine = await row.locator('[data-standing]').getAttribute('data-machine');
    await on.ask('/silences', { method: 'POST', body: JSON.stringify({ matchers: { rules: [rule], machines: [machine] }, for_s: 3600, author: 'ana', comment: '' }) });
    const silenced = page.locator(`${active}:has([data-machine="${machine}"][data-standing="silenced"])`);
    await silenced.getByRole('link').first().focus();
    await page.keyboard.press('s');
    await page.keyboard.press('a');
    assert.equal(await page.getByRole('dialog').count(), 0);
    await page.evaluate(() => {
      if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    });
    const first = await silenceable.first().locator('[data-standing]').getAttribute('data-machine');
    await page.keyboard.press('s');
    await page.getByRole('dialog').getByText(`${rule} on ${first}`).waitFor();
  });
}));

test('the alert history is saved as a file', () => on.visit('/alerts?list=history', async (page) => {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'The last 30 days as CSV' }).click()]);
  assert.match(download.suggestedFilename(), /^alerts-\d{4}-\d\d-\d\d\.csv$/);
  assert.match(await readFile(await download.path(), 'utf8'), /^id,rule,machine,severity,/);
}));
