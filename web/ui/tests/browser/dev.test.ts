// The dev server before the hub under test, on a copy of the sources: a front-end engineer edits, and the page shows it without being asked.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { rows, settles, stage } from './harness.ts';

const on = stage();
const COPIED = ['src', 'public', 'dev', 'index.html', 'package.json', 'vite.config.ts'];

/** A copy with a dev server of its own, and the address that it says. */
async function develop(look: (folder: string, url: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sysmonstm-dev-'));
  for (const name of COPIED) cpSync(name, join(folder, name), { recursive: true });
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  const child = spawn(process.execPath, ['dev/dev.mjs'], { cwd: folder, env: { ...process.env, UI_HUB: on.url, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  try {
    for await (const line of createInterface(child.stdout)) {
      const url = /Local:\s+(http:\S+)/.exec(line)?.[1];
      if (url === undefined) continue;
      child.stdout.resume();
      await look(folder, url.replace(/\/$/, ''));
      return;
    }
    assert.fail('the dev server ended before it listened');
  } finally {
    child.kill();
    await exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

function edit(folder: string, name: string, from: string, to: string): void {
  const path = join(folder, name);
  const text = readFileSync(path, 'utf8');
  assert.ok(text.includes(from), `${name} has no ${from}`);
  writeFileSync(path, text.replace(from, to));
}

test('the dev server shows the live fleet, and every edit of a style, a template and a module', () => develop(async (folder, url) => {
  const page = await on.browser.newPage();
  try {
    await page.goto(url);
    await page.locator('.chip[data-state="live"]').waitFor();
    await page.locator(rows).first().waitFor();
    await page.evaluate(() => Object.assign(globalThis, { isOldPage: true }));
    edit(folder, 'src/styles/tokens.css', ':root {', ':root {\n  --edited: yes;');
    await settles(() => page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--edited').trim()), 'yes');
    assert.equal(await page.evaluate(() => 'isOldPage' in globalThis), true, 'a style needs no reload');
    edit(folder, 'src/fleet/fleet.html', 'All machines', 'Edited machines');
    await page.getByText('Edited machines').waitFor();
    edit(folder, 'src/main.ts', "import Alpine", "document.documentElement.dataset.edited = 'yes';\nimport Alpine");
    await page.locator('html[data-edited="yes"] .chip[data-state="live"]').waitFor();
    await page.locator(rows).first().waitFor();
  } finally {
    await page.close();
  }
}));
