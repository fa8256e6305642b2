// What a machine measures now, and the last hour of it as a picture, as edge/src/relay/chart.rs draws it.

const POINTS = 60;
const STEP = 2;
const HEIGHT = 40;
const MARGIN = 1;

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
