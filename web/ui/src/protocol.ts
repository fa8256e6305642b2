// The two contracts as types: docs/LIVE_PROTOCOL.md (messages over /ws) and docs/API.md (JSON under /api/v1).
// Plain data only. Units are base units, times are milliseconds since the Unix epoch, and an unknown value is null.

export type Status = 'up' | 'stale' | 'down';
export type Severity = 'info' | 'warning' | 'critical';
/** Whether anybody is to hear of a firing alert. */
export type Standing = 'active' | 'silenced' | 'inhibited';
export type Labels = Readonly<Record<string, string>>;

export interface Host {
  os: string | null;
  kernel: string | null;
  arch: string | null;
  cpu_model: string | null;
  cores: number | null;
  memory_bytes: number | null;
  agent_version: string | null;
  boot_time: number | null;
}

export interface Summary {
  cpu: number | null;
  /** When `cpu` was measured: the history has it under this time. */
  cpu_time: number | null;
  memory: number | null;
  swap: number | null;
  disk: number | null;
  disk_mount: string | null;
  net_rx: number | null;
  net_tx: number | null;
  load1: number | null;
  pressure: number | null;
  temperature: number | null;
  uptime: number | null;
}

/** The machines with the highest values of one metric. */
export interface HottestOf {
  metric: string;
  unit: string;
  display: string;
  machines: { id: string; value: number }[];
}

export interface Hottest {
  minute: number | null;
  metrics: HottestOf[];
}

export interface SeriesId {
  metric: string;
  labels: Labels;
  unit: string;
}

export interface ProcessUse {
  name: string;
  cpu: number | null;
  memory: number | null;
}

export interface Processes {
  time: number;
  by_cpu: ProcessUse[];
  by_memory: ProcessUse[];
}

export interface Machine {
  id: string;
  status: Status;
  last_seen: number | null;
  interval_ms: number | null;
  tags: Labels;
  host: Host | null;
  summary: Summary;
  alerts: { warning: number; critical: number };
  series?: SeriesId[];
  values?: (number | null)[];
  /** When each value was measured. */
  times?: (number | null)[];
  processes?: Processes | null;
}

export interface Alert {
  id: string;
  rule: string;
  machine: string;
  metric: string;
  labels: Labels;
  severity: Severity;
  state: 'firing' | 'resolved';
  operator: string;
  threshold: number;
  value: number | null;
  unit: string;
  since: number;
  resolved: number | null;
  /** Absent in what an older hub says. */
  resolution?: 'value' | 'rule_gone' | null;
  standing?: Standing;
  silence?: string | null;
  summary: string | null;
}

/** Firing alerts that share what their rules are grouped by. */
export interface AlertGroup {
  key: Labels;
  count: number;
  active: number;
  silenced: number;
  inhibited: number;
  severity: Severity;
  severity_active: Severity | null;
  since: number;
  members: { id: string; rule: string; machine: string }[];
}

export interface Silence {
  id: string;
  state: 'pending' | 'active' | 'ended';
  matchers: { rules?: string[]; machines?: string[]; tags?: Labels; labels?: Labels };
  starts_at: number;
  ends_at: number;
  author: string;
  comment: string;
}

export interface NewSilence {
  matchers: { rules: string[]; machines: string[]; labels: Labels };
  for_s: number;
  author: string;
  comment: string;
}

export interface Hub {
  samples_per_s: number | null;
  machines: { up: number; stale: number; down: number };
  series: number;
  clients: number;
  latency_ms: { p50: number | null; p99: number | null; max: number | null };
  degraded: string[];
}

export interface Hello {
  type: 'hello';
  protocol: number;
  server_time: number;
  /** Of the hub's run: what `at` belongs to. */
  instance?: string;
  session: string;
  version: string;
  seq: number;
}

export interface Update {
  type: 'snapshot' | 'delta';
  seq: number;
  time: number;
  /** How far the hub's picture is told with this; 0 inside a snapshot that goes on. */
  at?: number;
  hub: Hub;
  machines: Machine[];
  alerts: Alert[];
  removed: string[];
}

export interface ServerError {
  type: 'error';
  seq: number;
  detail: string;
}

export type ServerMessage = Hello | Update | ServerError;

/** What a new connection goes on from. */
export interface Resume {
  instance: string;
  at: number;
}

export interface Subscription {
  machines: string[];
  detail: 'summary' | 'full';
  rate_ms: number;
}

export type Tier = 'raw' | 'minute' | 'hour';

export interface HistorySeries {
  metric: string;
  labels: Labels;
  unit: string;
  t: number[];
  v: (number | null)[];
  min: (number | null)[] | null;
  max: (number | null)[] | null;
}

