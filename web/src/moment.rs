//! Moments: how a person writes a time in a query.

use model::Timestamp;
use runtime::config::parse_duration;

/// What to write instead of something unreadable.
pub(crate) const HOW_TO: &str = "use RFC 3339, unix seconds, or now-1h";

/// 1 January 3000, in seconds: a larger number is milliseconds by mistake.
const SECONDS_MAX: f64 = 32_503_680_000.0;

/// Reads RFC 3339, unix seconds (with a fraction, if any), `now` or `now-1h30m`.
pub(crate) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(back) = text.strip_prefix("now") {
        return match back.strip_prefix('-') {
            Some(span) => parse_duration(span).ok().map(|span| now - span),
            None => back.is_empty().then_some(now),
        };
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return from_seconds(seconds);
    }
    // The `+` of `+01:00` arrives as a blank when the client did not escape it.
    Timestamp::from_rfc3339(text).or_else(|| Timestamp::from_rfc3339(&text.replace(' ', "+")))
}

fn from_seconds(seconds: f64) -> Option<Timestamp> {
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 3.3e16, checked above")]
    let micros = (seconds * 1e6).round() as i64;
    Some(Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        let now = Timestamp::from_secs(1_763_700_000);
        let after = |seconds: i64| Some(Timestamp::from_secs(1_763_700_000 + seconds));
        for (text, expected) in [
            ("now", after(0)),
            ("now-1h", after(-3_600)),
            ("now-1h30m", after(-5_400)),
            ("now-2w", after(-1_209_600)),
            ("1763700000", after(0)),
            ("1763700000.5", Some(Timestamp::from_millis(1_763_700_000_500))),
            ("2025-11-21T04:40:00Z", after(0)),
            ("2025-11-21T05:40:00+01:00", after(0)),
            ("2025-11-21T05:40:00 01:00", after(0)),
            ("now+1h", None),
            ("now-", None),
            ("now-1x", None),
            ("nowish", None),
            ("1763700000000", None),
            ("-5", None),
            ("NaN", None),
            ("inf", None),
            ("yesterday", None),
            ("2025-11-21", None),
        ] {
            assert_eq!(parse(text, now), expected, "{text}");
        }
    }
}
