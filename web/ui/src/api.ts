// The REST half of the contract (docs/API.md): requests with a deadline, and errors that say what a person can do.

import { authorHeader } from './author.ts';
import type { Alert, AlertGroup, AuditEntry, DeadLetter, FleetRollups, History, Hottest, Machine, MachinesHistory, Metric, NewSilence, Pipeline, Processes, ResendReport, Rule, RuleBody, RulePreview, Setting, Silence, SyntheticFigures } from './protocol.ts';

const DEADLINE_MS = 15_000;
const MACHINE_PAGES_MAX = 20;

export class ApiError extends Error {
  readonly status: number;
  /** What is wrong with which field of the body. */
  readonly fields: readonly FieldError[];

  constructor(status: number, message: string, fields: readonly FieldError[] = []) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.fields = fields;
  }
}

export interface FieldError {
  field: string;
  detail: string;
}

interface Problem {
  title?: string;
  detail?: string;
  errors?: FieldError[];
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await ask(path, { headers: { accept: 'application/json' } }, signal)).json()) as T;
}

async function ask(path: string, request: RequestInit, signal?: AbortSignal): Promise<Response> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const combined = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  let response: Response;
  try {
    response = await fetch(path, { ...request, signal: combined });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new ApiError(0, deadline.aborted ? 'The hub took too long to answer.' : 'The hub cannot be reached.');
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response: Response): Promise<ApiError> {
  const said = `The hub answered ${response.status}.`;
  try {
    const problem = (await response.json()) as Problem;
    return new ApiError(response.status, sentence(problem.detail ?? problem.title ?? said), problem.errors);
  } catch {
    return new ApiError(response.status, said);
  }
}

/** What the hub says of a problem is part of a sentence there, and one of its own here. */
const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');

/** In words for a person, whatever was thrown. */
export const messageOf = (error: unknown): string => (error instanceof ApiError ? error.message : 'Something went wrong.');

function send(method: string, path: string, body: object, signal?: AbortSignal): Promise<Response> {
  return ask(path, { method, headers: { 'content-type': 'application/json', ...authorHeader() }, body: JSON.stringify(body) }, signal);
}

const rulePath = (name: string): string => `/api/v1/rules/${encodeURIComponent(name)}`;

const machinePath = (id: string): string => `/api/v1/machines/${encodeURIComponent(id)}`;

export interface HistoryQuery {
  metrics: readonly string[];
  from: number;
  to: number;
  maxPoints: number;
}

function historyParams(query: HistoryQuery): URLSearchParams {
  const params = new URLSearchParams(query.metrics.map((metric) => ['metric', metric]));
  params.set('from', String(Math.floor(query.from / 1000)));
  params.set('to', String(Math.ceil(query.to / 1000)));
  params.set('max_points', String(query.maxPoints));
  return params;
}

