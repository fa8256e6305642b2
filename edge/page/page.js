// Keeps the public page live over the edge's WebSocket. Without it the page is complete, only older: every word and picture here is made
// the same way as in edge/src/relay/page.rs, bars.rs, chart.rs and format.rs. docs/EDGE.md describes the messages.
'use strict';

(() => {
  const POINTS = 60;
  const STEP = 2;
  const HEIGHT = 40;
  const MARGIN = 1;
  const STALE_AFTER_MS = 30000;
  const RETRY_MS_MIN = 1000;
  const RETRY_MS_MAX = 30000;
  const DAYS = 90;
  const DAY_MS = 86400000;
  const BAR_STEP = 4;
  const BAR_HEIGHT = 24;
  const DAYS_NAMED_MAX = 3;
  const [GOOD, FAIR] = [995, 950];
  const LEVELS = [['good', BAR_HEIGHT], ['fair', 16], ['poor', 8], ['unknown', 2]];
  const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
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

  const thousandths = (share) => (share % 10 === 0 ? `${share / 10} %` : `${Math.floor(share / 10)}.${share % 10} %`);

  function day(number) {
    const at = new Date(number * DAY_MS);
    return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
  }

  /** Each day of which something is known, newest first. */
  const known = ({ last, shares }) => shares.map((share, at) => [last - shares.length + 1 + at, share]).filter(([, share]) => share !== null).reverse();

  function spanOf(days) {
    const all = known(days);
    const [first, last] = [day(all[all.length - 1][0]), day(all[0][0])];
    return first === last ? last : `${first} to ${last}`;
  }

  /** Of all days of which something is known; null without any. */
  function shareOf(days) {
    const all = days === null ? [] : known(days);
    return all.length === 0 ? null : Math.floor(all.reduce((sum, [, share]) => sum + share, 0) / all.length);
  }

  function captionOf(days) {
    if (days === null) return 'not known just now';
    if (shareOf(days) === null) return 'begins with the first whole hour';
    const less = known(days).filter(([, share]) => share < GOOD);
    const named = less.slice(0, DAYS_NAMED_MAX).map(([at, share]) => `${day(at)} (${thousandths(share)})`);
    const more = less.length - named.length;
    const rest = more === 0 ? '' : ` and ${more} more day${more === 1 ? '' : 's'}`;
    return spanOf(days) + (named.length === 0 ? '' : `; less on ${named.join(', ')}`) + rest;
  }

  /** One bar per day, the newest last. */
  function barsOf(days) {
    const shares = days === null ? [] : days.shares;
    return [...Array(Math.max(0, DAYS - shares.length)).fill(null), ...shares];
  }

  function showDays(card, days) {
    const section = card.querySelector('.past');
    const share = shareOf(days);
    const drawn = LEVELS.map(() => '');
    barsOf(days).forEach((one, at) => {
      const level = one === null ? 3 : one >= GOOD ? 0 : one >= FAIR ? 1 : 2;
      drawn[level] += `M${at * BAR_STEP + BAR_STEP / 2} ${BAR_HEIGHT}v-${LEVELS[level][1]}`;
    });
    LEVELS.forEach(([name], level) => set(section.querySelector(`.${name}`), 'd', drawn[level]));
    setText(section.querySelector('.value'), share === null ? '–' : thousandths(share));
    const words = share === null ? `The last ${DAYS} days are not known` : `Heard from ${thousandths(share)} of the time, ${spanOf(days)}`;
    set(section.querySelector('.days'), 'aria-label', words);
    setText(section.querySelector('.range'), captionOf(days));
  }

  function showIncidents({ is_complete: isComplete, newest }) {
    const two = (number) => String(number).padStart(2, '0');
    const items = newest.map(({ machine, from, to }) => {
      const at = new Date(from);
      const [item, name, time, lasted] = ['li', 'strong', 'time', 'span'].map((tag) => document.createElement(tag));
      name.textContent = picture.machines[machine].name;
      time.dateTime = at.toISOString().replace(/\.\d+Z$/, 'Z');
      time.textContent = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())} UTC`;
      lasted.textContent = to === null ? 'and still is' : `for ${seconds(Math.floor((to - from) / 1000))}`;
      item.append(name, ' was down from ', time, ' ', lasted);
      return item;
    });
    const section = document.querySelector('.incidents');
    if (section === null) return;
    section.querySelector('ul').replaceChildren(...items.flatMap((item) => [item, '\n']));
    const none = items.length === 0 ? `No machine was down in the last ${DAYS} days.` : `The newest of the last ${DAYS} days.`;
    setText(section.querySelector('.range'), isComplete ? none : 'What was before is not known just now.');
  }

  /** The day below the pointer, in the place of the caption. */
  function point({ target, type, clientX }) {
    const bars = target instanceof Element ? target.closest('.days') : null;
    const card = bars?.closest('.machine');
    const days = picture?.machines[all('.machine').indexOf(card)]?.days;
    if (!card || !days) return;
    const caption = card.querySelector('.past .range');
    if (type === 'pointerout') return setText(caption, captionOf(days));
    const { left, width } = bars.getBoundingClientRect();
    const at = Math.min(DAYS - 1, Math.max(0, Math.floor(((clientX - left) / width) * DAYS)));
    const share = barsOf(days)[at];
    setText(caption, `${day(days.last - DAYS + 1 + at)}: ${share === null ? 'not known' : `heard from ${thousandths(share)} of it`}`);
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
})();
