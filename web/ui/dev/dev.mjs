// `npm run dev`: Vite's dev server before a running hub, http://127.0.0.1:8000 or the one that UI_HUB names. With `--mock` the mock hub
// plays one, as far as it can; they end together.

import { spawn } from 'node:child_process';

const MOCK = 'http://127.0.0.1:8700';
const [isMock, ...rest] = [process.argv.includes('--mock'), ...process.argv.slice(2).filter((one) => one !== '--mock')];
const hub = process.env.UI_HUB ?? (isMock ? MOCK : undefined);
const start = (...args) => spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...(hub === undefined ? {} : { UI_HUB: hub }) } });
const children = [start('node_modules/vite/bin/vite.js')];
if (isMock) children.push(start('dev/mock.mjs', ...rest));
const stop = () => children.forEach((child) => child.kill());
for (const child of children) child.on('exit', stop);
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
