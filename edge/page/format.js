// Values and times as people read them, as edge/src/relay/format.rs writes them.

const DAY_MS = 86400000;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

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

const thousandths = (share) => (share % 10 === 0 ? `${share / 10} %` : `${Math.floor(share / 10)}.${share % 10} %`);

function day(number) {
  const at = new Date(number * DAY_MS);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
}
