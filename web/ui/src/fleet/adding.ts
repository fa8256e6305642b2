// The command that brings a machine to this hub, or made-up ones to look around with. Pure.

export type Way = 'program' | 'collector' | 'source' | 'demo';

export const WAYS: readonly { id: Way; label: string }[] = [
  { id: 'program', label: 'sysmonstm' },
  { id: 'collector', label: 'The small collector' },
  { id: 'source', label: 'From a checkout' },
  { id: 'demo', label: 'Made-up machines' },
];

const PROGRAMS: Record<Exclude<Way, 'demo'>, string> = { program: 'sysmonstm collector', collector: 'sysmonstm-collector', source: 'cargo run --release -p collector' };

export interface Adding {
  /** Where the reader reaches this hub; `origin` with its scheme and port. */
  origin: string;
  host: string;
  port: number;
  name: string;
  tags: string;
}

export function commandOf(way: Way, { origin, host, port, name, tags }: Adding): string {
  const address = quoted(host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`);
  if (way === 'demo') return `sysmonstm synth run --hub ${quoted(origin)} --grpc ${address} --visible --name demo --machines 20 --duration 1h`;
  const parts = [`COLLECTOR_AGGREGATOR_URL=${address}`];
  if (name !== '') parts.push(`COLLECTOR_MACHINE_ID=${quoted(name)}`);
  if (tags !== '') parts.push(`COLLECTOR_TAGS=${quoted(tags)}`);
  return [...parts, PROGRAMS[way]].join(' ');
}

/** A shell takes these as they are. */
function quoted(text: string): string {
  return /^[\w.,:=@/+[\]-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Of `address:port`; null where there is none to tell others. */
export function portOf(address: string): number | null {
  const port = Number(/:(\d+)$/.exec(address)?.[1] ?? 0);
  return port > 0 ? port : null;
}

/** What keeps other machines from this hub. */
export function reachOf(address: string): string {
  const isAlone = /^(127\.|localhost|\[::1\])/.test(address);
  return isAlone ? `This hub listens on ${address} only, so nothing but this computer reaches it: other machines need --grpc-address with TLS, or --insecure in a network that is trusted.` : '';
}
