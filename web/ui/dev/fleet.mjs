// A simulated fleet for the mock hub. Every value is a pure function of machine, series and time, so history and live values agree
// without anything being stored, and two runs with the same clock show the same.

const MINUTE = 60_000;

/** A stable hash of a text to 0..1. */
export function hash(text) {
  let state = 2166136261;
  for (let index = 0; index < text.length; index += 1) state = Math.imul(state ^ text.charCodeAt(index), 16777619);
  state = Math.imul(state ^ (state >>> 15), 2246822507);
  state = Math.imul(state ^ (state >>> 13), 3266489909);
  return ((state ^ (state >>> 16)) >>> 0) / 4294967296;
}

/** Smooth noise 0..1 that changes over `period` milliseconds. */
function noise(seed, time, period) {
  const at = time / period;
  const left = Math.floor(at);
  const share = at - left;
  const smooth = share * share * (3 - 2 * share);
  return hash(`${seed}:${left}`) * (1 - smooth) + hash(`${seed}:${left + 1}`) * smooth;
}

const clamp = (value) => Math.min(1, Math.max(0, value));

const ROLES = ['web', 'db', 'cache', 'queue', 'build', 'edge', 'mail', 'search'];
const SITES = ['eu', 'us', 'ap'];
const SYSTEMS = ['Debian 12', 'Ubuntu 24.04', 'Alpine 3.20', 'Fedora 42'];
const MODELS = ['AMD EPYC 7443P', 'Intel Xeon E-2388G', 'AMD Ryzen 9 7950X', 'Ampere Altra Q80'];

export function createMachine(index, now) {
  const role = ROLES[index % ROLES.length];
  const id = `${role}-${Math.floor(index / ROLES.length) + 1}`;
  const random = (name) => hash(`${id}/${name}`);
  const cores = [2, 4, 8, 16][Math.floor(random('cores') * 4)];
  const memory = cores * 4 * 1024 ** 3;
  const stopped = index > 0 && random('fate') < 0.012 ? 'down' : random('fate') < 0.024 && index > 0 ? 'stale' : 'up';
  return {
    id, role, cores, memory, interval: 5000,
    status: index === 5 ? 'down' : index === 9 ? 'stale' : stopped,
    tags: { role, site: SITES[Math.floor(random('site') * 3)], ...(random('tier') > 0.6 ? { tier: 'prod' } : {}) },
    host: {
      os: SYSTEMS[Math.floor(random('os') * 4)], kernel: '6.1.0-28-amd64', arch: 'x86_64', cpu_model: MODELS[Math.floor(random('model') * 4)],
      cores, memory_bytes: memory, agent_version: '0.1.0', boot_time: now - Math.floor((0.2 + random('boot') * 60) * 86_400_000),
    },
    disks: [
      { device: 'nvme0n1p2', mountpoint: '/', fstype: 'ext4', limit: 240 * 1024 ** 3, use: 0.2 + random('root') * 0.6 },
      { device: 'nvme1n1', mountpoint: role === 'db' ? '/var/lib/postgresql' : '/srv', fstype: 'xfs', limit: 2 * 1024 ** 4, use: 0.1 + random('srv') * (index === 1 ? 0.97 : 0.7) },
    ],
    hasTemperature: random('temperature') > 0.3,
    // A hole of some minutes, so that gaps can be seen on the charts.
    gapAt: now - (8 + random('gap') * 30) * MINUTE,
    gapMs: (1 + random('gap length') * 4) * MINUTE,
    layout: null,
  };
}

export function cpuOf(machine, time) {
  const base = 0.06 + hash(`${machine.id}/base`) * 0.4;
  const hot = machine.id === 'db-1' ? 0.35 : 0;
  const slow = noise(`${machine.id}/slow`, time, 14 * MINUTE) * 0.35;
  const fast = noise(`${machine.id}/fast`, time, 22_000) * 0.16;
  const spike = noise(`${machine.id}/spike`, time, 3 * MINUTE) ** 8 * 0.5;
  return clamp(base + hot + slow + fast + spike - 0.15);
}

const memoryOf = (machine, time) => clamp(0.25 + hash(`${machine.id}/memory`) * 0.5 + noise(`${machine.id}/m`, time, 40 * MINUTE) * 0.12);
const loadOf = (machine, time, period) => machine.cores * cpuOf(machine, time) * (0.7 + noise(`${machine.id}/load`, time, period) * 0.8);
const diskUse = (machine, disk, time) => clamp(machine.id === 'db-1' && disk.mountpoint !== '/' ? 0.955 + noise('full', time, 30 * MINUTE) * 0.02 : disk.use);
const traffic = (machine, kind, time) => 4e3 + (hash(`${machine.id}/${kind}`) * 3e6) * noise(`${machine.id}/${kind}/n`, time, 50_000) ** 2;

const MODES = { user: 0.62, system: 0.2, iowait: 0.08, nice: 0.03, irq: 0.02, softirq: 0.04, steal: 0.01 };

