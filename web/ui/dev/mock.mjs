// A hub for developing and testing the dashboard without the Rust one: speaks docs/API.md and docs/LIVE_PROTOCOL.md for N simulated
// machines, and serves dist/ with the strict Content-Security-Policy of the real one.
// Usage: node dev/mock.mjs [--port 8700] [--machines 40] [--latency] ; port 0 picks a free one. Prints `mock hub on URL`.

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';
import { cpuOf, createMachine, describe, history, layoutOf } from './fleet.mjs';
import { deadLetters, pipeline, synthetic } from './hub.mjs';

const { values: options } = parseArgs({
  options: { port: { type: 'string', default: '8700' }, machines: { type: 'string', default: '40' }, latency: { type: 'boolean', default: false } },
});
const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const CSP = "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:";
const started = Date.now();
const machines = Array.from({ length: Number(options.machines) }, (_, index) => createMachine(index, started));
const byId = new Map(machines.map((machine) => [machine.id, machine]));

const rule = (name, metric, threshold, severity, more = {}) => ({
  name, metric, operator: 'gte', threshold, clear: threshold * 0.95, for_s: 60, no_data_s: null, severity, enabled: true, source: 'file', summary: '', machines: null, tags: null, labels: null, ...more,
});
let rules = [
  rule('cpu-high', 'system.cpu.utilization', 0.9, 'warning'),
  rule('memory-high', 'system.memory.utilization', 0.9, 'warning'),
  rule('disk-almost-full', 'system.filesystem.utilization', 0.95, 'critical'),
];

rules.push(rule('queue-idle', 'system.cpu.load_average.1m', 0.1, 'info', { operator: 'lt', clear: null, machines: ['queue-*'], source: 'own', summary: 'a queue does nothing', enabled: false }));

/** A few of the hub's own checks, with their fields; the wording differs. */
function faults(body) {
  const found = [];
  const check = (field, isFine, detail) => isFine || found.push({ field, detail: `rule ${body.name ?? 'preview'}: ${detail}` });
  check('name', /^[a-z0-9_-]{1,64}$/.test(body.name ?? 'preview'), 'use 1 to 64 of a-z 0-9 - _');
  check('clear', body.clear === null || (['gt', 'gte'].includes(body.operator) ? body.clear <= body.threshold : body.clear >= body.threshold), '`clear` must lie on the calm side of the threshold');
  check('no_data_s', body.no_data_s === null || body.no_data_s >= 10, '`no_data` is 10 s to 7 days');
  return found;
}

/** Who changed what, newest last. */
const audit = [];

function record(request, action, subject, detail) {
  const author = Buffer.from(request.headers['x-author'] ?? '', 'latin1').toString('utf8');
  audit.push({ id: audit.length + 1, time: Date.now(), author, address: '127.0.0.1', via: 'http', action, subject, detail, failed: false });
}

function auditPage(query) {
  const [before, limit] = [Number(query.get('cursor') || Infinity), Number(query.get('limit') ?? 100)];
  const found = audit.filter(({ id }) => id < before).reverse();
  return { entries: found.slice(0, limit), next: found.length > limit ? String(found[limit - 1].id) : null };
}

const CONFIG = [['data_dir', './data', 'default'], ['http.address', '127.0.0.1:8700', '--http-address'], ['history.raw', '24h', 'default'], ['history.minute', '7d', 'HUB_HISTORY_MINUTE'], ['redis.url', 'redis://hub:***@cache:6379', 'REDIS_URL']]
  .map(([key, value, source]) => ({ key, value, source }));

const HOLDS = { gt: (a, b) => a > b, gte: (a, b) => a >= b, lt: (a, b) => a < b, lte: (a, b) => a <= b, eq: (a, b) => a === b, ne: (a, b) => a !== b };
const glob = (pattern, text) => new RegExp(`^${pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.')}$`).test(text);

const fits = ({ machines: ids, tags }, machine) => ((ids ?? []).length === 0 || ids.some((pattern) => glob(pattern, machine.id))) && Object.entries(tags ?? {}).every(([name, pattern]) => glob(pattern, machine.tags[name] ?? ''));

