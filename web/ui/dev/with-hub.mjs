// Runs a command beside a real hub: `node dev/with-hub.mjs [--machines 24] [--edge] -- COMMAND…`. HUB_PROGRAM names the program
// `sysmonstm`; the command finds the hub in BASE_URL. The hub has this machine's own collector, a made-up fleet, three payment processors
// (`sysmonstm synth run`) and a few dead letters, listens on ports that the system picks, and keeps its data in a temporary folder; all of
// it is gone when the command ends, however it ends. With `--edge` the hub publishes on the edge that EDGE_PROGRAM names, and the command
// finds its page in EDGE_PAGE.
// Without HUB_PROGRAM, or with a BASE_URL that is set already, the command runs as it is.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const START_MS = 60_000;
/** The hub drains within ten seconds. */
const STOP_MS = 20_000;
const LINES_KEPT = 40;

const { values: options, positionals: command } = parseArgs({
  options: { machines: { type: 'string', default: '24' }, interval: { type: 'string', default: '1s' }, edge: { type: 'boolean', default: false } },
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

/** The line of a program's log that is looked for, which says where it listens. */
function lineOf(child, isIt) {
  return new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${child.name} ${why}\n${child.said.join('\n')}`));
    const timer = setTimeout(() => fail('was not up in time'), START_MS);
    child.on('error', (error) => fail(`could not be started: ${error.message}`));
    child.on('exit', () => fail('ended'));
    child.on('line', (line) => {
      if (!isIt(line)) return;
      clearTimeout(timer);
      child.removeAllListeners('exit');
      resolve(JSON.parse(line));
    });
  });
}

const EDGE_TOKEN = 'a-token-that-nobody-guesses';
/** What the hub tells the edge. */
const PUBLISHED = `[edge]
title = "Our machines"
machines = ["this-machine", "fleet-000*"]
metrics = ["system.cpu.utilization", "system.memory.utilization", "system.network.receive.bytes_rate=Traffic"]
names = ["this-machine=Desk", "*=Website"]
`;

/** Its page, for the hub to publish on; null without one. */
async function startEdge() {
  const program = process.env.EDGE_PROGRAM;
  if (!options.edge || program === undefined) return null;
  return (await lineOf(start(program, [], { EDGE_TOKEN, EDGE_HTTP_ADDRESS: '127.0.0.1:0', LOG_FORMAT: 'json' }), (line) => line.includes('"page"'))).page;
}

async function startAll(program, folder) {
  const edge = await startEdge();
  if (edge !== null) writeFileSync(join(folder, 'hub.toml'), PUBLISHED);
  const published = edge === null ? [[], {}] : [['--config', join(folder, 'hub.toml')], { EDGE_URL: edge.replace('http', 'ws'), EDGE_TOKEN }];
  const hub = start(program, ['up', '--data-dir', join(folder, 'data'), '--http-address', '127.0.0.1:0', '--grpc-address', '127.0.0.1:0', '--log-format', 'json', ...published[0]],
    { COLLECTOR_MACHINE_ID: 'this-machine', COLLECTOR_TAGS: 'role=desk,site=here', COLLECTOR_COLLECTION_INTERVAL: options.interval, HUB_SYNTHETIC_EVERY: '1s', ...published[1] });
  const { dashboard, grpc } = await lineOf(hub, (line) => line.includes('hub_is_up') || line.includes('hub is up'));
  const send = (name, ...more) => start(program, ['synth', 'run', '--hub', dashboard, '--grpc', grpc, '--name', name, '--visible', '--interval', options.interval, ...more], {});
  send('fleet', '--machines', options.machines, '--duration', '6h', '--series', '62');
  send('pay', '--domain', 'payments', '--machines', '3', '--duration', '6h');
  // It has more series than a hub takes of one machine: the rest becomes dead letters.
  send('greedy', '--machines', '1', '--duration', '3s', '--series', '1010').isBrief = true;
  return { BASE_URL: dashboard, ...(edge === null ? {} : { EDGE_PAGE: edge }) };
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
    return await run(await startAll(program, folder));
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
