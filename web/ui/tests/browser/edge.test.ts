// The public edge in a browser, with its script and without: the same words either way, live, and on a phone. Needs the program: EDGE_PROGRAM.

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import WebSocket from 'ws';
import { violations } from './axe.ts';
import { launch, open } from './harness.ts';

const program = process.env.EDGE_PROGRAM;
const options = { skip: program === undefined ? 'EDGE_PROGRAM names no sysmonstm-edge' : false };
const TOKEN = 'a-token-that-nobody-guesses';

type Message = Record<string, unknown>;

/** An edge on a free port, and the hub's side of it. */
interface Edge {
  url: string;
  tell(message: Message): Promise<void>;
  stop(): Promise<void>;
}

async function startEdge(): Promise<Edge> {
  assert.ok(program);
  const child: ChildProcess = spawn(program, [], { env: { EDGE_TOKEN: TOKEN, EDGE_HTTP_ADDRESS: '127.0.0.1:0' }, stdio: ['ignore', 'pipe', 'inherit'] });
  assert.ok(child.stdout);
  const lines = createInterface(child.stdout);
  const [line] = (await once(lines, 'line')) as [string];
  const url = (JSON.parse(line) as { page: string }).page;
  const hub = new WebSocket(`${url.replace('http', 'ws')}publish`, { headers: { authorization: `Bearer ${TOKEN}` } });
  await once(hub, 'open');
  return {
    url,
    tell: async (message) => {
      const acknowledged = once(hub, 'message');
      hub.send(JSON.stringify(message));
      await acknowledged;
    },
    stop: async () => {
      hub.terminate();
      const exited = once(child, 'exit');
      child.kill();
      await exited;
    },
  };
}

const chart = (shift: number): (number | null)[] => Array.from({ length: 60 }, (_, at) => (at === 30 ? null : Math.round((0.4 + 0.3 * Math.sin(at / 7 + shift)) * 1000) / 1000));

/** Ninety days up to the snapshot's, of which the machine was heard all of most. */
const days = (shift: number): Message => ({ last: 20413, shares: Array.from({ length: 90 }, (_, at) => (at < 20 + shift ? null : at % 17 === 3 ? 962 : at === 60 ? 410 : 1000)) });
const MINUTE_MS = 60_000;
const outage = (key: number, daysAgo: number, minutes: number | null): Message => ({ key, from: 1763700000000 - daysAgo * 86_400_000, to: minutes === null ? null : 1763700000000 - daysAgo * 86_400_000 + minutes * MINUTE_MS });

function snapshot(seq: number, names: string[]): Message {
  const machines = names.map((name, key) => ({
    name,
    now: { key, status: 'up', last_seen: null, values: [0.245, 1.5e6, null] },
    charts: [chart(key), chart(key).map((value) => (value === null ? null : value * 1e6)), []],
    days: key === 2 ? null : days(key),
  }));
  const metrics = [{ label: 'CPU', kind: 'ratio' }, { label: 'Traffic', kind: 'bytes_per_second' }, { label: 'Uptime', kind: 'seconds' }];
  return { type: 'snapshot', protocol: 1, seq, time: 1763700000000, title: 'Our machines', interval_ms: 1000, minute: 100, metrics, machines, incidents: { is_complete: true, newest: names.length > 1 ? [outage(1, 30, 90)] : [] } };
}

const down = (seq: number): Message => ({ type: 'update', seq, time: 1763700000000, machines: [{ key: 1, status: 'down', last_seen: 1763699700000, values: [0.95, 0, 86400] }], step: null });
const past = (seq: number): Message => ({
  type: 'update', seq, time: 1763700000000, machines: [], step: null,
  days: [{ key: 0, days: { last: 20414, shares: [null, 1000, 949, 950, 994, 995, 3] } }, { key: 1, days: { last: 20414, shares: [] } }],
  incidents: { is_complete: false, newest: [outage(1, 0, null), outage(0, 3, 12), outage(1, 30, 90)] },
});
const step = (seq: number): Message => ({ type: 'update', seq, time: 1763700060000, machines: [], step: { minute: 101, points: [[0.75, null, 3], [0.25, 4e6, 5]] } });

/** Everything that a person or a screen reader gets, but for the age. */
const said = (page: Page): Promise<string[]> =>
  page.locator('body').evaluate((body) => {
    const clone = body.cloneNode(true) as Element;
    for (const aged of clone.querySelectorAll('.age, .banner')) aged.remove();
    const words = (clone.textContent ?? '').split(/\s+/).filter((word) => word !== '');
    const drawn = Array.from(clone.querySelectorAll('svg, path, rect')).map((shape) => ['aria-label', 'd', 'width', 'data-level'].map((name) => shape.getAttribute(name)).join('|'));
    return [document.title, ...words, ...drawn];
  });

