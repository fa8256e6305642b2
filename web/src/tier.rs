//! Tier: which storage tier answers a range. Fine enough to see, coarse enough to be quick, and never one that has dropped it already.

use std::time::Duration;

use model::Timestamp;
use model::query::Tier;

const HOUR: Duration = Duration::from_secs(3_600);
const RAW_SPAN_MAX: Duration = Duration::from_secs(2 * 3_600);
const MINUTE_SPAN_MAX: Duration = Duration::from_secs(3 * 86_400);

/// From the finest to the coarsest.
const TIERS: [Tier; 3] = [Tier::Raw, Tier::Minute, Tier::Hour];

/// The finest tier that suits the length of `[from, to)` and still holds all of it; hours where none does.
pub(crate) fn choose(from: Timestamp, to: Timestamp, now: Timestamp, kept: impl Fn(Tier) -> Duration) -> Tier {
    let span = to.since(from);
    let suits = |tier: &Tier| match tier {
        Tier::Raw => span <= RAW_SPAN_MAX,
        Tier::Minute => span <= MINUTE_SPAN_MAX,
        Tier::Hour => true,
    };
    let holds = |tier: &Tier| now.since(from) <= kept(*tier);
    TIERS.into_iter().find(|tier| suits(tier) && holds(tier)).unwrap_or(Tier::Hour)
}

/// The next coarser tier.
pub(crate) fn coarser(tier: Tier) -> Option<Tier> {
    match tier {
        Tier::Raw => Some(Tier::Minute),
        Tier::Minute => Some(Tier::Hour),
        Tier::Hour => None,
    }
}

/// Length of a tier's window; none for raw samples.
pub(crate) fn window(tier: Tier) -> Option<Duration> {
    match tier {
        Tier::Raw => None,
        Tier::Minute => Some(HOUR / 60),
        Tier::Hour => Some(HOUR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: u64 = 3_600;
    const DAYS: u64 = 24 * HOURS;

    fn kept(tier: Tier) -> Duration {
        Duration::from_secs(match tier {
            Tier::Raw => DAYS,
            Tier::Minute => 7 * DAYS,
            Tier::Hour => 90 * DAYS,
        })
    }

    #[test]
    fn the_tier_follows_the_length_and_then_what_is_kept() {
        let now = Timestamp::from_secs(1_763_700_000);
        let ago = |seconds: u64| now - Duration::from_secs(seconds);
        for (from, to, expected) in [
            (HOURS, 0, Tier::Raw),
            (2 * HOURS, 0, Tier::Raw),
            (2 * HOURS + 1, 0, Tier::Minute),
            (3 * DAYS, 0, Tier::Minute),
            (3 * DAYS + 1, 0, Tier::Hour),
            // A short range, but long ago.
            (DAYS, DAYS - HOURS, Tier::Raw),
            (DAYS + 1, DAYS - HOURS, Tier::Minute),
            (8 * DAYS, 8 * DAYS - HOURS, Tier::Hour),
            (400 * DAYS, 399 * DAYS, Tier::Hour),
        ] {
            assert_eq!(choose(ago(from), ago(to), now, kept), expected, "{from} to {to} s ago");
        }
    }
}
