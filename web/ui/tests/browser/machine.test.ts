// One machine in a real browser: charts with their history, live points, zoom, pan, pinned times, tables, typed ranges, and what happened to it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { deleteRule, firstMachine, makeRule, MINUTE_PATIENCE_MS, rows, settles, someMachine, stage, type Stage } from './harness.ts';

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

test('the collector of a machine is asked from its page', () => on.visit(pathOf('this-machine'), async (page) => {
  await page.getByRole('button', { name: 'Collector' }).click();
  await page.getByRole('button', { name: 'Measure now' }).click();
  await page.getByText('Asked. It measures now.').waitFor();
}));

/** When the samples of a chart were measured, in milliseconds, as its table has them. */
const tabled = (page: Page, panel: string): Promise<number[]> =>
  page.locator(`[data-panel="${panel}"] .chart-table tbody time`).evaluateAll((times) => times.map((time) => Date.parse(time.getAttribute('datetime') ?? '')).sort((a, b) => a - b));

for (const [what, panel, metric, pick] of [
  ['a machine', 'load', 'system.cpu.load_average.1m', (on: Stage) => someMachine(on)],
  ['a payment processor, of whose series one changes at a time', 'payments', 'payment.amount', async (on: Stage) => (await on.ask<{ machines: { id: string }[] }>('/machines?limit=1000')).machines.find(({ id }) => id.includes('card-network'))?.id ?? null],
] as const) {
  test(`no sample of ${what} is missing or doubled where the history ends and live points begin`, async (t) => {
    const id = await pick(on);
    if (id === null) return t.skip('none is here');
    await on.visit(pathOf(id, '?range=5m'), async (page) => {
      const box = page.locator(`[data-panel="${panel}"]`);
      await box.locator('.u-over').waitFor();
      const openedAt = Date.now();
      await box.getByRole('button', { name: /view as table/ }).click();
      const [from, to] = [openedAt - 10_000, openedAt + 10_000];
      await settles(async () => Math.max(...(await tabled(page, panel))) > to + 10_000, true, MINUTE_PATIENCE_MS);
      const within = (times: readonly number[]): string => times.filter((at) => from < at && at < to).join(' ');
      const kept = async (): Promise<string> => {
        const { series } = await on.ask<{ series: { t: number[] }[] }>(`/machines/${encodeURIComponent(id)}/history?metric=${metric}&from=now-5m&max_points=10000`);
        return within([...new Set(series.flatMap((one) => one.t))].sort((a, b) => a - b));
      };
      await settles(async () => {
        const [shown, all] = [within(await tabled(page, panel)), await kept()];
        return shown === all && all.includes(' ') ? 'the same' : `shown ${shown}, kept ${all}`;
      }, 'the same', MINUTE_PATIENCE_MS);
    });
  });
}

test('without its history a machine is shown from when the page was opened, and whole once the history is back', async () => {
  await on.visit('/', async (page) => {
    const history = /\/history\?/;
    await page.route(history, (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ title: 'Unavailable', status: 503, code: 'history_unavailable', detail: 'history is unavailable' }) }));
    const id = await someMachine(on);
    await page.goto(`${on.url}${pathOf(id, '?range=5m')}`);
    const box = page.locator('[data-panel="load"]');
    await settles(() => box.locator('.tier').innerText(), 'live, without history');
    assert.equal(await box.locator('.tier').getAttribute('title'), 'History is unavailable.');
    await box.getByRole('button', { name: /view as table/ }).click();
    await settles(async () => (await tabled(page, 'load')).length > 3, true);
    await page.unroute(history);
    await settles(() => box.locator('.tier').innerText(), /^raw/, MINUTE_PATIENCE_MS);
  }, { isTroubled: true });
});

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

const overOf = async (page: Page, panel: string): Promise<{ x: number; y: number; width: number }> => {
  const over = page.locator(`[data-panel="${panel}"] .u-over`);
  await over.waitFor();
  const box = await over.boundingBox();
  assert.ok(box);
  return { x: box.x, y: box.y + 60, width: box.width };
};

