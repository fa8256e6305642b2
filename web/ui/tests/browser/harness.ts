// What the browser tests share: a mock hub of their own (or the hub at BASE_URL), a browser, and a watch over everything that a page
// must not do: break the Content-Security-Policy, talk to another host, or fail.

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

export const givenUrl = process.env.BASE_URL;
/** Longer than two intervals of a collector, on a machine that does ten other things. */
export const PATIENCE_MS = 60_000;

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

/** The hub under test: the one at BASE_URL, or a mock. */
export async function startHub(): Promise<MockHub> {
  return givenUrl === undefined ? startMock('--machines', '40') : { url: givenUrl.replace(/\/$/, ''), stop: async () => {} };
}

export const launch = (): Promise<Browser> => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

export interface Watched {
  page: Page;
  /** Everything that should not have happened, as sentences. */
  faults: string[];
}

export async function open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
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

/** Looks until what is found is as expected; what it was last is told when it never is. */
export async function settles<T>(look: () => Promise<T>, expected: T | RegExp): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
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
  await row.waitFor({ timeout: PATIENCE_MS });
  const id = await row.getAttribute('data-id');
  assert.ok(id);
  return id;
}
