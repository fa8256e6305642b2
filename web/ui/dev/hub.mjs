// What the mock hub says of itself: the figures of /api/v1/pipeline and /api/v1/synthetic, and a few dead letters.

const OPERATORS = ['source', 'normalize', 'batch', 'window', 'rollup', 'coarsen', 'evaluate', 'presence', 'live', 'history', 'hot'];
const CHANNELS = [['source', 'normalize'], ['normalize', 'batch'], ['normalize', 'coarsen'], ['normalize', 'presence'], ['batch', 'window'], ['window', 'FlatMap'], ['FlatMap', 'rollup'], ['FlatMap', 'evaluate'],
  ['coarsen', 'evaluate'], ['batch', 'evaluate'], ['batch', 'live'], ['batch', 'history'], ['rollup', 'Concat'], ['presence', 'Concat'], ['evaluate', 'Concat'], ['Concat', 'history'], ['Concat', 'hot'], ['live', 'hot']];
const CURVE = [[1, 0.6], [25, 0.9], [50, 1.4], [75, 2.1], [90, 3.4], [99, 8.2], [99.9, 21], [100, 44]];

const wobble = (seed, now) => 0.85 + 0.3 * Math.abs(Math.sin(now / 7000 + seed));

export function pipeline(samplesPerS, clients, started, now) {
  const frames = samplesPerS / 55;
  const seconds = (now - started) / 1000;
  const worker = (index) => ({
    busy_share: 0.02 * wobble(index, now) * (index + 1), schedules_per_s: 40, records_in_per_s: frames * wobble(index, now), records_out_per_s: frames * wobble(index + 1, now), waiting_records: index === 6 ? 3 : 0,
    lag_ms: index === 1 ? null : 100 * wobble(index, now), busy_s: seconds * 0.02, schedules: Math.round(seconds * 40), records_in: Math.round(frames * seconds), records_out: Math.round(frames * seconds),
  });
  return {
    time: now, complete_until: now - 104, samples_per_s: samplesPerS, frames_per_s: frames,
    stages: [
      { name: 'ingest', lag_ms: null, totals: { accepted: Math.round(samplesPerS * seconds), duplicate: 0, rejected: 17, shed: 0 } },
      { name: 'journal', lag_ms: null, totals: { bytes: Math.round(samplesPerS * seconds * 9) } },
      { name: 'graph', lag_ms: 104 * wobble(1, now), totals: { aggregated: Math.round(samplesPerS * seconds), late: 3, minutes: Math.round(seconds * 4) } },
      { name: 'history', lag_ms: 820 * wobble(2, now), totals: { backlog_bytes: 0, lost: 0 } },
    ],
    queues: [{ name: 'worker 0', depth: 2, depth_max: 61, capacity: 4096, sent: Math.round(frames * seconds), shed: 0 }, { name: 'history', depth: 240, depth_max: 300, capacity: 512, sent: Math.round(frames * seconds), shed: 0 }, { name: 'hot', depth: 0, depth_max: 12, capacity: 512, sent: Math.round(frames * seconds), shed: 0 }],
    graph: {
      over_s: 10, workers: [{ awake_share: 0.06 * wobble(3, now), wakes_per_s: 31 }],
      operators: OPERATORS.map((name, index) => ({ name, scope: false, workers: [worker(index)] })),
      channels: CHANNELS.map(([source, target]) => ({ source, source_port: 0, target, target_port: 0, workers: [{ records: 10, waiting_records: 0, waiting_messages: 0 }] })),
      arrangements: [{ name: 'rules by metric', records: 4, batches: 1, waiting_records: 0, approx_bytes: 640 }],
    },
    clients,
    sinks: [
      { name: 'journal', status: 'up', required: true, since: started, latency_ms: 1.4, last_error: null },
      { name: 'hot', status: 'up', required: true, since: started, latency_ms: 0.02, last_error: null },
      { name: 'history', status: 'up', required: false, since: started, latency_ms: 3.1, last_error: null, circuit: 'closed', detail: 'SQLite 3.50, WAL' },
      { name: 'redis', status: 'down', required: false, since: now - 95_000, latency_ms: null, last_error: 'connection refused', circuit: 'open' },
    ],
  };
}

export function synthetic(now, started) {
  const stage = (name, factor) => ({ name, count: Math.round((now - started) / 1000), p50_ms: 1.4 * factor, p99_ms: 8.2 * factor, max_ms: 44 * factor, late: 0, lost: name === 'history' ? 1 : 0, curve: CURVE.map(([percent, ms]) => [percent, ms * factor]) });
  return { time: now, enabled: true, every_ms: 1000, sent: 100, under_way: 1, duplicates: 0, stages: [stage('acknowledged', 1), stage('hot', 1.2), stage('alert', 1.6), stage('live', 1.9), stage('history', 120)] };
}

const REFUSALS = [['out_of_range', 'grpc_push', 'system.cpu.utilization = 1.7, at most 1.001', null], ['not_a_number', 'grpc_push', null, 'its values are no numbers'], ['too_old', 'grpc_stream_metrics', 'sent 25 h after it was measured', null], ['store_refused', 'postgres', 'relation is read-only', null]];

/** A few refusals; `resent` has the ids that were sent again, with the time. */
export const deadLetters = (machines, now, resent) => machines.slice(0, 4).map(({ id: machine }, index) => {
  const [reason, source, detail, obstacle] = REFUSALS[index];
  const id = `${index + 1}-0`;
  return { id, machine, reason, source, count: 1 + index * 3, kept: 1 + index * 2, time: now - (index + 1) * 610_000, detail, resent: resent.get(id) ?? null, obstacle };
});