test('a click pins a time on all charts until Escape lets it go', async () => {
  await on.visit(pathOf(await someMachine(on), '?range=5m'), async (page) => {
    await page.locator('[data-panel="memory"] .u-over').waitFor();
    const at = await overOf(page, 'cpu');
    const readout = (panel: string): Promise<string> => page.locator(`[data-panel="${panel}"] .readout`).innerText();
    await page.mouse.move(at.x + at.width * 0.5, at.y);
    await settles(() => readout('memory'), /\d:\d\d/);
    assert.doesNotMatch(await readout('memory'), /pinned/);
    await page.mouse.click(at.x + at.width * 0.5, at.y);
    await settles(() => readout('cpu'), /pinned$/);
    await settles(() => readout('memory'), /pinned$/);
    await page.mouse.move(at.x + at.width * 0.2, at.y);
    await page.mouse.move(5, 5);
    assert.match(await readout('cpu'), /pinned$/);
    await page.keyboard.press('Escape');
    await settles(() => readout('memory'), '');
  });
});

test('a long press of the finger pins, too', async () => {
  await on.visit(pathOf(await someMachine(on), '?range=5m'), async (page) => {
    const at = await overOf(page, 'cpu');
    const readout = page.locator('[data-panel="cpu"] .readout');
    const touch = (type: string): Promise<void> => page.locator('[data-panel="cpu"] .plot').evaluate((node, [kind, x, y]) => void node.dispatchEvent(new PointerEvent(kind as string, { pointerType: 'touch', button: 0, clientX: x as number, clientY: y as number, bubbles: true })), [type, at.x + at.width / 2, at.y]);
    await touch('pointerdown');
    await settles(() => readout.innerText(), /pinned$/);
    await touch('pointerup');
    assert.match(await readout.innerText(), /pinned$/);
  }, { viewport: { width: 390, height: 844 }, hasTouch: true });
});

test('a drag with shift moves the range, and a double click goes back', async () => {
  await on.visit(pathOf(await someMachine(on), '?range=15m'), async (page) => {
    const at = await overOf(page, 'cpu');
    await page.keyboard.down('Shift');
    await page.mouse.move(at.x + at.width * 0.2, at.y);
    await page.mouse.down();
    await page.mouse.move(at.x + at.width * 0.6, at.y, { steps: 5 });
    await page.mouse.up();
    await page.keyboard.up('Shift');
    await page.waitForURL(/from=\d+&to=\d+/);
    const query = new URL(page.url()).searchParams;
    const [from, to] = [Number(query.get('from')), Number(query.get('to'))];
    assert.ok(Math.abs(to - from - 15 * 60_000) < 1000, `${to - from} ms are shown`);
    assert.ok(to < Date.now() - 3 * 60_000, 'it went into the past');
    await page.locator('[data-panel="cpu"] .chart-body').dblclick({ position: { x: 200, y: 60 } });
    await page.waitForURL(/range=15m/);
  });
});

test('arrows lead to the next machine, but on a chart they move the crosshair', async () => {
  const id = await someMachine(on);
  await on.visit(pathOf(id, '?range=5m'), async (page) => {
    const plot = page.locator('[data-panel="cpu"] .plot');
    await settles(async () => (await plot.getAttribute('aria-label')) ?? '', /now \d/);
    await plot.focus();
    await page.keyboard.press('ArrowLeft');
    await settles(() => page.locator('[data-panel="memory"] .readout').innerText(), /\d:\d\d/);
    await page.keyboard.press('Enter');
    await settles(() => page.locator('[data-panel="memory"] .readout').innerText(), /pinned$/);
    await plot.blur();
    await page.getByRole('link', { name: 'Next machine' }).waitFor();
    await page.keyboard.press('ArrowRight');
    await settles(() => page.getByRole('heading', { level: 1, name: id, exact: true }).count(), 0);
    await page.getByRole('link', { name: 'Previous machine' }).waitFor();
    await page.keyboard.press('ArrowLeft');
    await page.getByRole('heading', { level: 1, name: id, exact: true }).waitFor();
  });
});