const contentWithin = async (page: Page): Promise<void> => {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
};

let browser: Browser;
before(async () => {
  if (program !== undefined) browser = await launch();
});
after(async () => {
  if (program !== undefined) await browser.close();
});

test('the page is live, and says what it says without a script', options, async () => {
  const edge = await startEdge();
  try {
    await edge.tell(snapshot(1, ['Front', 'Back']));
    const { page, faults } = await open(browser, edge.url);
    await edge.tell(down(2));
    await page.locator('.machine[data-status="down"]').waitFor();
    const before = await page.locator('.machine').nth(1).locator('.line').first().getAttribute('d');
    await edge.tell(step(3));
    await page.waitForFunction((path) => document.querySelectorAll('.machine')[1]?.querySelector('.line')?.getAttribute('d') !== path, before);
    await edge.tell(past(4));
    await page.locator('.incidents li').nth(2).waitFor();
    const live = await said(page);
    const plain = await open(browser, edge.url, { javaScriptEnabled: false });
    const withoutScript = await said(plain.page);
    assert.deepEqual(live, withoutScript);
    assert.ok(live.includes('Our machines: 1 of 2 up, 1 down'), live[0]);
    assert.equal(await plain.page.locator('.past .range').first().textContent(), '17 Nov to 22 Nov; less on 22 Nov (0.3 %), 20 Nov (99.4 %), 19 Nov (95 %) and 1 more day');
    assert.equal(await plain.page.locator('.incidents li').first().textContent(), 'Back was down from 21 Nov 04:40 UTC and still is');
    assert.deepEqual([...faults, ...plain.faults], []);
    await page.context().close();
    await plain.page.context().close();
  } finally {
    await edge.stop();
  }
});

test('the day below the pointer is told', options, async () => {
  const edge = await startEdge();
  try {
    await edge.tell(snapshot(1, ['Front', 'Back']));
    const { page, faults } = await open(browser, edge.url);
    const bars = page.locator('.days').first();
    const caption = page.locator('.past .range').first();
    await page.locator('.age time:not(:empty)').waitFor();
    const before = await caption.textContent();
    const box = await bars.boundingBox();
    assert.ok(box !== null);
    const over = async (share: number, text: string): Promise<void> => {
      await page.waitForFunction(([x, y, wanted]) => {
        document.querySelector('.days')?.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX: x as number, clientY: y as number }));
        return document.querySelector('.past .range')?.textContent === wanted;
      }, [box.x + box.width * share, box.y + 5, text] as const);
    };
    await over(0.999, '21 Nov: heard from 100 % of it');
    await over(60.5 / 90, '23 Oct: heard from 41 % of it');
    await over(0.001, '24 Aug: not known');
    await bars.dispatchEvent('pointerout');
    assert.equal(await caption.textContent(), before);
    assert.deepEqual(faults, []);
    await page.context().close();
  } finally {
    await edge.stop();
  }
});

test('machines that come and go are shown without loading the page again', options, async () => {
  const edge = await startEdge();
  try {
    await edge.tell(snapshot(1, ['Front']));
    const { page, faults } = await open(browser, edge.url);
    await page.evaluate(() => document.documentElement.setAttribute('data-same', ''));
    await edge.tell(snapshot(2, ['Front', 'Back', 'Third']));
    await page.locator('.machine').nth(2).waitFor();
    await edge.tell(snapshot(3, ['Third']));
    await page.locator('.machine').nth(1).waitFor({ state: 'detached' });
    assert.equal(await page.locator('.machine h2').textContent(), 'Third');
    assert.notEqual(await page.locator('html').getAttribute('data-same'), null);
    assert.deepEqual(faults, []);
    await page.context().close();
  } finally {
    await edge.stop();
  }
});

test('it fits a phone in both themes', options, async () => {
  const edge = await startEdge();
  try {
    await edge.tell(snapshot(1, ['A name that is much longer than what a telephone has room for in one line', 'Back']));
    const colours = new Set<string>();
    for (const colorScheme of ['dark', 'light'] as const) {
      for (const javaScriptEnabled of [true, false]) {
        const { page, faults } = await open(browser, edge.url, { colorScheme, javaScriptEnabled, viewport: { width: 390, height: 844 } });
        await contentWithin(page);
        if (javaScriptEnabled) assert.deepEqual(await violations(page), [], colorScheme);
        colours.add(await page.locator('body').evaluate((body) => getComputedStyle(body).backgroundColor));
        assert.deepEqual(faults, []);
        await page.context().close();
      }
    }
    assert.equal(colours.size, 2);
  } finally {
    await edge.stop();
  }
});
