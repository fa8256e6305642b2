// Pictures of every screen for people to look at, in .pictures/ (never committed): dark, light, and on a phone.
// `node dev/with-hub.mjs --edge -- node dev/pictures.mjs [NAME…]` takes them on a real hub with a fleet, payments and an edge;
// `BASE_URL=http://… node dev/pictures.mjs` on a hub that runs already, where it makes two rules and a silence that it takes away again.

import { mkdirSync } from 'node:fs';
import { launch } from './browser.mjs';

const base = (process.env.BASE_URL ?? 'http://127.0.0.1:8700').replace(/\/$/, '');
const edge = process.env.EDGE_PAGE;
const only = process.argv.slice(2);
const DEADLINE_MS = 90_000;
const SCROLLS_MAX = 6;
const LOOKS = [
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1400, height: 1000 } },
  { name: 'light', colorScheme: 'light', viewport: { width: 1400, height: 1000 } },
  { name: 'phone', colorScheme: 'dark', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
];
const live = '.chip[data-state="live"]';

async function ask(path, method = 'GET', body = undefined) {
  const response = await fetch(`${base}/api/v1${path}`, { method, headers: { 'content-type': 'application/json', 'x-author': 'ana' }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === '' ? null : JSON.parse(text);
}

async function until(what, look) {
  for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline;) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${what}: not within ${DEADLINE_MS / 1000} s`);
}

const rule = (name, metric, threshold, severity, more = {}) => ({
  name, metric, operator: 'gt', threshold, clear: null, for_s: 0, no_data_s: null, severity, enabled: true, summary: '', machines: [], tags: {}, labels: {}, group_by: [], ...more,
});
const MADE = [
  rule('pictured-memory', 'system.memory.utilization', 0.05, 'critical', { summary: 'memory in use', machines: ['*machine', 'fleet-000*'] }),
  rule('pictured-cpu', 'system.cpu.utilization', 0.8, 'warning', { clear: 0.2, summary: 'CPU busy', group_by: ['tag:role'] }),
];

/** Alerts that fire, one that is silenced, and some that are over. */
async function prepare() {
  for (const one of MADE) {
    await ask(`/rules/${one.name}`, 'DELETE').catch(() => null);
    await ask('/rules', 'POST', one);
  }
  const machine = await until('a machine that is up', async () => (await ask('/machines?limit=1000')).machines.find(({ id, status }) => status === 'up' && (id.endsWith('machine') || id.startsWith('db')))?.id);
  const silence = await ask('/silences', 'POST', { matchers: { rules: ['pictured-memory'], machines: [machine], labels: {} }, for_s: 3600, author: 'ana', comment: 'known, a new disk is on its way' });
  await until('an alert', async () => (await ask('/alerts')).alerts.some(({ rule: name }) => name === 'pictured-memory'));
  return { machine, silence };
}

async function tidy({ silence }) {
  await ask(`/silences/${silence.id}`, 'DELETE').catch(() => null);
  for (const { name } of MADE) await ask(`/rules/${name}`, 'DELETE').catch(() => null);
}

/** What is done before the picture; on a phone only where it can be. */
const acts = {
  palette: (page) => page.keyboard.press('Control+k').then(() => page.locator('dialog[open] input').fill('fleet-00')),
  columns: (page) => page.getByRole('button', { name: 'Columns' }).click(),
  add: (page) => page.getByRole('button', { name: 'Add', exact: true }).click(),
  pin: (page) => page.locator('[data-panel="cpu"] .u-over').click({ position: { x: 200, y: 60 } }),
  silence: (page) => page.getByRole('button', { name: /^Silence:/ }).first().click(),
  help: (page) => page.keyboard.press('?'),
};

/** Address, what is there once it shows something, whether the whole page is wanted, and what is done first. */
const pagesOf = (machine, payments) => ({
  fleet: ['/', 'table.fleet-table tbody tr[data-id]'],
  'fleet-cards': ['/?view=cards', 'tr[data-id]'],
  'fleet-groups': ['/?group=role', '.group-row'],
  'fleet-compact': ['/', 'tr[data-id]', { compact: true }],
  'fleet-palette': ['/', 'tr[data-id]', { act: 'palette' }],
  'fleet-columns': ['/', 'tr[data-id]', { act: 'columns', isWide: true }],
  'fleet-add': ['/', 'tr[data-id]', { act: 'add', isWide: true }],
  'machine-pinned': [`/machines/${machine}?range=5m`, '[data-panel="cpu"] .u-over', { act: 'pin', isWide: true }],
  'alerts-silence': ['/alerts', '[data-act="silence"]', { act: 'silence' }],
  help: ['/settings', 'h1', { act: 'help' }],
  machine: [`/machines/${machine}?range=5m`, '[data-panel="cpu"] canvas', { whole: true }],
  'machine-24h': [`/machines/${machine}?range=24h`, '[data-panel="cpu"] canvas', { whole: true }],
  ...(payments === undefined ? {} : { payments: [`/machines/${payments}?range=5m`, '.charts canvas', { whole: true }] }),
  compare: ['/compare', '[data-charts] canvas, [data-note]:not([hidden])', { whole: true }],
  'compare-small': ['/compare?by=tag&tag=role&view=small', '[data-charts] canvas, [data-note]:not([hidden])', { whole: true }],
  alerts: ['/alerts', 'tbody[hx-get] tr', { whole: true }],
  'alerts-history': ['/alerts?list=history', 'h1', { whole: true }],
  'alerts-silences': ['/alerts?list=silences', '[data-silences] tbody tr', { whole: true }],
  rules: ['/rules', '.rules-table tbody tr', { whole: true }],
  'rule-new': ['/rules/~new', '[data-words]:not(:empty)', { whole: true }],
  'rule-edit': ['/rules/pictured-cpu', '.chart canvas', { whole: true }],
  pipeline: ['/pipeline', '.flow-rate:text("records/s")', { whole: true }],
  audit: ['/audit', '[data-note]:not([hidden]), tbody tr', { whole: true }],
  settings: ['/settings', '.settings-pair tbody tr', { whole: true }],
});

async function take(browser, name, url, { ready, whole = false, compact = false, isOurs = true, act = null, isWide = false }) {
  for (const { name: look, ...options } of LOOKS.filter(({ isMobile }) => !isWide || isMobile !== true)) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && console.log(name, look, message.text()));
    page.on('pageerror', (error) => console.log(name, look, error.message));
    if (compact) await page.addInitScript(() => localStorage.setItem('preferences', '{"density":"compact"}'));
    await page.goto(url);
    const missing = await page.locator(ready).first().waitFor({ timeout: 20_000 }).then(() => null, () => ready);
    if (isOurs) await page.locator(live).waitFor({ timeout: 20_000 }).catch(() => console.log(name, look, 'is not live'));
    if (missing !== null) console.log(name, look, 'never had', missing);
    await settle(page);
    if (act !== null) await acts[act](page);
    if (act !== null) await page.waitForTimeout(400);
    // A phone's browser makes its window as wide as what stands out, so that one is compared with the phone.
    const wide = (await page.evaluate(() => document.documentElement.scrollWidth)) - options.viewport.width;
    if (wide > 0) console.log(name, look, `${wide} px wider than the window`);
    await shoot(page, `.pictures/${name}-${look}`, whole, options.isMobile === true);
    await context.close();
  }
}

/** On a phone a whole page is as many pictures as a thumb would scroll, because its bars stand on the window. */
async function shoot(page, path, isWhole, isPhone) {
  if (!isPhone || !isWhole) return page.screenshot({ path: `${path}.png`, fullPage: isWhole });
  for (let at = 0; at < SCROLLS_MAX; at += 1) {
    const isEnd = await page.evaluate((share) => {
      window.scrollTo(0, share * (innerHeight - 120));
      return scrollY + innerHeight >= document.documentElement.scrollHeight - 1;
    }, at);
    await page.waitForTimeout(150);
    await page.screenshot({ path: `${path}-${at + 1}.png` });
    if (isEnd) return undefined;
  }
  return undefined;
}

/** Charts load when they come into view, and the fleet's lines when their past has come. */
async function settle(page) {
  const height = await page.evaluate(() => document.body.scrollHeight);
  for (let top = 0; top < height; top += 700) {
    await page.evaluate((y) => window.scrollTo(0, y), top);
    await page.waitForTimeout(60);
  }
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.waitForFunction(() => document.querySelector('.is-loading, .htmx-request, .skeleton-list:not([hidden])') === null, undefined, { timeout: 20_000 }).catch(() => null);
  await page.waitForTimeout(700);
}

mkdirSync('.pictures', { recursive: true });
const made = await prepare();
const browser = await launch();
try {
  const { machines } = await ask('/machines?limit=1000');
  const payments = machines.find(({ id }) => id.includes('card-network'))?.id;
  const wanted = (name) => only.length === 0 || only.includes(name);
  for (const [name, [path, ready, more]] of Object.entries(pagesOf(made.machine, payments))) if (wanted(name)) await take(browser, name, base + path, { ready, ...more });
  if (edge !== undefined && wanted('edge')) await take(browser, 'edge', edge, { ready: '.machine', whole: true, isOurs: false });
} finally {
  await browser.close();
  await tidy(made);
}
