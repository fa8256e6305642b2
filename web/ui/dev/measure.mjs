// What the dashboard costs a browser: `node dev/measure.mjs URL [--path /] [--steady 60] [--minutes 10] [--runs 5] [--profile FILE]`, on
// a hub that has its machines already. Prints one line per figure. benches/README.md says how it is run and what it gave; it is no
// test, because a machine that does other things beside measures those.

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { launch } from './browser.mjs';

const { values: options, positionals: [url = 'http://127.0.0.1:8000'] } = parseArgs({
  options: {
    path: { type: 'string', default: '/' }, steady: { type: 'string', default: '60' }, minutes: { type: 'string', default: '10' },
    runs: { type: 'string', default: '5' }, profile: { type: 'string' },
  },
  allowPositionals: true,
});
const VIEWPORT = { width: 1400, height: 900 };
/** From the first row on, until values have come twice: what the start costs is not what living costs. */
const WARM_MS = 15_000;
const SCREENS = ['/', '/alerts', '/rules', '/rules/~new', '/compare', '/pipeline', '/audit', '/settings'];
const TICKS_PER_S = 100;

const say = (what, value) => console.log(`${what.padEnd(44)} ${value}`);
const ms = (value) => `${value.toFixed(0)} ms`;
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const pause = (howLong) => new Promise((resolve) => setTimeout(resolve, howLong));

/** Runs in the page: when the first machine's row was there with its values, and the page free to hear. */
function watchStart() {
  const watcher = new MutationObserver(() => {
    const row = document.querySelector('tr[data-id] .col-cpu .value');
    if (row === null || row.textContent === '') return;
    watcher.disconnect();
    window.shownAt = performance.now();
    requestAnimationFrame(() => setTimeout(() => (window.usableAt = performance.now())));
  });
  watcher.observe(document, { childList: true, subtree: true });
}

/** From a key in the search field to the painted answer. */
async function inputLatency(page) {
  await page.focus('#search');
  await page.evaluate(() => {
    window.typed = [];
    document.querySelector('#search').addEventListener('input', (event) => requestAnimationFrame(() => setTimeout(() => window.typed.push(performance.now() - event.timeStamp))));
  });
  for (const key of 'fleet-00') {
    await page.keyboard.press(key);
    await page.waitForTimeout(150);
  }
  const typed = await page.evaluate(() => window.typed);
  await page.fill('#search', '');
  return typed;
}

async function start(browser) {
  const starts = [];
  const typed = [];
  for (let run = 0; run < Number(options.runs); run += 1) {
    const context = await browser.newContext({ viewport: VIEWPORT });
    const page = await context.newPage();
    await page.addInitScript(watchStart);
    await page.goto(url);
    await page.waitForFunction(() => window.usableAt !== undefined, undefined, { timeout: 60_000 });
    starts.push(await page.evaluate(() => window.usableAt));
    typed.push(...(await inputLatency(page)));
    await context.close();
  }
  say('start to first usable list, median', ms(median(starts)));
  say('start to first usable list, worst', ms(Math.max(...starts)));
  say('key to painted answer, median', ms(median(typed)));
  say('key to painted answer, worst', ms(Math.max(...typed)));
}

/** All that every screen loads, cold, as it came over the wire, each file and the one document once; the live connection and the API's answers apart. */
async function transfer(browser) {
  const context = await browser.newContext({ viewport: VIEWPORT });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  const paths = new Map();
  const files = new Map();
  let answers = 0;
  session.on('Network.responseReceived', ({ requestId, response, type }) => paths.set(requestId, type === 'Document' ? 'document' : new URL(response.url).pathname));
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const path = paths.get(requestId) ?? '';
    if (path.startsWith('/api') || path.startsWith('/fragments')) answers += encodedDataLength;
    else files.set(path, Math.max(files.get(path) ?? 0, encodedDataLength));
  });
  const screens = options.path === '/' ? [...SCREENS, await machinePath()] : [options.path];
  for (const path of screens) {
    await page.goto(url + path);
    await page.waitForTimeout(1500);
  }
  say('page, scripts and styles of all screens', `${([...files.values()].reduce((sum, bytes) => sum + bytes, 0) / 1000).toFixed(1)} kB`);
  say('answers of the API meanwhile', `${(answers / 1000).toFixed(1)} kB`);
  await context.close();
}

