// The storage tiers: what a row of each is, how long it is kept, where, and how much was made since the start. Pure.

import { count } from '../format.ts';
import type { Pipeline, Setting } from '../protocol.ts';

export interface TierLine {
  tier: string;
  row: string;
  kept: string;
  made: string;
  where: string;
}

/** `series` is how many have a newest value; `settings` are the hub's, for how long it keeps what. */
export function tiersOf({ stages, sinks }: Pick<Pipeline, 'stages' | 'sinks'>, settings: readonly Setting[], series: number | null): TierLine[] {
  const setting = (key: string): string => settings.find((one) => one.key === key)?.value ?? '–';
  const total = (key: string): string => {
    const made = stages.find(({ name }) => name === 'graph')?.totals[key];
    return made === undefined ? '–' : count(made);
  };
  const isOff = setting('history.enabled') === 'false';
  const kept = (tier: string): string => (isOff ? '–' : setting(`history.${tier}`));
  const sink = (name: string): string | undefined => sinks.find((one) => one.name === name)?.detail;
  const isRedis = sinks.some(({ name }) => name === 'redis');
  const isServed = !['–', ''].includes(setting('timescale.url'));
  const store = isOff ? 'nowhere: the history is off' : isServed ? (sink('postgres') ?? 'PostgreSQL') : 'SQLite in the data folder';
  return [
    { tier: 'hot', row: 'the newest value of a series', kept: 'while its machine is known', made: series === null ? '–' : `${count(series)} series`, where: isRedis ? 'memory and Redis' : 'memory' },
    { tier: 'raw', row: 'a sample, as it was collected', kept: kept('raw'), made: `${total('accepted')} samples`, where: store },
    { tier: 'minute', row: 'count, sum, min, max, last of a minute', kept: kept('minute'), made: `${total('minute_rows')} rows`, where: store },
    { tier: 'hour', row: 'the same of an hour', kept: kept('hour'), made: `${total('hour_rows')} rows`, where: store },
  ];
}
