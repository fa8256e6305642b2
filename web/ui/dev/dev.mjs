// `npm run dev`: Vite's dev server with the mock hub beside it, or before a real hub when UI_HUB names one. They end together.

import { spawn } from 'node:child_process';

const start = (...args) => spawn(process.execPath, args, { stdio: 'inherit' });
const children = [start('node_modules/vite/bin/vite.js')];
if (process.env.UI_HUB === undefined) children.push(start('dev/mock.mjs', '--latency', ...process.argv.slice(2)));
const stop = () => children.forEach((child) => child.kill());
for (const child of children) child.on('exit', stop);
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