async function machinePath() {
  const { machines } = await (await fetch(`${url}/api/v1/machines?limit=1`)).json();
  return `/machines/${machines[0].id}`;
}

/** User and system time of the page's own process, in seconds. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

async function renderers(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo;
}

async function steady(browser) {
  const context = await browser.newContext({ viewport: VIEWPORT });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Performance.enable');
  await page.goto(url + options.path);
  await page.waitForTimeout(WARM_MS);
  const metric = async (...names) => {
    const { metrics } = await session.send('Performance.getMetrics');
    return names.map((name) => metrics.find((one) => one.name === name)?.value ?? 0);
  };
  const heap = async () => {
    await session.send('HeapProfiler.collectGarbage');
    return (await metric('JSHeapUsedSize'))[0] / 1e6;
  };
  say('heap at first', `${(await heap()).toFixed(1)} MB`);
  const pid = (await renderers(browser)).filter(({ type }) => type === 'renderer').sort((a, b) => b.cpuTime - a.cpuTime)[0].id;
  if (options.profile !== undefined) await profile(session, Number(options.steady) * 1000);
  const [cpu, [task, script, layout, style, at]] = [cpuOf(pid), await metric('TaskDuration', 'ScriptDuration', 'LayoutDuration', 'RecalcStyleDuration', 'Timestamp')];
  await pause(Number(options.steady) * 1000);
  const [cpuThen, [taskThen, scriptThen, layoutThen, styleThen, then]] = [cpuOf(pid), await metric('TaskDuration', 'ScriptDuration', 'LayoutDuration', 'RecalcStyleDuration', 'Timestamp')];
  const share = (from, to) => `${(((to - from) / (then - at)) * 100).toFixed(2)} % of a core`;
  say(`main thread over ${options.steady} s`, share(task, taskThen));
  say('  of it script', share(script, scriptThen));
  say('  of it layout', share(layout, layoutThen));
  say('  of it style', share(style, styleThen));
  say('the page\'s process, all threads', share(cpu, cpuThen));
  if (Number(options.minutes) > 0) {
    await pause(Math.max(0, Number(options.minutes) * 60_000 - WARM_MS - Number(options.steady) * 1000));
    say(`heap after ${options.minutes} min`, `${(await heap()).toFixed(1)} MB`);
  }
  await context.close();
}

/** Where the time goes by functions, the most expensive first; the file opens in a browser's developer tools. */
async function profile(session, howLong) {
  await session.send('Profiler.enable');
  await session.send('Profiler.setSamplingInterval', { interval: 200 });
  await session.send('Profiler.start');
  await pause(howLong);
  const { profile: taken } = await session.send('Profiler.stop');
  writeFileSync(options.profile, JSON.stringify(taken));
  const own = new Map();
  const names = new Map(taken.nodes.map(({ id, callFrame }) => [id, `${callFrame.functionName || '(anonymous)'} ${callFrame.url.split('/').at(-1)}:${callFrame.lineNumber + 1}:${callFrame.columnNumber}`]));
  taken.samples.forEach((id, index) => own.set(names.get(id), (own.get(names.get(id)) ?? 0) + taken.timeDeltas[index]));
  const total = taken.endTime - taken.startTime;
  for (const [name, us] of [...own].sort((a, b) => b[1] - a[1]).slice(0, 25)) say(name, `${((us / total) * 100).toFixed(2)} %`);
}

const browser = await launch();
try {
  if (options.path === '/') await start(browser);
  await transfer(browser);
  await steady(browser);
} finally {
  await browser.close();
}