/** The series of a machine, each with its function of time. */
export function layoutOf(machine) {
  if (machine.layout !== null) return machine.layout;
  const layout = [];
  const add = (metric, unit, labels, value) => layout.push({ metric, unit, labels, value });
  add('system.cpu.utilization', '1', {}, (t) => cpuOf(machine, t));
  const weight = (mode, t) => MODES[mode] * (0.85 + 0.3 * noise(`${machine.id}/${mode}`, t, 45_000));
  const weights = (t) => Object.keys(MODES).reduce((sum, mode) => sum + weight(mode, t), 0);
  for (const mode of Object.keys(MODES)) {
    add('system.cpu.mode.utilization', '1', { 'cpu.mode': mode }, (t) => (cpuOf(machine, t) * weight(mode, t)) / weights(t));
  }
  add('system.cpu.mode.utilization', '1', { 'cpu.mode': 'idle' }, (t) => 1 - cpuOf(machine, t));
  for (let core = 0; core < machine.cores; core += 1) {
    add('system.cpu.core.utilization', '1', { cpu: String(core) }, (t) => clamp(cpuOf(machine, t) * (0.6 + 0.7 * noise(`${machine.id}/core${core}`, t, 110_000))));
  }
  add('system.cpu.load_average.1m', '1', {}, (t) => loadOf(machine, t, MINUTE));
  add('system.cpu.load_average.5m', '1', {}, (t) => loadOf(machine, t, 5 * MINUTE));
  add('system.cpu.load_average.15m', '1', {}, (t) => loadOf(machine, t, 15 * MINUTE));
  add('system.memory.limit', 'By', {}, () => machine.memory);
  add('system.memory.used', 'By', {}, (t) => machine.memory * memoryOf(machine, t));
  add('system.memory.available', 'By', {}, (t) => machine.memory * (1 - memoryOf(machine, t)));
  add('system.memory.utilization', '1', {}, (t) => memoryOf(machine, t));
  add('system.memory.cached', 'By', {}, (t) => machine.memory * (1 - memoryOf(machine, t)) * 0.6);
  add('system.memory.buffers', 'By', {}, (t) => machine.memory * (1 - memoryOf(machine, t)) * 0.08);
  add('system.paging.limit', 'By', {}, () => 8 * 1024 ** 3);
  add('system.paging.usage', 'By', {}, (t) => 8 * 1024 ** 3 * 0.2 * noise(`${machine.id}/swap`, t, 60 * MINUTE));
  add('system.paging.utilization', '1', {}, (t) => 0.2 * noise(`${machine.id}/swap`, t, 60 * MINUTE));
  for (const disk of machine.disks) {
    const labels = { device: disk.device, mountpoint: disk.mountpoint, fstype: disk.fstype };
    add('system.filesystem.limit', 'By', labels, () => disk.limit);
    add('system.filesystem.usage', 'By', labels, (t) => disk.limit * diskUse(machine, disk, t));
    add('system.filesystem.utilization', '1', labels, (t) => diskUse(machine, disk, t));
    add('system.filesystem.inodes.utilization', '1', labels, () => disk.use / 3);
    add('system.filesystem.readonly', '1', labels, () => 0);
    const device = { device: disk.device };
    add('system.disk.read.bytes_rate', 'By/s', device, (t) => traffic(machine, `r${disk.device}`, t) * 4);
    add('system.disk.write.bytes_rate', 'By/s', device, (t) => traffic(machine, `w${disk.device}`, t) * 3);
    add('system.disk.read.operations_rate', '1/s', device, (t) => traffic(machine, `r${disk.device}`, t) / 9e3);
    add('system.disk.write.operations_rate', '1/s', device, (t) => traffic(machine, `w${disk.device}`, t) / 9e3);
    add('system.disk.busy', '1', device, (t) => clamp(0.3 * noise(`${machine.id}/busy`, t, MINUTE)));
  }
  add('system.network.receive.bytes_rate', 'By/s', { device: 'eth0' }, (t) => traffic(machine, 'rx', t));
  add('system.network.transmit.bytes_rate', 'By/s', { device: 'eth0' }, (t) => traffic(machine, 'tx', t));
  add('system.network.receive.bytes_rate', 'By/s', { device: 'lo' }, () => 5e5);
  add('system.network.transmit.bytes_rate', 'By/s', { device: 'lo' }, () => 5e5);
  add('system.network.connection.count', '1', {}, (t) => Math.round(40 + 900 * noise(`${machine.id}/tcp`, t, 4 * MINUTE)));
  add('system.process.count', '1', {}, (t) => Math.round(180 + 60 * noise(`${machine.id}/procs`, t, 9 * MINUTE)));
  for (const name of ['cpu.some', 'memory.some', 'memory.full', 'io.some', 'io.full']) {
    add(`system.pressure.${name}`, '1', {}, (t) => 0.12 * cpuOf(machine, t) * noise(`${machine.id}/${name}`, t, 2 * MINUTE) ** 2);
  }
  if (machine.hasTemperature) {
    add('system.temperature', 'Cel', { sensor: 'Package id 0' }, (t) => 38 + 40 * cpuOf(machine, t));
    add('system.temperature', 'Cel', { sensor: 'nvme0' }, (t) => 34 + 8 * noise(`${machine.id}/nvme`, t, 12 * MINUTE));
  }
  add('system.uptime', 's', {}, (t) => Math.floor((t - machine.host.boot_time) / 1000));
  machine.layout = layout;
  return layout;
}

