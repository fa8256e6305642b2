// Screenshots of the screens for people to look at: `node dev/shots.mjs [BASE_URL] [name…]` writes .shots/*.png (never committed).

import { mkdirSync } from 'node:fs';
import { launch } from './browser.mjs';

const base = process.argv[2] ?? 'http://127.0.0.1:8700';
const only = process.argv.slice(3);
const machine = process.env.MACHINE ?? 'db-1';
const pages = { fleet: '/', machine: `/machines/${machine}`, 'machine-7d': `/machines/${machine}?range=7d`, alerts: '/alerts', rules: '/rules', 'rule-new': '/rules/~new', pipeline: '/pipeline', compare: '/compare', audit: '/audit', settings: '/settings', 'compare-small': '/compare?by=tag&tag=role&view=small' };
const sizes = { wide: { width: 1400, height: 1000 }, phone: { width: 390, height: 844 } };

mkdirSync('.shots', { recursive: true });
const browser = await launch();
for (const [name, path] of Object.entries(pages)) {
  if (only.length > 0 && !only.includes(name)) continue;
  for (const theme of ['dark', 'light']) {
    for (const [size, viewport] of Object.entries(sizes)) {
      const page = await browser.newPage({ viewport, colorScheme: theme, deviceScaleFactor: size === 'phone' ? 2 : 1, hasTouch: size === 'phone' });
      page.on('console', (message) => ['error', 'warning'].includes(message.type()) && console.log(name, theme, size, message.text()));
      page.on('pageerror', (error) => console.log(name, theme, size, error.message));
      await page.goto(base + path);
      await page.waitForTimeout(Number(process.env.WAIT ?? 4000));
      // Charts load when they come into view.
      if (name.startsWith('machine')) {
        for (let at = 0; at < 6000; at += 500) {
          await page.evaluate((top) => window.scrollTo(0, top), at);
          await page.waitForTimeout(80);
        }
        await page.evaluate(() => window.scrollTo(0, 0));
        await page.waitForTimeout(500);
      }
      await page.screenshot({ path: `.shots/${name}-${theme}-${size}.png` });
      if (name.startsWith('machine')) await page.screenshot({ path: `.shots/${name}-${theme}-${size}-full.png`, fullPage: true });
      await page.close();
    }
  }
}
await browser.close();
