//! Format: values and times as people read them. `page/format.js` writes them the same way.

use jiff::Timestamp;

use crate::protocol::{DAY_MS, Kind};

/// What stands where nothing is known.
pub(super) const UNKNOWN: &str = "–";

const MINUTE_S: f64 = 60.0;
const HOUR_S: f64 = 3_600.0;
const DAY_S: f64 = 86_400.0;

pub(super) fn value(kind: Kind, value: Option<f64>) -> String {
    let Some(value) = value else { return String::from(UNKNOWN) };
    match kind {
        Kind::Ratio => format!("{} %", short(value * 100.0)),
        Kind::Number => short(value),
        Kind::Bytes => bytes(value),
        Kind::BytesPerSecond => format!("{}/s", bytes(value)),
        Kind::PerSecond => format!("{}/s", short(value)),
        Kind::Seconds => seconds(value),
        Kind::Celsius => format!("{} °C", short(value)),
    }
}

/// About three digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if size >= 10.0 || size == 0.0 { whole(value) } else { format!("{:.1}", tenths(value)) }
}

/// To one digit behind the point, halves up.
pub(super) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Halves go up, as in a script: formatting alone would send them to the even neighbour.
fn whole(value: f64) -> String {
    format!("{:.0}", value.round())
}

fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut at) = (value, 0);
    while 1_024.0 <= value.abs() && at + 1 < units.len() {
        value /= 1_024.0;
        at += 1;
    }
    format!("{} {}", short(value), units[at])
}

pub(super) fn seconds(value: f64) -> String {
    let size = value.abs();
    if size < 1.0 {
        format!("{} ms", whole(value * 1e3))
    } else if size < 2.0 * MINUTE_S {
        format!("{} s", whole(value))
    } else if size < 2.0 * HOUR_S {
        format!("{} min", whole(value / MINUTE_S))
    } else if size < 2.0 * DAY_S {
        format!("{} h", whole(value / HOUR_S))
    } else {
        format!("{} d", whole(value / DAY_S))
    }
}

/// Thousandths, such as `99.2 %`.
pub(super) fn thousandths(share: u16) -> String {
    match share % 10 {
        0 => format!("{} %", share / 10),
        tenths => format!("{}.{tenths} %", share / 10),
    }
}

/// A day, such as `1 Nov`, from its number since the epoch (UTC).
pub(super) fn day(day: i64) -> String {
    let at = day.checked_mul(DAY_MS).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| String::from(UNKNOWN), |at| at.strftime("%-d %b").to_string())
}

/// A minute, such as `1 Nov 09:05 UTC`, and how programs write it.
pub(super) fn moment(ms: i64) -> (String, String) {
    let text = |pattern| {
        let at = Timestamp::from_millisecond(ms).ok();
        at.map_or_else(|| String::from(UNKNOWN), |at| at.strftime(pattern).to_string())
    };
    (text("%-d %b %H:%M UTC"), text("%Y-%m-%dT%H:%M:%SZ"))
}

/// An age in whole seconds, such as `3 s ago`.
pub(super) fn ago(age_ms: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "ages stay far below 2^53")]
    let age_s = (age_ms / 1_000).max(0) as f64;
    if age_s < 1.0 { String::from("just now") } else { format!("{} ago", seconds(age_s)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_few_digits_and_their_unit() {
        for (kind, given, text) in [
            (Kind::Ratio, 0.123_4, "12 %"),
            (Kind::Ratio, 0.034, "3.4 %"),
            (Kind::Ratio, 0.245, "25 %"),
            (Kind::Ratio, 0.0, "0 %"),
            (Kind::Number, 0.72, "0.7"),
            (Kind::Bytes, 1_536.0, "1.5 KiB"),
            (Kind::Bytes, 33_554_432_000.0, "31 GiB"),
            (Kind::BytesPerSecond, 900.0, "900 B/s"),
            (Kind::PerSecond, 12.0, "12/s"),
            (Kind::Seconds, 0.25, "250 ms"),
            (Kind::Seconds, 90.0, "90 s"),
            (Kind::Seconds, 86_400.0, "24 h"),
            (Kind::Seconds, 864_000.0, "10 d"),
            (Kind::Celsius, 48.6, "49 °C"),
        ] {
            assert_eq!(value(kind, Some(given)), text);
        }
        assert_eq!(value(Kind::Ratio, None), UNKNOWN);
        assert_eq!([1_000, 992, 5, 0].map(thousandths), ["100 %", "99.2 %", "0.5 %", "0 %"]);
        assert_eq!([day(20_414), day(20_424), day(i64::MAX)], ["22 Nov", "2 Dec", UNKNOWN]);
        let at = (String::from("22 Nov 09:05 UTC"), String::from("2025-11-22T09:05:59Z"));
        assert_eq!(moment(1_763_802_359_999), at);
        assert_eq!([0, 3_999, 600_000].map(ago), ["just now", "3 s ago", "10 min ago"]);
    }
}
