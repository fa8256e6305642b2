// What the browser tests share: the hub under test (at BASE_URL), a mock for what no real one can play, a browser, and a watch over everything that a page
// must not do: break the Content-Security-Policy, talk to another host, or fail.

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before } from 'node:test';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

/** Longer than two intervals of a collector, on a machine that does ten other things. */
export const PATIENCE_MS = 60_000;
/** Until a hub that has just started has closed its first whole minute. */
export const MINUTE_PATIENCE_MS = 180_000;

const FLAGS = ['--no-sandbox', '--disable-background-networking', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-component-update', '--disable-sync'];

export interface MockHub {
  url: string;
  stop(): Promise<void>;
}

export async function startMock(...args: string[]): Promise<MockHub> {
  const child: ChildProcess = spawn(process.execPath, ['dev/mock.mjs', '--port', '0', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.ok(child.stdout);
  for await (const line of createInterface(child.stdout)) {
    const url = /mock hub on (\S+)/.exec(line)?.[1];
    if (url === undefined) continue;
    return { url, stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill();
      await exited;
    } };
  }
  throw new Error('the mock hub ended before it listened');
}

/** The hub under test. */
function hubUrl(): string {
  const url = process.env.BASE_URL;
  assert.ok(url !== undefined, 'BASE_URL names no hub: set HUB_PROGRAM to a sysmonstm, and npm run test:browser starts one');
  return url.replace(/\/$/, '');
}

export const launch = (): Promise<Browser> => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

export interface Watched {
  page: Page;
  /** Everything that should not have happened, as sentences. */
  faults: string[];
}

export async function open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  const { host } = new URL(url);
  page.on('request', (request) => {
    const target = new URL(request.url());
    if (target.protocol !== 'data:' && target.protocol !== 'blob:' && target.host !== host) faults.push(`asked another host: ${request.url()}`);
  });
  page.on('pageerror', (error) => faults.push(`threw: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`console: ${message.text()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
  });
  await page.goto(url);
  return { page, faults };
}

export interface Visit extends BrowserContextOptions {
  /** The page is meant to meet a refusal or a lost hub, which a browser tells of in its console. */
  isTroubled?: boolean;
}

/** Opens a page, has it looked at, and closes it; nothing must have happened that should not. */
export async function visit(browser: Browser, url: string, look: (page: Page) => Promise<void>, { isTroubled = false, ...options }: Visit = {}): Promise<void> {
  const { page, faults } = await open(browser, url, options);
  try {
    await look(page);
    if (!isTroubled) assert.deepEqual(faults, []);
  } finally {
    await page.context().close();
  }
}

/** What the tests of a file share: the hub under test and a browser, there from the first test to the last. */
export interface Stage {
  readonly url: string;
  readonly browser: Browser;
  /** Looks at the page at this path of the hub. */
  visit(path: string, look: (page: Page) => Promise<void>, options?: Visit): Promise<void>;
  /** Asks the hub, as another program would. */
  ask<T>(path: string, init?: RequestInit): Promise<T>;
}

export function stage(): Stage {
  let browser: Browser | undefined;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
  const there = <T>(part: T | undefined): T => {
    assert.ok(part !== undefined, 'only within a test');
    return part;
  };
  return {
    get url() { return hubUrl(); },
    get browser() { return there(browser); },
    visit: (path, look, options) => visit(there(browser), hubUrl() + path, look, options),
    ask: async <T>(path: string, init?: RequestInit): Promise<T> => {
      const response = await fetch(`${hubUrl()}/api/v1${path}`, { headers: { 'content-type': 'application/json' }, ...init });
      const text = await response.text();
      assert.ok(response.ok, `${init?.method ?? 'GET'} ${path}: ${response.status} ${text}`);
      return (text === '' ? undefined : JSON.parse(text)) as T;
    },
  };
}

/** Looks until what is found is as expected; what it was last is told when it never is. */
export async function settles<T>(look: () => Promise<T>, expected: T | RegExp, patienceMs = PATIENCE_MS): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = await look();
    const isSo = expected instanceof RegExp ? typeof found === 'string' && expected.test(found) : found === expected;
    if (isSo) return;
    if (Date.now() > deadline) assert.fail(`${JSON.stringify(found)} never became ${String(expected)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const rows = 'table.fleet-table tbody tr[data-id]';

export async function firstMachine(page: Page): Promise<string> {
  const row = page.locator(rows).first();
  await row.waitFor();
  const id = await row.getAttribute('data-id');
  assert.ok(id);
  return id;
}

/** The first machine that is up, by the hub's own word. */
export async function someMachine(on: Stage): Promise<string> {
  for (const deadline = Date.now() + PATIENCE_MS; ;) {
    const { machines } = await on.ask<{ machines: { id: string; status: string }[] }>('/machines');
    const up = machines.find(({ status }) => status === 'up');
    if (up !== undefined) return up.id;
    assert.ok(Date.now() < deadline, 'no machine is up');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A rule that its machines are sure to break at once: one, or all that a pattern fits. */
export async function makeRule(on: Stage, name: string, machine: string): Promise<void> {
  const rule = { name, metric: 'system.memory.utilization', operator: 'gt', threshold: 0, clear: null, for_s: 0, no_data_s: null, severity: 'critical', enabled: true, summary: 'there is memory in use', machines: [machine], tags: {}, labels: {}, group_by: [] };
  await on.ask('/rules', { method: 'POST', body: JSON.stringify(rule) });
}

export const deleteRule = (on: Stage, name: string): Promise<void> => on.ask(`/rules/${name}`, { method: 'DELETE' });