export const api = {
  machine: (id: string, signal?: AbortSignal): Promise<Machine> => get(machinePath(id), signal),

  /** Page after page, up to as many as a hub is made for. */
  machines: async (signal?: AbortSignal): Promise<Machine[]> => {
    const machines: Machine[] = [];
    let cursor: string | null = '';
    for (let page = 0; cursor !== null && page < MACHINE_PAGES_MAX; page += 1) {
      const answer: { machines: Machine[]; next: string | null } = await get(`/api/v1/machines?limit=1000&cursor=${encodeURIComponent(cursor)}`, signal);
      machines.push(...answer.machines);
      cursor = answer.next;
    }
    return machines;
  },

  /** What ran at an instant, in milliseconds; null where nobody knows. */
  processes: async (id: string, at: number, signal?: AbortSignal): Promise<Processes | null> => {
    const table = await get<Omit<Processes, 'time'> & { time: number | null }>(`${machinePath(id)}/processes?at=${at / 1000}`, signal);
    return table.time === null ? null : { ...table, time: table.time };
  },

  command: async (id: string, command: string): Promise<void> => {
    await send('POST', `${machinePath(id)}/commands/${command}`, {});
  },

  /** `from` and `to` in milliseconds; the query takes whole seconds. */
  history: (id: string, query: HistoryQuery, signal?: AbortSignal): Promise<History> => {
    return get(`${machinePath(id)}/history?${historyParams(query).toString()}`, signal);
  },

  /** How many samples of a metric came in each whole hour. */
  hourCounts: (id: string, metric: string, from: number, to: number, signal?: AbortSignal): Promise<History> => {
    const params = historyParams({ metrics: [metric], from, to, maxPoints: 10_000 });
    params.set('tier', 'hour');
    params.set('agg', 'count');
    return get(`${machinePath(id)}/history?${params.toString()}`, signal);
  },

  /** One metric of several machines. */
  historyOf: (machines: readonly string[], query: HistoryQuery, signal?: AbortSignal): Promise<MachinesHistory> => {
    const params = historyParams(query);
    for (const machine of machines) params.append('machine', machine);
    return get(`/api/v1/history?${params.toString()}`, signal);
  },

  /** `tag` names a tag whose values are groups; empty: the whole fleet. */
  rollups: ({ metric, tag, from, to }: { metric: string; tag: string; from: number; to: number }, signal?: AbortSignal): Promise<FleetRollups> => {
    const params = new URLSearchParams({ metric, tag, from: String(Math.floor(from / 1000)), to: String(Math.ceil(to / 1000)) });
    return get(`/api/v1/fleet/rollups?${params.toString()}`, signal);
  },

  hottest: (machines: number, signal?: AbortSignal, metric = ''): Promise<Hottest> => get(`/api/v1/fleet/hottest?${new URLSearchParams({ k: String(machines), metric }).toString()}`, signal),

  rules: async (signal?: AbortSignal): Promise<Rule[]> => (await get<{ rules: Rule[] }>('/api/v1/rules', signal)).rules,

  rule: (name: string, signal?: AbortSignal): Promise<Rule> => get(rulePath(name), signal),

  createRule: async (body: RuleBody): Promise<Rule> => (await (await send('POST', '/api/v1/rules', body)).json()) as Rule,

  updateRule: async (name: string, body: RuleBody): Promise<Rule> => (await (await send('PUT', rulePath(name), body)).json()) as Rule,

  deleteRule: async (name: string): Promise<void> => {
    await ask(rulePath(name), { method: 'DELETE', headers: authorHeader() });
  },

  previewRule: async (body: RuleBody, signal?: AbortSignal): Promise<RulePreview> => (await (await send('POST', '/api/v1/rules/preview', body, signal)).json()) as RulePreview,

  metrics: async (signal?: AbortSignal): Promise<Metric[]> => (await get<{ metrics: Metric[] }>('/api/v1/metrics', signal)).metrics,

  /** The newest alerts of the past week, of all machines. */
  recentAlerts: async (limit: number, signal?: AbortSignal): Promise<Alert[]> => (await get<{ alerts: Alert[] }>(`/api/v1/alerts/history?limit=${limit}`, signal)).alerts,

  /** A page of the record, newest first; `cursor` is the `next` of the page before. */
  audit: (cursor: string | null, signal?: AbortSignal): Promise<{ entries: AuditEntry[]; next: string | null }> => get(`/api/v1/audit?limit=50&cursor=${cursor ?? ''}`, signal),

  config: (signal?: AbortSignal): Promise<{ version: string; settings: Setting[] }> => get('/api/v1/config', signal),

  pipeline: (signal?: AbortSignal): Promise<Pipeline> => get('/api/v1/pipeline', signal),

  synthetic: (signal?: AbortSignal): Promise<SyntheticFigures> => get('/api/v1/synthetic', signal),

  deadLetters: async (limit: number, signal?: AbortSignal): Promise<DeadLetter[]> => (await get<{ dead_letters: DeadLetter[] }>(`/api/v1/dead-letters?limit=${limit}`, signal)).dead_letters,

  resend: async (id: string): Promise<ResendReport> => (await (await send('POST', `/api/v1/dead-letters/${encodeURIComponent(id)}/resend`, {})).json()) as ResendReport,

  /** Some of those that wait; `more` says whether to ask again. */
  resendAll: async (): Promise<ResendReport> => (await (await send('POST', '/api/v1/dead-letters/resend', {})).json()) as ResendReport,

  groups: async (signal?: AbortSignal): Promise<AlertGroup[]> => (await get<{ groups: AlertGroup[] }>('/api/v1/alerts/groups?limit=100', signal)).groups,

  /** Nobody is told of what it fits; the alerts themselves go on. */
  silence: async (silence: NewSilence): Promise<void> => {
    await send('POST', '/api/v1/silences', silence);
  },

  /** Those in force and those to come. */
  silences: async (signal?: AbortSignal): Promise<Silence[]> => {
    const { silences } = await get<{ silences: Silence[] }>('/api/v1/silences?limit=200', signal);
    return silences.filter(({ state }) => state !== 'ended');
  },

  endSilence: async (id: string): Promise<void> => {
    await ask(`/api/v1/silences/${encodeURIComponent(id)}`, { method: 'DELETE', headers: authorHeader() });
  },

  /** Page after page, newest first; `isWhole` is false when there are more than so many pages. */
  allAlerts: async (from: string, pages: number, signal?: AbortSignal): Promise<{ alerts: Alert[]; isWhole: boolean }> => {
    const alerts: Alert[] = [];
    let cursor = '';
    for (let page = 0; page < pages; page += 1) {
      const answer = await get<{ alerts: Alert[]; next: string | null }>(`/api/v1/alerts/history?${new URLSearchParams({ from, limit: '1000', cursor }).toString()}`, signal);
      alerts.push(...answer.alerts);
      if (answer.next === null) return { alerts, isWhole: true };
      cursor = answer.next;
    }
    return { alerts, isWhole: false };
  },

  alertHistory: async (machine: string, from: number, to: number, signal?: AbortSignal): Promise<Alert[]> => {
    const params = new URLSearchParams({ machine, from: String(Math.floor(from / 1000)), to: String(Math.ceil(to / 1000)), limit: '200' });
    return (await get<{ alerts: Alert[] }>(`/api/v1/alerts/history?${params.toString()}`, signal)).alerts;
  },
};
