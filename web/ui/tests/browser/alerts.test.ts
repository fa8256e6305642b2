// Alerts in a real browser: one that fires, is silenced, speaks again, and stands in the history once its rule is gone.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
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

test('all is clear only once the hub has said so', () => on.visit('/alerts', async (page) => {
  const notes = page.locator('[data-note]');
  const answers: (() => Promise<void>)[] = [];
  const alerts = page.url();
  // What the page has asked so far is not what is held back.
  await page.goto('about:blank');
  await page.route(/\/fragments\/alerts/, (route) => void answers.push(() => route.fulfill({ status: 200, contentType: 'text/html', body: '' })));
  await page.goto(alerts);
  await settles(async () => answers.length, 2);
  assert.deepEqual((await notes.allTextContents()).filter((text) => text !== ''), ['Looking…', 'Looking…']);
  await Promise.all(answers.map((answer) => answer()));
  await settles(async () => (await notes.allTextContents()).join(' '), 'All clear. No alert is firing. Nothing has been resolved yet.');
  await page.unroute(/\/fragments\/alerts/);
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

test('the alert history is saved as a file', () => on.visit('/alerts?list=history', async (page) => {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'The last 30 days as CSV' }).click()]);
  assert.match(download.suggestedFilename(), /^alerts-\d{4}-\d\d-\d\d\.csv$/);
  assert.match(await readFile(await download.path(), 'utf8'), /^id,rule,machine,severity,/);
}));