export interface History {
  machine: string;
  from: number;
  to: number;
  tier: Tier;
  step_ms: number;
  partial: boolean;
  series: HistorySeries[];
}

export interface Rule {
  name: string;
  metric: string;
  input?: string;
  operator: string;
  threshold: number;
  clear?: number | null;
  for_s?: number;
  no_data_s?: number | null;
  severity: Severity;
  enabled: boolean;
  source?: 'file' | 'own';
  /** Series that it applies to and is not held against: the hub has no place for them. */
  unjudged_series?: number;
  summary?: string;
  machines?: string[] | null;
  tags?: Labels | null;
  labels?: Labels | null;
  group_by?: string[];
}

/** A rule as it is sent; without a name it can be previewed only. */
export type RuleBody = Omit<Rule, 'name' | 'source' | 'unjudged_series'> & { name?: string };

export interface Metric {
  name: string;
  unit: string;
  kind: 'gauge' | 'counter' | 'event';
  display: string;
}

/** What a rule would have done in the last day. */
export interface RulePreview {
  from: number;
  to: number;
  tier: Tier;
  oldest: number | null;
  fired: number;
  machines: { matching: number; examined: number; fired: number };
  partial: ('deadline' | 'bounds' | 'history')[];
  listed: { id: string; fired: number; firing_s: number }[];
  worst: (HistorySeries & { machine: string; step_ms: number; alerts: { since: number; resolved: number | null; value: number | null; cause: string }[] }) | null;
}

/** What the hub stands on. */
export interface Dependency {
  name: string;
  status: 'up' | 'down';
  required: boolean;
  since: number;
  latency_ms: number | null;
  last_error: string | null;
  circuit?: string;
  detail?: string;
}

export interface OperatorFigures {
  name: string;
  scope: boolean;
  /** By the worker's index; rates are null on the first look. */
  workers: { busy_share: number | null; records_in_per_s: number | null; records_out_per_s: number | null; waiting_records: number; lag_ms: number | null }[];
}

export interface GraphFigures {
  over_s: number | null;
  workers: { awake_share: number | null; wakes_per_s: number | null }[];
  operators: OperatorFigures[];
  channels: { source: string; target: string }[];
}

export interface Pipeline {
  time: number;
  /** All before is durable and has left the graph. */
  complete_until: number;
  samples_per_s: number;
  frames_per_s: number;
  stages: { name: string; lag_ms: number | null; totals: Record<string, number> }[];
  queues: { name: string; depth: number; depth_max: number; capacity: number; sent: number; shed: number }[];
  graph: GraphFigures;
  clients: number;
  sinks: Dependency[];
}

export interface SyntheticFigures {
  enabled: boolean;
  every_ms: number;
  sent: number;
  under_way: number;
  duplicates: number;
  stages: { name: string; count: number; p50_ms: number | null; p99_ms: number | null; max_ms: number | null; late: number; lost: number; curve: [percent: number, ms: number][] }[];
}

export interface DeadLetter {
  id: string;
  machine: string;
  reason: string;
  /** The part of the hub that refused it. */
  source: string;
  count: number;
  /** How many of the samples the letter has. */
  kept: number;
  time: number;
  detail: string | null;
  /** When it was sent again. */
  resent: number | null;
  /** Why it can never be sent again. */
  obstacle: string | null;
}

/** What came of sending letters again. */
export interface ResendReport {
  letters: number;
  samples: number;
  refused: number;
  /** Some are sent in each call: ask again. */
  more: boolean;
}

/** One metric of several machines. */
export interface MachinesHistory {
  metric: string;
  unit: string;
  from: number;
  to: number;
  tier: Tier;
  step_ms: number;
  partial: boolean;
  machines: { machine: string; series: HistorySeries[] }[];
  unknown: string[];
}

/** A metric's minutes over the fleet, or over the machines with each value of a tag. */
export interface FleetRollups {
  metric: string;
  unit: string;
  step_ms: number;
  partial: boolean;
  series: { tag: { name: string; value: string } | null; t: number[]; machines: number[]; min: number[]; max: number[]; mean: (number | null)[] }[];
}

export interface AuditEntry {
  id: number;
  time: number;
  /** As they call themselves, or nothing. */
  author: string;
  address: string;
  via: 'http' | 'grpc' | 'hub';
  action: 'rule_created' | 'rule_updated' | 'rule_deleted' | 'rules_reloaded' | 'silence_created' | 'silence_ended' | 'command_sent' | 'letters_resent';
  subject: string;
  detail: string;
  failed: boolean;
}

/** An effective setting of the hub. */
export interface Setting {
  key: string;
  value: string;
  source: string;
}
