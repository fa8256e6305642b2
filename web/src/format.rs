//! Format: values as people read them. Inside the hub everything is in base units; percent and KiB are for the eye.

use model::Timestamp;

/// `0.97` of unit `1` that is a ratio is `97 %`, `1234567` of `By` is `1.18 MiB`, as on the dashboard.
pub(crate) fn value(metric: &str, unit: &str, value: f64) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    match unit {
        "1" if is_ratio(metric) => format!("{} %", digits(value * 100.0)),
        "By" => scaled(value, "B"),
        "By/s" => scaled(value, "B/s"),
        "1/s" => format!("{}/s", digits(value)),
        "Cel" => format!("{} °C", digits(value)),
        "s" => format!("{} s", digits(value)),
        "1" => digits(value),
        other => format!("{} {other}", digits(value)),
    }
}

/// `2025-11-21 04:40:00 UTC`: the page turns it into the reader's own time.
pub(crate) fn time(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{} UTC", seconds.replacen('T', " ", 1)),
        None => text,
    }
}

/// Unit `1` is a ratio or a plain count; the names tell which.
fn is_ratio(metric: &str) -> bool {
    metric.ends_with(".utilization") || metric.starts_with("system.pressure.") || metric == "system.disk.busy"
}

fn scaled(value: f64, unit: &str) -> String {
    let (mut value, mut prefixes) = (value, ["", "Ki", "Mi", "Gi", "Ti"].into_iter());
    let mut prefix = prefixes.next().unwrap_or_default();
    while 1_024.0 <= value.abs() {
        let Some(larger) = prefixes.next() else { break };
        (value, prefix) = (value / 1_024.0, larger);
    }
    format!("{} {prefix}{unit}", digits(value))
}

/// About three significant digits, without a tail of zeros.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        large if 100.0 <= large => 0,
        medium if 10.0 <= medium => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_like_on_an_instrument() {
        for (metric, unit, given, expected) in [
            ("system.filesystem.utilization", "1", 0.97, "97 %"),
            ("system.cpu.utilization", "1", 0.123_4, "12.3 %"),
            ("system.cpu.load_average.1m", "1", 0.7, "0.7"),
            ("system.process.count", "1", 312.0, "312"),
            ("system.memory.used", "By", 1_234_567.0, "1.18 MiB"),
            ("system.memory.used", "By", 999.0, "999 B"),
            ("system.memory.used", "By", 5e18, "4547474 TiB"),
            ("system.network.receive.bytes_rate", "By/s", 12_000.0, "11.7 KiB/s"),
            ("system.temperature", "Cel", -3.0, "-3 °C"),
            ("own.metric", "furlong", 2.5, "2.5 furlong"),
            ("x", "1", f64::NAN, "unknown"),
        ] {
            assert_eq!(value(metric, unit, given), expected, "{metric} {given}");
        }
        assert_eq!(time(Timestamp::from_millis(1_763_700_000_123)), "2025-11-21 04:40:00 UTC");
    }
}