function preview(body, now) {
  const [from, to] = [now - 86_400_000, now];
  const found = machines.filter((machine) => fits(body, machine)).flatMap((machine) => history(machine, [body.metric], from, to, 600, now).series.map((series) => ({ machine, series, alerts: [], firing: 0 })));
  for (const one of found) {
    let [pending, open] = [null, null];
    one.series.v.forEach((value, index) => {
      const at = one.series.t[index];
      if (open !== null && !HOLDS[body.operator](value, body.clear ?? body.threshold)) {
        open.resolved = at;
        one.firing += at - open.since;
        [pending, open] = [null, null];
      } else if (open === null && HOLDS[body.operator](value, body.threshold)) {
        pending ??= at;
        if (at - pending >= body.for_s * 1000) one.alerts.push((open = { since: at, resolved: null, value, cause: 'threshold' }));
      } else if (open === null) pending = null;
    });
    if (open !== null) one.firing += to - open.since;
  }
  found.sort((a, b) => b.firing - a.firing || Math.max(...b.series.v) - Math.max(...a.series.v));
  const firing = found.filter(({ alerts: all }) => all.length > 0);
  const ids = new Set(found.map(({ machine }) => machine.id));
  const worst = found[0];
  return {
    rule: body.name ?? 'preview', from, to, tier: 'raw', oldest: from, fired: firing.reduce((sum, one) => sum + one.alerts.length, 0),
    machines: { matching: ids.size, examined: ids.size, fired: new Set(firing.map(({ machine }) => machine.id)).size }, partial: [],
    listed: firing.slice(0, 20).map((one) => ({ id: one.machine.id, fired: one.alerts.length, firing_s: Math.round(one.firing / 1000) })),
    worst: worst === undefined ? null : { machine: worst.machine.id, ...worst.series, step_ms: 144_000, alerts: worst.alerts },
  };
}

function changeRule(request, response, name, body) {
  const { method } = request;
  const known = rules.find((one) => one.name === (name ?? body?.name));
  const refused = body === null ? [] : faults(body);
  if (refused.length > 0) return json(response, { type: 'about:blank', title: 'Error', status: 422, code: 'invalid_rule', detail: refused.map(({ detail }) => detail).join('; '), errors: refused }, 422);
  if (name === 'preview' && method === 'POST') return json(response, preview(body, Date.now()));
  if (known?.source === 'file') return problem(response, 409, 'rule_from_file', `rule ${known.name} comes from the rule file`);
  if (method === 'POST' && known !== undefined) return problem(response, 409, 'rule_exists', `a rule is called ${known.name} already; update it, or choose another name`);
  if (method !== 'POST' && known === undefined) return problem(response, 404, 'unknown_rule', `no rule is called ${name}`);
  rules = rules.filter((one) => one !== known);
  record(request, { POST: 'rule_created', PUT: 'rule_updated', DELETE: 'rule_deleted' }[method], name ?? body.name, method === 'PUT' ? `threshold: ${known.threshold} -> ${body.threshold}` : '');
  if (method === 'DELETE') return response.writeHead(204).end();
  const made = { ...body, name: name ?? body.name, source: 'own' };
  rules = [...rules, made].sort((a, b) => a.name.localeCompare(b.name));
  return json(response, made, method === 'POST' ? 201 : 200);
}

const METRICS = [['system.cpu.utilization', '1', 'CPU'], ['system.memory.utilization', '1', 'Memory'], ['system.filesystem.utilization', '1', 'Disk'], ['system.cpu.load_average.1m', '1', 'Load 1 min'],
  ['system.memory.available', 'By', 'Memory available'], ['system.network.receive.bytes_rate', 'By/s', 'Network received'], ['system.temperature', 'Cel', 'Temperature'], ['system.uptime', 's', 'Uptime']]
  .map(([name, unit, display]) => ({ name, unit, kind: 'gauge', display, aliases: [], min: 0, max: null }));

