// What a person misses while something that the hub stands on does not work, in words. Pure.

type Effect = readonly [what: string, misses: string];

const HISTORY: Effect = ['the history is away', 'charts have only what comes live until it is back; alerts go on, and nothing is lost'];

const EFFECTS: Readonly<Record<string, Effect>> = {
  history: HISTORY,
  postgres: HISTORY,
  state: ['the data folder cannot be written', 'what happens to alerts waits to be kept'],
  redis: ['Redis is away', 'other dashboards show old values'],
  redis_alerts: ['Redis is away', 'alerts wait to be told there'],
  kafka: ['Kafka is away', 'events wait'],
  kafka_alerts: ['Kafka is away', 'alerts wait to be told there'],
  edge: ['the public edge cannot be reached', 'its page stands still'],
};

/** One sentence for all of them; what is away is named once, however much it is missed for. */
export function effectsOf(names: readonly string[]): string {
  if (names.length === 0) return '';
  const missed = new Map<string, string[]>();
  for (const name of names) {
    const [what, misses] = EFFECTS[name] ?? [`${name} does not work just now`, ''];
    missed.set(what, [...(missed.get(what) ?? []), misses].filter((text) => text !== ''));
  }
  const parts = [...missed].map(([what, all]) => (all.length === 0 ? what : `${what}, so ${all.join(' and ')}`));
  return `Degraded: ${parts.join('; ')}.`;
}
