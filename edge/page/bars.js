// How much of each day a machine was heard from, and when machines were down, as edge/src/relay/bars.rs tells it.

const DAYS = 90;
const BAR_STEP = 4;
const BAR_HEIGHT = 24;
const DAYS_NAMED_MAX = 3;
const [GOOD, FAIR] = [995, 950];
const LEVELS = [['good', BAR_HEIGHT], ['fair', 16], ['poor', 8], ['unknown', 2]];

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