function alert(id, machine, name, state, sinceMinutes, lastedMinutes, value, labels = {}, summary = null) {
  const found = rules.find((one) => one.name === name);
  const since = started - sinceMinutes * 60_000;
  return {
    id, rule: name, machine, metric: found.metric, labels, severity: found.severity, state, operator: found.operator, threshold: found.threshold, value,
    unit: '1', since, resolved: state === 'resolved' ? since + lastedMinutes * 60_000 : null, resolution: state === 'resolved' ? 'value' : null,
    standing: 'active', silence: null, summary,
  };
}

let alerts = machines.length === 0 ? [] : [
  alert('a1', 'db-1', 'disk-almost-full', 'firing', 41, 0, 0.962, { mountpoint: '/var/lib/postgresql' }, 'disk almost full'),
  alert('a2', 'db-1', 'cpu-high', 'resolved', 34, 9, 0.88, {}, 'CPU busy'),
  alert('a3', 'queue-1', 'cpu-high', 'firing', 6, 0, 0.93, {}, 'CPU busy'),
  alert('a4', 'web-1', 'memory-high', 'firing', 17, 0, 0.914, {}, 'memory almost full'),
  alert('a5', 'cache-1', 'memory-high', 'resolved', 300, 22, 0.85, {}, 'memory almost full'),
].filter(({ machine }) => byId.has(machine));
const firing = () => alerts.filter(({ state }) => state === 'firing');

/** One rule of the file and all that were made are really evaluated, so that alerts come and go while one watches. */
function evaluate(now) {
  const live = [['live', rules.find(({ name }) => name === 'cpu-high')], ...rules.filter(({ source, enabled }) => source === 'own' && enabled).map((one) => [one.name, one])];
  const changed = live.flatMap(([mark, one]) => machines.map((machine) => judge(`${mark}/${machine.id}`, one, machine, now)).filter((change) => change !== null));
  const marks = new Set(live.map(([mark]) => mark));
  for (const open of firing().filter(({ id }) => id.includes('/') && !marks.has(id.split('/')[0]))) {
    changed.push({ ...Object.assign(open, { state: 'resolved', resolved: now, resolution: 'rule_gone' }) });
  }
  return changed;
}

function judge(id, one, machine, now) {
  const open = alerts.find((known) => known.id === id && known.state === 'firing');
  const value = layoutOf(machine).find(({ metric }) => metric === one.metric)?.value(now);
  if (value === undefined || machine.status !== 'up') return null;
  if (open === undefined && fits(one, machine) && HOLDS[one.operator](value, one.threshold) && firing().length < 200) {
    const made = { ...alert(id, machine.id, one.name, 'firing', 0, 0, value, {}, one.summary), since: now };
    alerts = [made, ...alerts.filter((old) => old.id !== id)].slice(0, 500);
    return made;
  }
  if (open === undefined || HOLDS[one.operator](value, one.clear ?? one.threshold)) return null;
  return { ...Object.assign(open, { state: 'resolved', resolved: now, resolution: 'value', value }) };
}

/** The silences that were made, newest last; one fits by rule, machine and labels, exactly. */
let silences = [];

function stand() {
  const fits = ({ matchers }, one) => matchers.rules.includes(one.rule) && matchers.machines.includes(one.machine)
    && Object.entries(matchers.labels).every(([name, value]) => one.labels[name] === value);
  for (const one of firing()) {
    const found = silences.find((silence) => fits(silence, one));
    Object.assign(one, { standing: found === undefined ? 'active' : 'silenced', silence: found?.id ?? null });
  }
}

function groups() {
  const byRule = new Map();
  for (const one of firing()) byRule.set(one.rule, [...(byRule.get(one.rule) ?? []), one]);
  return [...byRule].map(([name, members]) => {
    const count = (how) => members.filter(({ standing }) => standing === how).length;
    return {
      key: { rule: name }, count: members.length, active: count('active'), silenced: count('silenced'), inhibited: count('inhibited'),
      severity: members[0].severity, severity_active: count('active') > 0 ? members[0].severity : null,
      since: Math.min(...members.map(({ since }) => since)), members: members.slice(0, 20),
    };
  });
}

