// `npm run dev`: Vite's dev server before a running hub, http://127.0.0.1:8000 or the one that UI_HUB names. With `--mock` the mock hub
// plays one, as far as it can, with `--machines N`; they end together. Everything else is Vite's: `-- --port 5200`.

import { spawn } from 'node:child_process';

const MOCK = 'http://127.0.0.1:8700';
const DEFAULT = 'http://127.0.0.1:8000';
const ANSWER_MS = 3_000;
const given = process.argv.slice(2);
const isMock = given.includes('--mock');
const machines = given.indexOf('--machines');
const forMock = machines < 0 ? [] : given.slice(machines, machines + 2);
const forVite = given.filter((one) => one !== '--mock' && !forMock.includes(one));
const hub = process.env.UI_HUB ?? (isMock ? MOCK : DEFAULT);

if (!isMock) {
  await fetch(`${hub}/health`, { signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => {
    console.error(`No hub answers at ${hub}, so the page will stay empty: \`make run\` starts one, UI_HUB=http://… names another, \`npm run dev -- --mock\` plays one.`);
  });
}
const start = (...args) => spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, UI_HUB: hub } });
const children = [start('node_modules/vite/bin/vite.js', ...forVite)];
if (isMock) children.push(start('dev/mock.mjs', ...forMock));
const stop = () => children.forEach((child) => child.kill());
for (const child of children) child.on('exit', stop);
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
