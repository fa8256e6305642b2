// Keeps the public page live over the edge's WebSocket. Without it the page is complete, only older: every word and picture here is made
// the same way as in edge/src/relay/page.rs, chart.rs and format.rs. docs/EDGE.md describes the messages.
'use strict';

(() => {
  const POINTS = 60;
  const STEP = 2;
  const HEIGHT = 40;
  const MARGIN = 1;
  const STALE_AFTER_MS = 30000;
  const RETRY_MS_MIN = 1000;
  const RETRY_MS_MAX = 30000;
  const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

  /** The newest snapshot, kept up to date. */
  let picture = null;
  /** When its newest message was made, by the edge's clock, and how far that is from ours. */
  let received = null;
  let offset = 0;
  let retryMs = RETRY_MS_MIN;

  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const setText = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };
  const set = (element, name, value) => {
    if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
  };

  function short(value) {
    const size = Math.abs(value);
    return size >= 10 || size === 0 ? whole(value) : tenths(value).toFixed(1);
  }

  const whole = (value) => Math.round(value).toFixed(0);
  const tenths = (value) => Math.round(value * 10) / 10;

  function bytes(value) {
    let at = 0;
    while (Math.abs(value) >= 1024 && at + 1 < UNITS.length) {
      value /= 1024;
      at += 1;
    }
    return `${short(value)} ${UNITS[at]}`;
  }

  function seconds(value) {
    const size = Math.abs(value);
    if (size < 1) return `${whole(value * 1000)} ms`;
    if (size < 120) return `${whole(value)} s`;
    if (size < 7200) return `${whole(value / 60)} min`;
    if (size < 172800) return `${whole(value / 3600)} h`;
    return `${whole(value / 86400)} d`;
  }

  function format(kind, value) {
    if (value === null || value === undefined) return '–';
    switch (kind) {
      case 'ratio': return `${short(value * 100)} %`;
      case 'bytes': return bytes(value);
      case 'bytes_per_second': return `${bytes(value)}/s`;
      case 'per_second': return `${short(value)}/s`;
      case 'seconds': return seconds(value);
      case 'celsius': return `${short(value)} °C`;
      default: return short(value);
    }
  }

  function ago(ms) {
    const age = Math.max(0, Math.floor(ms / 1000));
    return age < 1 ? 'just now' : `${seconds(age)} ago`;
  }

  function rangeOf(points) {
    const known = points.filter((value) => value !== null);
    return known.length === 0 ? null : [Math.min(...known), Math.max(...known)];
  }

  function between(kind, [low, high]) {
    const [from, to] = [format(kind, low), format(kind, high)];
    return from === to ? from : `${from} to ${to}`;
  }

  function paths(kind, points) {
    const range = rangeOf(points);
    let [line, area, before] = ['', '', false];
    if (range === null) return [line, area];
    const top = kind === 'ratio' ? 1 : range[1] > 0 ? range[1] : 1;
    const first = POINTS - Math.min(points.length, POINTS);
    points.forEach((value, index) => {
      if (value === null) {
        if (before) area += `V${HEIGHT}Z`;
        before = false;
        return;
      }
      const x = (first + index) * STEP;
      const y = tenths(Math.min(HEIGHT, Math.max(0, HEIGHT - MARGIN - (value * (HEIGHT - 2 * MARGIN)) / top))).toFixed(1);
      line += before ? `L${x} ${y}` : `M${x} ${y}h0`;
      area += before ? `L${x} ${y}` : `M${x} ${HEIGHT}V${y}`;
      before = true;
    });
    if (before) area += `V${HEIGHT}Z`;
    return [line, area];
  }

  function showNow(card, machine) {
    set(card, 'data-status', machine.status);
    setText(card.querySelector('.word'), machine.status);
    const silent = machine.silent_ms === null ? '' : `no data for ${seconds(Math.max(1, Math.floor(machine.silent_ms / 1000)))}`;
    setText(card.querySelector('.silence'), silent);
    all('.metric', card).forEach((section, at) => {
      const { kind, label } = picture.metrics[at];
      const value = machine.values[at];
      const text = format(kind, value);
      setText(section.querySelector('.value'), text);
      const gauge = section.querySelector('.gauge');
      if (gauge === null) return;
      const share = tenths(Math.min(1, Math.max(0, value ?? 0)) * 100);
      set(gauge, 'data-level', share >= 90 ? 'high' : share >= 75 ? 'raised' : 'calm');
      set(gauge, 'aria-label', `${label} ${text}`);
      set(gauge.querySelector('.part'), 'width', share.toFixed(1));
    });
  }

  function showCharts(card, machine) {
    all('.metric', card).forEach((section, at) => {
      const { kind, label } = picture.metrics[at];
      const points = machine.charts[at];
      const range = rangeOf(points);
      const [line, area] = paths(kind, points);
      set(section.querySelector('.line'), 'd', line);
      set(section.querySelector('.area'), 'd', area);
      const words = range === null ? `${label}: no values in the last hour` : `${label} in the last hour: ${between(kind, range)}`;
      set(section.querySelector('.chart'), 'aria-label', words);
      setText(section.querySelector('.range'), range === null ? 'no values' : between(kind, range));
    });
  }

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

  function show(withCharts) {
    const cards = all('.machine');
    picture.machines.forEach((machine, at) => {
      showNow(cards[at], machine);
      if (withCharts) showCharts(cards[at], machine);
    });
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
    const labels = all('.machine:first-child h3').map((label) => label.textContent);
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
        else show(true);
        return;
      case 'step':
        picture.minute = message.minute;
        picture.machines.forEach((machine, at) => {
          machine.charts.forEach((chart, metric) => {
            chart.push(message.points[at][metric]);
            if (chart.length > POINTS) chart.shift();
          });
        });
        if (fits()) show(true);
        return;
      case 'now':
        received = message.time;
        picture.machines.forEach((machine, at) => Object.assign(machine, message.machines[at]));
        if (fits()) show(false);
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

  setInterval(showAge, 1000);
  connect();
})();