async function change(request, response, path) {
  let text = '';
  for await (const chunk of request) text += chunk;
  const named = /^\/rules(?:\/([^/]+))?$/.exec(path);
  if (named !== null) return changeRule(request, response, named[1], text === '' ? null : JSON.parse(text));
  if (request.method === 'POST' && path === '/silences') {
    const body = JSON.parse(text);
    const made = { id: `s${silences.length + 1}`, ...body, starts_at: Date.now(), ends_at: Date.now() + body.for_s * 1000 };
    silences = [...silences, made];
    record(request, 'silence_created', made.id, JSON.stringify(made.matchers));
    stand();
    return json(response, { ...made, state: 'active' }, 201);
  }
  const ended = /^\/silences\/(.+)$/.exec(path)?.[1];
  if (request.method === 'DELETE' && silences.some(({ id }) => id === ended)) {
    silences = silences.filter(({ id }) => id !== ended);
    stand();
    return response.writeHead(204).end();
  }
  if (request.method === 'POST' && path.startsWith('/dead-letters/')) return resend(response, path.split('/')[2]);
  return problem(response, 404, 'unknown_silence', `no silence is called ${ended}`);
}

/** Dead letters that were sent again, with the time. */
const resent = new Map();

function resend(response, id) {
  const now = Date.now();
  const waiting = deadLetters(machines, now, resent).filter((letter) => letter.resent === null && letter.obstacle === null && (id === 'resend' || letter.id === id));
  if (waiting.length === 0 && id !== 'resend') return problem(response, 404, 'unknown_dead_letter', `no letter ${id} waits`);
  for (const letter of waiting) resent.set(letter.id, now);
  return json(response, { letters: waiting.length, samples: waiting.reduce((sum, { kept }) => sum + kept, 0), refused: 0, refusals: [], more: false });
}

function hub() {
  const count = (status) => machines.filter((machine) => machine.status === status).length;
  return {
    samples_per_s: machines.reduce((sum, machine) => sum + (machine.status === 'up' ? layoutOf(machine).length / 5 : 0), 0),
    machines: { up: count('up'), stale: count('stale'), down: count('down') },
    series: machines.reduce((sum, machine) => sum + layoutOf(machine).length, 0), clients: sockets.clients.size,
    latency_ms: options.latency ? { p50: 6.2, p99: 23.8, max: 41.5 } : { p50: null, p99: null, max: null }, degraded: [],
  };
}

// HTTP ----------------------------------------------------------------------------------------------------------------

function json(response, body, status = 200) {
  response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' });
  response.end(JSON.stringify(body));
}

const problem = (response, status, code, detail) => json(response, { type: 'about:blank', title: 'Error', status, code, detail }, status);

function parseTime(text, now) {
  if (text === null || text === 'now') return now;
  const relative = /^now-(\d+)([smhdw])$/.exec(text);
  if (relative) return now - Number(relative[1]) * { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 }[relative[2]];
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
}

function machineRoute(response, parts, query, now) {
  const machine = byId.get(decodeURIComponent(parts[0]));
  if (machine === undefined) return problem(response, 404, 'unknown_machine', `no machine is named ${JSON.stringify(parts[0])}`);
  if (parts[1] === undefined) return json(response, describe(machine, now, alerts, true));
  if (parts[1] !== 'history') return problem(response, 404, 'not_found', 'no such path');
  const from = parseTime(query.get('from') ?? 'now-1h', now);
  const to = parseTime(query.get('to'), now);
  return json(response, history(machine, query.getAll('metric'), from, to, Number(query.get('max_points') ?? 600), now));
}

const HOTTEST = {
  'system.cpu.utilization': 'cpu', 'system.memory.utilization': 'memory', 'system.filesystem.utilization': 'disk',
  'system.network.receive.bytes_rate': 'net_rx', 'system.cpu.load_average.1m': 'load1',
};

function hottest(k, now) {
  const all = machines.filter((machine) => machine.status === 'up').map((machine) => describe(machine, now, alerts, false));
  const metrics = Object.entries(HOTTEST).map(([metric, field]) => {
    const ranked = all.filter((one) => one.summary[field] !== null).sort((a, b) => b.summary[field] - a.summary[field]).slice(0, k);
    return { metric, unit: '1', display: field, machines: ranked.map((one) => ({ id: one.id, value: one.summary[field] })) };
  });
  return { minute: Math.floor((now - 9e4) / 6e4) * 6e4, metrics };
}

