// A hub that plays what no real one can be asked to on the spot: none or a thousand machines at once, one that goes away and comes back,
// dead letters of every kind. It speaks the part of docs/API.md and docs/LIVE_PROTOCOL.md that the fleet, a machine and the pipeline ask
// for, has no alerts and no rules, and serves dist/ with the strict Content-Security-Policy of the real hub, beside which everything else
// is tried out (dev/with-hub.mjs).
// Usage: node dev/mock.mjs [--port 8700] [--machines 40] ; port 0 picks a free one. Prints `mock hub on URL`.

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';
import { createMachine, describe, history, layoutOf } from './fleet.mjs';
import { deadLetters, pipeline, synthetic } from './hub.mjs';

const { values: options } = parseArgs({ options: { port: { type: 'string', default: '8700' }, machines: { type: 'string', default: '40' } } });
const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const CSP = "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:";
const started = Date.now();
const machines = Array.from({ length: Number(options.machines) }, (_, index) => createMachine(index, started));
const byId = new Map(machines.map((machine) => [machine.id, machine]));
const told = (machine, isFull) => describe(machine, Date.now(), [], isFull);

function hub() {
  const count = (status) => machines.filter((machine) => machine.status === status).length;
  const series = machines.reduce((sum, machine) => sum + layoutOf(machine).length, 0);
  return {
    samples_per_s: series / 5, machines: { up: count('up'), stale: count('stale'), down: count('down') }, series, clients: sockets.clients.size,
    latency_ms: { p50: 6.2, p99: 23.8, max: 41.5 }, degraded: [],
  };
}

// HTTP ----------------------------------------------------------------------------------------------------------------

function json(response, body, status = 200) {
  response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' });
  response.end(JSON.stringify(body));
}

const problem = (response, status, code, detail) => json(response, { type: 'about:blank', title: 'Error', status, code, detail }, status);

function machineRoute(response, [id, part], query) {
  const machine = byId.get(decodeURIComponent(id));
  if (machine === undefined) return problem(response, 404, 'unknown_machine', `no machine is named ${JSON.stringify(id)}`);
  if (part === undefined) return json(response, told(machine, true));
  return json(response, past(machine, query));
}

/** From and to in whole seconds, as the page asks. */
function past(machine, query) {
  const [from, to] = [Number(query.get('from')) * 1000, Number(query.get('to')) * 1000];
  return history(machine, query.getAll('metric'), from, to, Number(query.get('max_points') ?? 600), Date.now());
}

/** Dead letters that were sent again, with the time. */
const resent = new Map();

function resend(response, id) {
  const waiting = deadLetters(machines, Date.now(), resent).filter((letter) => letter.resent === null && letter.obstacle === null && (id === 'resend' || letter.id === id));
  if (waiting.length === 0 && id !== 'resend') return problem(response, 404, 'unknown_dead_letter', `no letter ${id} waits`);
  for (const letter of waiting) resent.set(letter.id, Date.now());
  return json(response, { letters: waiting.length, samples: waiting.reduce((sum, { kept }) => sum + kept, 0), refused: 0, refusals: [], more: false });
}

/** Lists that are empty here, and what they are called in their answer. */
const EMPTY = { '/rules': 'rules', '/alerts': 'alerts', '/alerts/history': 'alerts', '/alerts/groups': 'groups', '/silences': 'silences', '/fleet/hottest': 'metrics' };

function api(request, response, path, query) {
  const parts = path.split('/').filter(Boolean);
  if (request.method === 'POST' && parts[0] === 'dead-letters') return resend(response, parts[1]);
  if (request.method !== 'GET') return problem(response, 404, 'not_found', 'the mock changes nothing');
  if (parts[0] === 'machines' && parts.length > 1) return machineRoute(response, parts.slice(1), query);
  if (path === '/machines') return json(response, { machines: machines.map((machine) => told(machine, false)), next: null });
  if (path === '/history') return json(response, { machines: query.getAll('machine').map((id) => past(byId.get(id), query)) });
  if (path === '/config') return json(response, { version: 'mock', settings: [] });
  if (path === '/pipeline') return json(response, pipeline(hub().samples_per_s, sockets.clients.size, started, Date.now()));
  if (path === '/synthetic') return json(response, synthetic(Date.now(), started));
  if (path === '/dead-letters') return json(response, { dead_letters: deadLetters(machines, Date.now(), resent), next: null });
  if (path in EMPTY) return json(response, { [EMPTY[path]]: [], next: null, minute: null });
  return problem(response, 404, 'not_found', `the mock has nothing at ${path}; a real hub has`);
}

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.webmanifest': 'application/manifest+json' };

function asset(response, path) {
  const file = join(DIST, normalize(path));
  const isFile = file.startsWith(DIST) && existsSync(file) && statSync(file).isFile();
  const chosen = isFile ? file : join(DIST, 'index.html');
  if (!existsSync(chosen)) return problem(response, 503, 'not_built', 'run `npm run build` first');
  // The compressed forms are for the real hub; a loopback mock sends files as they are.
  response.writeHead(200, { 'content-type': TYPES[extname(chosen)] ?? 'application/octet-stream', 'content-security-policy': CSP, 'x-content-type-options': 'nosniff' });
  return createReadStream(chosen).pipe(response);
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://mock');
  if (url.pathname.startsWith('/api/v1')) return api(request, response, url.pathname.slice('/api/v1'.length), url.searchParams);
  return asset(response, url.pathname);
});

// WebSocket -----------------------------------------------------------------------------------------------------------

const sockets = new WebSocketServer({ server, path: '/ws' });

sockets.on('connection', (socket, request) => {
  socket.client = { seq: 0, wanted: null, seen: new Map(), sentAt: 0 };
  socket.send(JSON.stringify({ type: 'hello', protocol: 1, server_time: Date.now(), session: 'mock', version: 'mock', seq: 0 }));
  // The page of the tests sends subscriptions only.
  const subscribe = (data) => {
    socket.client.wanted = JSON.parse(String(data));
    socket.client.seen.clear();
    update(socket, 'snapshot');
  };
  socket.on('message', subscribe);
  const asked = new URL(request.url, 'http://mock').searchParams.get('subscribe');
  if (asked !== null) subscribe(asked);
});

function update(socket, type) {
  const { client } = socket;
  const { wanted, seen } = client;
  const listed = machines.filter(({ id }) => wanted.machines.includes('*') || wanted.machines.includes(id));
  const changed = listed.map((machine) => told(machine, wanted.detail === 'full')).filter(({ id, last_seen: at }) => seen.get(id) !== at);
  for (const { id, last_seen: at } of changed) seen.set(id, at);
  client.sentAt = Date.now();
  if (type === 'delta' && changed.length === 0) return;
  client.seq += 1;
  socket.send(JSON.stringify({ type, seq: client.seq, time: client.sentAt, hub: hub(), machines: changed, alerts: [], removed: [] }));
}

setInterval(() => {
  for (const socket of sockets.clients) {
    const { wanted, sentAt } = socket.client;
    if (wanted !== null && Date.now() - sentAt >= Math.min(wanted.rate_ms, 1000) - 50) update(socket, 'delta');
  }
}, 1000);

server.listen(Number(options.port), '127.0.0.1', () => console.log(`mock hub on http://127.0.0.1:${server.address().port}`));