/** The newest sample's time: machines tick at their own phase, and a stale or down one stopped a while ago. */
export function lastSeen(machine, now) {
  const phase = Math.floor(hash(`${machine.id}/phase`) * machine.interval);
  const last = Math.floor((now - phase) / machine.interval) * machine.interval + phase;
  if (machine.status === 'stale') return last - 40_000;
  return machine.status === 'down' ? machine.downSince ?? (machine.downSince = last - 11 * MINUTE) : last;
}

export function isGap(machine, time) {
  return time > machine.gapAt && time < machine.gapAt + machine.gapMs;
}

const NAMES = ['postgres', 'nginx', 'redis-server', 'node', 'java', 'sysmonstm', 'systemd', 'containerd', 'python3', 'sshd', 'prometheus', 'rsyslogd'];

function processes(machine, time) {
  const all = NAMES.map((name) => ({
    name,
    cpu: machine.cores * cpuOf(machine, time) * hash(`${machine.id}/${name}`) ** 3 * 0.8,
    memory: Math.round(machine.memory * hash(`${machine.id}/${name}/m`) ** 3 * 0.3),
  }));
  const top = (key) => [...all].sort((a, b) => b[key] - a[key]).slice(0, 10);
  return { time, by_cpu: top('cpu'), by_memory: top('memory') };
}

export function describe(machine, now, alerts, isFull) {
  const time = lastSeen(machine, now);
  const fullest = [...machine.disks].sort((a, b) => diskUse(machine, b, time) - diskUse(machine, a, time))[0];
  const counts = { warning: 0, critical: 0 };
  for (const alert of alerts) if (alert.machine === machine.id && alert.state === 'firing') counts[alert.severity] += 1;
  const layout = layoutOf(machine);
  return {
    id: machine.id, status: machine.status, last_seen: time, interval_ms: machine.interval, tags: machine.tags, host: machine.host,
    summary: {
      cpu: cpuOf(machine, time), cpu_time: time, memory: memoryOf(machine, time), swap: 0.2 * noise(`${machine.id}/swap`, time, 60 * MINUTE),
      disk: diskUse(machine, fullest, time), disk_mount: fullest.mountpoint, net_rx: traffic(machine, 'rx', time), net_tx: traffic(machine, 'tx', time),
      load1: loadOf(machine, time, MINUTE), pressure: 0.01, temperature: machine.hasTemperature ? 38 + 40 * cpuOf(machine, time) : null,
      uptime: Math.floor((time - machine.host.boot_time) / 1000),
    },
    alerts: counts,
    ...(isFull ? {
      series: layout.map(({ metric, labels, unit }) => ({ metric, labels, unit })),
      values: layout.map(({ value }) => value(time)),
      times: layout.map(() => time),
      processes: processes(machine, time),
    } : {}),
  };
}

const MINUTES = 60_000;
const HOURS = 3_600_000;

export function history(machine, metrics, from, to, maxPoints, now) {
  const tier = to - from <= 2 * HOURS ? 'raw' : to - from <= 72 * HOURS ? 'minute' : 'hour';
  const base = tier === 'raw' ? machine.interval : tier === 'minute' ? MINUTES : HOURS;
  const step = base * Math.max(1, Math.ceil((to - from) / base / maxPoints));
  const end = Math.min(to, lastSeen(machine, now));
  const series = layoutOf(machine).filter(({ metric }) => metrics.includes(metric)).map(({ metric, labels, unit, value }) => {
    const column = { metric, labels, unit, t: [], v: [], min: tier === 'raw' ? null : [], max: tier === 'raw' ? null : [] };
    const phase = tier === 'raw' ? Math.floor(hash(`${machine.id}/phase`) * machine.interval) : 0;
    for (let at = Math.ceil((from - phase) / step) * step + phase; at <= end; at += step) {
      if (tier === 'raw' && isGap(machine, at)) continue;
      const parts = tier === 'raw' ? [value(at)] : [0, 0.25, 0.5, 0.75].map((share) => value(at + share * step));
      column.t.push(at);
      column.v.push(parts.reduce((a, b) => a + b) / parts.length);
      column.min?.push(Math.min(...parts));
      column.max?.push(Math.max(...parts));
    }
    return column;
  });
  return { machine: machine.id, from, to, tier, step_ms: step, partial: false, series, minute: null };
}
