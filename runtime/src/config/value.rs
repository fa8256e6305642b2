//! Values: durations, sizes, and how a text from the environment or a flag becomes the type its default has.

use std::time::Duration;

use toml::Value;

/// Milliseconds per unit, longest first; a year is 365 days, as in Prometheus.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const SIZE_UNITS: [(&str, u64); 6] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1)];

/// Reads `5s`, `1h30m`, `250ms`; a bare number is in seconds. Units are ms s m h d w y, longest first, each once.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("is {text:?}, not a duration like 5s, 1h30m or 250ms");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_range| wrong());
    }
    let (mut rest, mut total_ms, mut units) = (text, 0_u64, DURATION_UNITS.iter());
    while !rest.is_empty() {
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.chars().take_while(char::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        // The iterator goes on where it stopped, so a unit that comes again or too late is not found.
        let (_, unit_ms) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part_ms = number.parse::<u64>().ok().and_then(|count| count.checked_mul(*unit_ms)).ok_or_else(wrong)?;
        total_ms = total_ms.checked_add(part_ms).ok_or_else(wrong)?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_millis(total_ms)) }
}

/// The shortest text `parse_duration` reads back, to the millisecond.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, unit_ms) in DURATION_UNITS {
        if unit_ms <= rest_ms {
            text.push_str(&format!("{}{unit}", rest_ms / unit_ms));
            rest_ms %= unit_ms;
        }
    }
    if text.is_empty() { String::from("0s") } else { text }
}

/// Reads `64MiB`, `10 GiB`, `4096B` or bare bytes.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, scale)| *scale);
    let bytes = number.parse::<u64>().ok().zip(scale).and_then(|(count, scale)| count.checked_mul(scale));
    bytes.ok_or_else(|| format!("is {text:?}, not a size like 64MiB, 512KiB or 4096 (units are B KiB MiB GiB TiB)"))
}

/// The size in the largest unit that keeps it whole.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let whole = SIZE_UNITS.iter().find(|(_, scale)| *scale <= bytes && bytes.is_multiple_of(*scale));
    let (unit, scale) = whole.copied().unwrap_or(("B", 1));
    format!("{}{unit}", bytes / scale)
}

/// A comma-separated list; blanks around items do not count, nor do empty items.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Gives a text the type of the value it replaces; without one it stays a text.
pub(super) fn from_text(like: Option<&Value>, text: &str) -> Result<Value, String> {
    let trimmed = text.trim();
    match like {
        Some(Value::Integer(_)) => {
            trimmed.parse().map(Value::Integer).map_err(|_error| format!("is {text:?}, not a whole number"))
        }
        Some(Value::Float(_)) => {
            trimmed.parse().map(Value::Float).map_err(|_error| format!("is {text:?}, not a number"))
        }
        Some(Value::Boolean(_)) => match trimmed {
            "true" | "1" | "yes" | "on" => Ok(Value::Boolean(true)),
            "false" | "0" | "no" | "off" => Ok(Value::Boolean(false)),
            _ => Err(format!("is {text:?}, neither true nor false")),
        },
        Some(Value::Array(_)) => Ok(Value::Array(list(text).map(Value::from).collect())),
        Some(Value::String(_) | Value::Datetime(_) | Value::Table(_)) | None => Ok(Value::from(text)),
    }
}

/// Lets a file's value take the place of one of another type where that is harmless: `5` for `5.0`, and `5` for `"5s"`.
pub(super) fn fit(like: Option<&Value>, value: Value) -> Result<Value, String> {
    let Some(like) = like else { return Ok(value) };
    match (like, value) {
        (Value::Float(_), Value::Integer(number)) => Ok(Value::Float(number as f64)),
        (Value::String(_), Value::Integer(number)) => Ok(Value::String(number.to_string())),
        (Value::String(_), Value::Float(number)) => Ok(Value::String(number.to_string())),
        (like, value) if like.same_type(&value) => Ok(value),
        (like, value) => Err(format!("is {value}, of type {}, not {}", value.type_str(), like.type_str())),
    }
}
