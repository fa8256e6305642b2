// `npm run dev`: the mock hub and Vite's dev server side by side; both end together.

import { spawn } from 'node:child_process';

const children = [
  spawn(process.execPath, ['dev/mock.mjs', '--latency', ...process.argv.slice(2)], { stdio: 'inherit' }),
  spawn(process.execPath, ['node_modules/vite/bin/vite.js'], { stdio: 'inherit' }),
];
const stop = () => children.forEach((child) => child.kill());
for (const child of children) child.on('exit', stop);
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
