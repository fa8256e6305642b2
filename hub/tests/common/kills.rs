//! Kills: what a long crash test is asked for by its environment.

/// Kills (CRASH_KILLS, or so many) and the seed that draws their moments (CRASH_SEED, or any).
pub(crate) fn asked(by_default: u64) -> (u64, u64) {
    let variables = hub::config::environment();
    let number = |name: &str| {
        let found = variables.iter().find(|(variable, _)| variable == name);
        found.map(|(_, text)| text.parse().unwrap())
    };
    (number("CRASH_KILLS").unwrap_or(by_default), number("CRASH_SEED").unwrap_or_else(|| fastrand::u64(..)))
}
