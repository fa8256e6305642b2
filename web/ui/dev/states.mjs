// Pictures of what each screen shows when things are not well, for people to look at, in .pictures/ (never committed):
// `node dev/with-hub.mjs -- node dev/states.mjs [NAME…]`. The hub is a real one; what it answers is held back or replaced on its way.

import { mkdirSync } from 'node:fs';
import { launch } from './browser.mjs';

const base = (process.env.BASE_URL ?? 'http://127.0.0.1:8700').replace(/\/$/, '');
const only = process.argv.slice(2);
const SETTLE_MS = 1_500;
const LOST_MS = 6_500;
const LOOKS = [
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1400, height: 900 } },
  { name: 'light', colorScheme: 'light', viewport: { width: 1400, height: 900 } },
  { name: 'phone', colorScheme: 'light', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
];
/** What is named is pictured in all looks. Of all at once, most look in the light and on a phone as they do beside it. */
const isPictured = (look, state) => look === 'dark' || only.length > 0 || (look === 'phone' && ['error', 'degraded'].includes(state));
const FAULT = { type: 'about:blank', title: 'Service Unavailable', status: 503, code: 'history_unavailable', detail: 'the history cannot be read just now: SQLite in the data folder is locked' };
const EMPTY = {
  alerts: [], groups: [], silences: [], rules: [], machines: [], entries: [], metrics: [], series: [], dead_letters: [], settings: [], version: '0.0.0', next: null, minute: null,
};
const REST = /\/(api\/v1|fragments|ready)/;

const json = (body, status = 200) => ({ status, contentType: status < 400 ? 'application/json' : 'application/problem+json', body: JSON.stringify(body) });
/** What happens to the page's requests; `after` once it is live. */
const STATES = {
  loading: { before: (page) => page.route(REST, () => {}) },
  error: { before: (page) => page.route(REST, (route) => route.fulfill(json(FAULT, 503))) },
  empty: { before: (page) => page.route(REST, async (route) => {
    if (route.request().url().includes('/fragments')) return route.fulfill({ status: 200, contentType: 'text/html', body: '' });
    if (/\/machines\/[^/]+$|pipeline|synthetic|ready|metrics/.test(new URL(route.request().url()).pathname)) return route.continue();
    return route.fulfill(json(EMPTY));
  }) },
  degraded: { before: (page) => page.routeWebSocket(/\/ws(\?|$)/, (client) => {
    client.connectToServer().onMessage((text) => {
      const message = JSON.parse(text);
      if (message.hub !== undefined) message.hub.degraded = ['history', 'redis'];
      client.send(JSON.stringify(message));
    });
  }) },
  lost: {
    before: async (page) => {
      const open = [];
      let isLost = false;
      await page.routeWebSocket(/\/ws(\?|$)/, (client) => {
        if (isLost) return client.close();
        open.push(client);
        client.connectToServer();
        return undefined;
      });
      page.lose = () => {
        isLost = true;
        for (const client of open) void client.close();
      };
    },
    after: async (page) => {
      page.lose();
      await page.route(REST, (route) => route.abort());
      await page.waitForTimeout(LOST_MS);
    },
  },
};

async function someMachine() {
  for (;;) {
    const { machines } = await (await fetch(`${base}/api/v1/machines`)).json();
    const up = machines.find(({ status, id }) => status === 'up' && id.includes('machine'));
    if (up !== undefined) return up.id;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function take(browser, screen, path, state) {
  for (const { name: look, ...options } of LOOKS.filter(({ name }) => isPictured(name, state))) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.on('pageerror', (error) => console.log(screen, state, look, error.message));
    await STATES[state].before?.(page);
    await page.goto(base + path);
    await page.locator('.chip[data-state="live"]').waitFor({ timeout: 20_000 }).catch(() => console.log(screen, state, 'is not live'));
    await page.waitForTimeout(SETTLE_MS);
    await STATES[state].after?.(page);
    await page.screenshot({ path: `.pictures/${state}-${screen}-${look}.png` });
    await context.close();
  }
}

mkdirSync('.pictures', { recursive: true });
const machine = await someMachine();
const SCREENS = {
  fleet: '/', machine: `/machines/${machine}`, compare: '/compare', alerts: '/alerts', rules: '/rules', 'rule-new': '/rules/~new', pipeline: '/pipeline', audit: '/audit', settings: '/settings',
};
const browser = await launch();
try {
  for (const [screen, path] of Object.entries(SCREENS)) {
    for (const state of Object.keys(STATES)) if (only.length === 0 || only.some((name) => `${state}-${screen}`.includes(name))) await take(browser, screen, path, state);
  }
  if (only.length === 0 || only.includes('unknown')) {
    STATES.unknown = {};
    await take(browser, 'machine', '/machines/nobody', 'unknown');
    await take(browser, 'page', '/nowhere', 'unknown');
  }
} finally {
  await browser.close();
}