test('the processes of an instant before the page was opened are those that the hub has kept', async () => {
  await settles(async () => (await on.ask<{ time: number | null }>('/machines/this-machine/processes?at=now-2m')).time !== null, true, MINUTE_PATIENCE_MS);
  await on.visit(pathOf('this-machine', '?range=15m'), async (page) => {
    const [plot, top] = [page.locator('[data-panel="cpu"] .plot'), page.locator('[data-panel="cpu"] .chart-top')];
    await settles(async () => (await plot.getAttribute('aria-label')) ?? '', /now \d/);
    await settles(() => top.innerText(), /^Top processes: \S+ \d/);
    const box = await plot.locator('.u-over').boundingBox();
    assert.ok(box !== null);
    const asked = page.waitForResponse((response) => /\/processes\?at=\d/.test(response.url()));
    const left = box.x + (box.width * 13) / 15;
    await page.mouse.move(left - 5, box.y + 60);
    await page.mouse.move(left, box.y + 60);
    const kept = (await (await asked).json()) as { time: number; by_cpu: { name: string }[]; by_memory: { name: string }[] };
    const first = `: ${kept.by_cpu[0]?.name ?? 'none'} `;
    await settles(async () => { const text = await top.innerText(); return /^Top processes at \d\d:\d\d:\d\d: /.test(text) && text.includes(first); }, true);
    assert.ok(Math.abs(kept.time - (Date.now() - 120_000)) < 150_000, `${kept.time} is two minutes ago`);
    const names = page.locator('.process-tables .panel').nth(1).locator('tbody th');
    assert.deepEqual(await names.allInnerTexts(), kept.by_memory.map(({ name }) => name));
    await page.mouse.move(5, 5);
    await settles(() => top.innerText(), /^Top processes: \S+ \d/);
  });
});

test('a range is picked from one date to another, and one that ends before it begins is not', async () => {
  await on.visit(pathOf(await someMachine(on)), async (page) => {
    await page.getByRole('button', { name: 'From one date to another' }).click();
    const [from, to] = [page.getByLabel('From', { exact: true }), page.getByLabel('To', { exact: true })];
    await settles(async () => Date.parse(await to.inputValue()) - Date.parse(await from.inputValue()), 3_600_000);
    const begin = await from.inputValue();
    await from.fill(await to.inputValue());
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.getByRole('alert').filter({ hasText: 'must begin before it ends' }).waitFor();
    await from.fill(begin);
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.waitForURL((url) => url.searchParams.get('from') === String(Date.parse(begin)));
    await page.getByRole('button', { name: 'Reset zoom' }).waitFor();
    await settles(() => page.locator('#range-dates').isVisible(), false);
  }, { timezoneId: 'UTC' });
});

test('a range is typed, and what is none is said to be', async () => {
  await on.visit(pathOf(await someMachine(on)), async (page) => {
    const field = page.getByLabel('Another range');
    await field.fill('some time ago');
    await field.press('Enter');
    await settles(() => field.getAttribute('aria-invalid'), 'true');
    await field.fill('3h');
    await field.press('Enter');
    await page.waitForURL(/range=3h/);
    await field.fill('now-2h to now-1h');
    await field.press('Enter');
    await page.waitForURL(/from=\d+&to=\d+/);
    await page.getByRole('button', { name: 'Reset zoom' }).waitFor();
    await page.keyboard.press('Escape');
  });
});

test('the events of a machine tell of its alerts', async () => {
  const [rule, machine] = [`told-${process.pid}`, await someMachine(on)];
  await makeRule(on, rule, machine);
  try {
    await settles(async () => (await on.ask<{ alerts: { rule: string }[] }>(`/alerts/history?machine=${encodeURIComponent(machine)}&limit=200`)).alerts.some((one) => one.rule === rule), true);
    await on.visit(pathOf(machine, '?range=15m'), async (page) => {
      await page.locator('[data-panel="events"] .event', { hasText: rule }).getByText('critical').waitFor();
      await page.locator('[data-panel="days"]').getByText(/%|not over yet/).waitFor();
    });
  } finally {
    await deleteRule(on, rule);
  }
});

test('a payment processor has charts of its payments', async (context) => {
  const { machines } = await on.ask<{ machines: { id: string }[] }>('/machines?limit=1000');
  const processor = machines.find(({ id }) => id.endsWith('card-network'));
  if (processor === undefined) return context.skip('the hub under test has no payments');
  await on.visit(pathOf(processor.id, '?range=5m'), async (page) => {
    for (const panel of ['payments', 'payments-failed', 'payments-latency']) {
      await settles(async () => (await page.locator(`[data-panel="${panel}"] .plot`).getAttribute('aria-label')) ?? '', /now \d/);
    }
    await settles(() => page.locator('[data-panel="cpu"]').count(), 0);
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
  await settles(() => page.locator('[data-panel="events"]').isVisible(), false);
}, { isTroubled: true }));