const unitOf = (metric) => METRICS.find(({ name }) => name === metric)?.unit ?? '';

/** One metric of several machines. */
function historyOf(query, now) {
  const [metric, from, to] = [query.get('metric'), parseTime(query.get('from') ?? 'now-1h', now), parseTime(query.get('to'), now)];
  const known = query.getAll('machine').filter((id) => byId.has(id));
  const answers = known.map((id) => history(byId.get(id), [metric], from, to, Number(query.get('max_points') ?? 600), now));
  const { tier = 'raw', step_ms = 5000 } = answers[0] ?? {};
  return { metric, unit: unitOf(metric), from, to, tier, step_ms, partial: false, machines: answers.map(({ machine, series }) => ({ machine, series })), unknown: query.getAll('machine').filter((id) => !byId.has(id)) };
}

function rollups(query, now) {
  const [metric, tag, from, to] = [query.get('metric'), query.get('tag') ?? '', parseTime(query.get('from') ?? 'now-1h', now), parseTime(query.get('to'), now)];
  const values = tag === '' ? [null] : [...new Set(machines.map(({ tags }) => tags[tag]).filter((value) => value !== undefined))].sort();
  const series = values.map((value) => {
    const members = machines.filter(({ tags }) => value === null || tags[tag] === value).slice(0, 5);
    const points = members.map((machine) => history(machine, [metric], from, to, 60, now).series[0]).filter(Boolean);
    const at = points[0]?.t ?? [];
    const every = (pick) => at.map((_, index) => pick(points.map(({ v }) => v[index]).filter((one) => one !== undefined)));
    const sum = every((all) => all.reduce((a, b) => a + b, 0));
    return { tag: value === null ? null : { name: tag, value }, t: at, machines: at.map(() => members.length), count: at.map(() => 12 * members.length), sum, min: every((all) => Math.min(...all)), max: every((all) => Math.max(...all)), mean: sum.map((one) => one / members.length) };
  });
  return { metric, unit: unitOf(metric), from, to, step_ms: (to - from) / 60, partial: false, series };
}

function api(response, path, query) {
  const now = Date.now();
  const parts = path.split('/').filter(Boolean);
  if (parts[0] === 'machines' && parts.length > 1) return machineRoute(response, parts.slice(1), query, now);
  if (path === '/machines') return json(response, { machines: machines.map((machine) => describe(machine, now, alerts, false)), next: null });
  if (path === '/history') return json(response, historyOf(query, now));
  if (path === '/fleet/rollups') return json(response, rollups(query, now));
  if (path === '/fleet/hottest') {
    const all = hottest(Number(query.get('k') || 10), now);
    const metric = query.get('metric') || null;
    return json(response, { ...all, metrics: all.metrics.filter((one) => metric === null || one.metric === metric) });
  }
  if (path === '/rules') return json(response, { rules, next: null, version: 1 });
  if (parts[0] === 'rules') {
    const found = rules.find(({ name }) => name === parts[1]);
    return found === undefined ? problem(response, 404, 'unknown_rule', `no rule is called ${parts[1]}`) : json(response, found);
  }
  if (path === '/audit') return json(response, auditPage(query));
  if (path === '/config') return json(response, { version: 'mock', settings: CONFIG });
  if (path === '/pipeline') return json(response, pipeline(hub().samples_per_s, sockets.clients.size, started, now));
  if (path === '/synthetic') return json(response, synthetic(now, started));
  if (path === '/dead-letters') return json(response, { dead_letters: deadLetters(machines, now, resent), next: null });
  if (path === '/metrics') return json(response, { metrics: METRICS, next: null });
  if (path === '/silences') return json(response, { silences: silences.map((one) => ({ ...one, state: 'active' })), next: null });
  if (path === '/alerts/groups') return json(response, { groups: groups(), next: null });
  if (path === '/alerts') return json(response, { alerts: firing(), next: null });
  if (path === '/alerts/history') {
    const machine = query.get('machine');
    return json(response, { alerts: alerts.filter((one) => machine === null || one.machine === machine), next: null });
  }
  return problem(response, 404, 'not_found', `nothing is at ${path}`);
}

