// Runs a command beside a real hub: `node dev/with-hub.mjs [--machines 24] COMMAND…`. HUB_PROGRAM names the program `sysmonstm`; the
// command finds the hub in BASE_URL. The hub has this machine's own collector a made-up fleet (`sysmonstm synth run`) and a few dead letters, listens on
// ports that the system picks, and keeps its data in a temporary folder; both are gone when the command ends, however it ends.
// Without HUB_PROGRAM, or with a BASE_URL that is set already, the command runs as it is.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const START_MS = 60_000;
/** The hub drains within ten seconds. */
const STOP_MS = 20_000;
const LINES_KEPT = 40;

const { values: options, positionals: command } = parseArgs({
  options: { machines: { type: 'string', default: '24' }, interval: { type: 'string', default: '1s' } },
  allowPositionals: true,
});
const children = [];

/** A child of ours, with the last lines that it said. */
function start(program, args, env) {
  const child = spawn(program, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  child.said = [];
  child.name = args.slice(0, 2).join(' ');
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      child.said.push(line);
      if (child.said.length > LINES_KEPT) child.said.shift();
      child.emit('line', line);
    });
  }
  children.push(child);
  return child;
}

const isRunning = (child) => child.exitCode === null && child.signalCode === null;

/** What the hub's log says of where it listens. */
function upOf(hub) {
  return new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`the hub ${why}\n${hub.said.join('\n')}`));
    const timer = setTimeout(() => fail('was not up in time'), START_MS);
    hub.on('error', (error) => fail(`could not be started: ${error.message}`));
    hub.on('exit', () => fail('ended'));
    hub.on('line', (line) => {
      if (!line.includes('hub_is_up') && !line.includes('hub is up')) return;
      clearTimeout(timer);
      hub.removeAllListeners('exit');
      resolve(JSON.parse(line));
    });
  });
}

async function startAll(program, folder) {
  const hub = start(program, ['up', '--data-dir', folder, '--http-address', '127.0.0.1:0', '--grpc-address', '127.0.0.1:0', '--log-format', 'json'],
    { COLLECTOR_MACHINE_ID: 'this-machine', COLLECTOR_TAGS: 'role=desk,site=here', COLLECTOR_COLLECTION_INTERVAL: options.interval, HUB_SYNTHETIC_EVERY: '1s' });
  const { dashboard, grpc } = await upOf(hub);
  const send = (name, machines, duration, series) => start(program, ['synth', 'run', '--hub', dashboard, '--grpc', grpc, '--machines', machines, '--name', name, '--visible', '--interval', options.interval, '--duration', duration, '--series', series], {});
  send('fleet', options.machines, '6h', '62');
  // It has more series than a hub takes of one machine: the rest becomes dead letters.
  send('greedy', '1', '3s', '1010').isBrief = true;
  return dashboard;
}

async function stopAll() {
  for (const child of children.reverse().filter(isRunning)) {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(timer);
  }
}

async function main() {
  const program = process.env.HUB_PROGRAM;
  if (program === undefined || process.env.BASE_URL !== undefined) return run({});
  const folder = mkdtempSync(join(tmpdir(), 'sysmonstm-ui-'));
  try {
    return await run({ BASE_URL: await startAll(program, folder) });
  } finally {
    for (const child of children.filter((one) => !isRunning(one) && one.isBrief !== true)) console.error(`${child.name} ended by itself\n${child.said.join('\n')}`);
    await stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(env) {
  const [program, ...args] = command;
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const [code] = await once(child, 'exit');
  return code ?? 1;
}

process.exitCode = await main();
