//! Names: which environment variable sets which key.
//!
//! The rule is mechanical, so that nobody has to look it up: `HUB_` and the key in capitals; `COLLECTOR_` for the collector's. The names
//! that came before the rule keep working.

/// Variables that start so are ours, and a misspelt one is a problem.
pub(super) const PREFIXES: &[&str] = &["HUB_", "COLLECTOR_"];

/// Older and shorter names. Of two variables for one key the first listed wins, and the rule's own come before these.
const ALIASES: &[(&str, &str)] = &[
    ("LOG_LEVEL", "log.level"),
    ("LOG_FORMAT", "log.format"),
    ("MACHINE_ID", "collector.machine_id"),
    ("AGGREGATOR_URL", "collector.aggregator_url"),
    ("REDIS_URL", "redis.url"),
    ("KAFKA_URL", "kafka.url"),
    ("TIMESCALE_URL", "timescale.url"),
    ("EDGE_URL", "edge.url"),
    ("EDGE_TOKEN", "edge.token"),
];

/// Variable and key, the winning variable of a key first.
pub(super) fn of_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<(String, &'a str)> {
    let by_rule = keys.map(|key| (variable_of(key), key));
    let older = ALIASES.iter().map(|(name, key)| ((*name).to_owned(), *key));
    by_rule.chain(older).collect()
}

/// Whether a variable may be one of ours. A cluster puts addresses of its services into every container's environment, and a
/// service may well be called `hub`.
pub(super) fn is_setting(variable: &str) -> bool {
    let rest = PREFIXES.iter().find_map(|prefix| variable.strip_prefix(prefix));
    let is_service_address = rest.is_some_and(|rest| {
        rest == "PORT"
            || rest.starts_with("PORT_")
            || rest.starts_with("SERVICE_HOST")
            || rest.starts_with("SERVICE_PORT")
    });
    !is_service_address && variable != super::FILE_VARIABLE
}

fn variable_of(key: &str) -> String {
    let name = key.replace('.', "_").to_ascii_uppercase();
    if key.starts_with("collector.") { name } else { format!("HUB_{name}") }
}