const escape = (text) => String(text).replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign]);
const percent = (value) => `${(value * 100).toFixed(1)} %`;
const time = (ms) => (ms === null ? '' : `<time datetime="${new Date(ms).toISOString()}">${new Date(ms).toISOString()}</time>`);

const last = (one) => (one.state === 'resolved' ? `<td>${time(one.resolved)}</td>`
  : `<td data-standing="${one.standing}" data-rule="${escape(one.rule)}" data-machine="${escape(one.machine)}" data-labels="${escape(JSON.stringify(one.labels))}"${one.silence === null ? '' : ` data-silence="${one.silence}"`}>${one.standing}</td>`);

function fragment(response, query) {
  const state = query.get('state') ?? 'active';
  const rows = alerts.filter((one) => (state === 'active') === (one.state === 'firing')).map((one) =>
    `<tr data-severity="${one.severity}"><td>${one.severity}</td><td><a href="/machines/${encodeURIComponent(one.machine)}">${escape(one.machine)}</a></td>` +
    `<td>${escape(one.rule)}</td><td>${percent(one.value)} ≥ ${percent(one.threshold)}</td><td>${time(one.since)}</td>${last(one)}</tr>`);
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
  response.end(rows.join('\n'));
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
  if (request.method !== 'GET' && url.pathname.startsWith('/api/v1')) return change(request, response, url.pathname.slice('/api/v1'.length));
  if (url.pathname.startsWith('/api/v1')) return api(response, url.pathname.slice('/api/v1'.length), url.searchParams);
  if (url.pathname === '/fragments/alerts') return fragment(response, url.searchParams);
  return asset(response, url.pathname);
});

// WebSocket -----------------------------------------------------------------------------------------------------------

const sockets = new WebSocketServer({ server, path: '/ws' });

sockets.on('connection', (socket) => {
  const client = { seq: 0, wanted: null, seen: new Map(), sentAt: 0 };
  socket.client = client;
  socket.send(JSON.stringify({ type: 'hello', protocol: 1, server_time: Date.now(), session: 'mock', version: 'mock', seq: 0 }));
  socket.on('message', (data) => {
    let message;
    try {
      message = JSON.parse(String(data));
    } catch {
      message = {};
    }
    if (message.type !== 'subscribe') return send(socket, { type: 'error', detail: 'send {"type":"subscribe",…}' });
    client.wanted = message;
    client.seen.clear();
    return update(socket, 'snapshot', firing());
  });
});

function send(socket, message) {
  socket.client.seq += 1;
  socket.send(JSON.stringify({ ...message, seq: socket.client.seq }));
}

function update(socket, type, changedAlerts) {
  const { wanted, seen } = socket.client;
  const now = Date.now();
  const isAll = wanted.machines.includes('*');
  const listed = (id) => isAll || wanted.machines.includes(id);
  const changed = machines.filter((machine) => listed(machine.id)).map((machine) => describe(machine, now, alerts, wanted.detail === 'full'))
    .filter((machine) => seen.get(machine.id) !== `${machine.last_seen}/${machine.alerts.critical}/${machine.alerts.warning}`);
  for (const machine of changed) seen.set(machine.id, `${machine.last_seen}/${machine.alerts.critical}/${machine.alerts.warning}`);
  const relevant = changedAlerts.filter(({ machine }) => listed(machine));
  socket.client.sentAt = now;
  if (type === 'snapshot' || changed.length > 0 || relevant.length > 0) {
    send(socket, { type, time: now, hub: hub(), machines: changed, alerts: relevant, removed: [] });
  }
}

setInterval(() => {
  const changed = evaluate(Date.now());
  for (const socket of sockets.clients) {
    const { wanted, sentAt } = socket.client;
    if (wanted === null || Date.now() - sentAt < Math.min(wanted.rate_ms, 1000) - 50) continue;
    update(socket, 'delta', changed);
  }
}, 1000);

server.listen(Number(options.port), '127.0.0.1', () => console.log(`mock hub on http://127.0.0.1:${server.address().port}`));
