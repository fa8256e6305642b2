// Keeps the public page live over the edge's WebSocket. Without it the page is complete, only older: every word and picture here is made
// the same way as in edge/src/relay/page.rs. docs/EDGE.md describes the messages.

const STALE_AFTER_MS = 30000;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 30000;

/** The newest snapshot, kept up to date. */
let picture = null;
/** When its newest message was made, by the edge's clock, and how far that is from ours. */
let received = null;
let offset = 0;
let retryMs = RETRY_MS_MIN;

function summary() {
  const count = (status) => picture.machines.filter((machine) => machine.status === status).length;
  const [every, up] = [picture.machines.length, count('up')];
  if (every === 0) return ['no machines', 'none'];
  const worst = ['down', 'stale', 'up'].find((status) => count(status) > 0);
  if (up === every) return [every === 1 ? 'up' : `all ${every} up`, worst];
  const rest = ['stale', 'down'].filter((status) => count(status) > 0).map((status) => `, ${count(status)} ${status}`);
  return [`${up} of ${every} up${rest.join('')}`, worst];
}

function showAge() {
  if (received === null) return;
  const age = Date.now() + offset - received;
  const isOld = age >= STALE_AFTER_MS;
  setText(document.querySelector('.age time'), ago(age));
  const banner = document.querySelector('.banner');
  if (banner) {
    banner.hidden = !isOld;
    if (isOld) setText(banner.querySelector('span'), ago(age));
  }
  document.querySelector('main').classList.toggle('old', isOld);
}

function show({ charts = false, past = false }) {
  const cards = all('.machine');
  picture.machines.forEach((machine, at) => {
    showNow(cards[at], machine);
    if (charts) showCharts(cards[at], machine);
    if (past) showDays(cards[at], machine.days);
  });
  if (past) showIncidents(picture.incidents);
  const [text, worst] = summary();
  setText(document.querySelector('.summary span'), text);
  set(document.querySelector('.summary'), 'data-status', worst);
  document.title = `${picture.title}: ${text}`;
  set(document.querySelector('.age time'), 'datetime', new Date(received).toISOString().replace(/\.\d+Z$/, 'Z'));
  showAge();
}

/** Whether the page has a card for each machine, with a chart for each metric. */
function fits() {
  const names = all('.machine h2').map((name) => name.textContent);
  const labels = all('.machine:first-child .metric h3').map((label) => label.textContent);
  const wanted = picture.machines.length === 0 ? [] : picture.metrics.map((metric) => metric.label);
  const same = (one, other) => one.length === other.length && one.every((text, at) => text === other[at]);
  return (
    document.querySelector('main[data-empty]') === null &&
    document.querySelector('h1').textContent === picture.title &&
    same(names, picture.machines.map((machine) => machine.name)) &&
    same(labels, wanted)
  );
}

/** The server makes the cards: other machines are shown from here on. */
async function rebuild() {
  const answer = await fetch('/', { cache: 'no-store' });
  if (!answer.ok) throw new Error(`the page answers ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  document.body.replaceChildren(...page.body.children);
}

async function take(message, socket) {
  switch (message.type) {
    case 'hello':
      offset = message.server_time - Date.now();
      return;
    case 'snapshot':
      picture = message;
      received = message.time;
      if (!fits()) await rebuild();
      // It may have changed again meanwhile; the next snapshot is on its way then, or the next attempt brings it.
      if (!fits()) socket.close();
      else show({ charts: true, past: true });
      return;
    case 'step':
      picture.minute = message.minute;
      picture.machines.forEach((machine, at) => {
        machine.charts.forEach((chart, metric) => {
          chart.push(message.points[at][metric]);
          if (chart.length > POINTS) chart.shift();
        });
      });
      if (fits()) show({ charts: true });
      return;
    case 'past':
      picture.incidents = message.incidents;
      picture.machines.forEach((machine, at) => (machine.days = message.days[at]));
      if (fits()) show({ past: true });
      return;
    case 'now':
      received = message.time;
      picture.machines.forEach((machine, at) => Object.assign(machine, message.machines[at]));
      if (fits()) show({});
      return;
    default:
      // A later edge may say more than this page knows.
  }
}

function connect() {
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`);
  // One after the other: a snapshot may have to wait for the page.
  let before = Promise.resolve();
  socket.addEventListener('message', ({ data }) => {
    retryMs = RETRY_MS_MIN;
    before = before.then(() => take(JSON.parse(data), socket)).catch(() => socket.close());
  });
  socket.addEventListener('close', () => {
    setTimeout(connect, retryMs * (0.5 + Math.random() / 2));
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
  });
}

for (const type of ['pointermove', 'pointerdown', 'pointerout']) document.addEventListener(type, point);
setInterval(showAge, 1000);
connect();
