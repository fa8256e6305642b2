//! Telemetry: the logs of every program. One JSON object a line, or plain text when a person watches.
//!
//! Keys, in this order: timestamp (RFC 3339, milliseconds, UTC), level (lower case), event, message, service, version,
//! target, then the event's own fields. `event` is the constant message in snake_case unless a field `event` is given, so
//! that a log line can be searched for by a word that stays the same. Fields of spans are not repeated on each line.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal};

use serde::Serializer as _;
use serde::ser::SerializeMap;
use serde_json::Value;
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::TryInitError;

use crate::clock::SharedClock;

/// An event name longer than this is no constant message; the rest of it is cut.
const EVENT_CHARS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    Json,
    Text,
}

/// Whose logs these are; on every line.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    pub name: &'static str,
    pub version: &'static str,
}

#[derive(Debug, Error)]
pub enum LogError {
    #[error("log level {level:?} is none of error, warn, info, debug, trace, nor a list like info,hub=debug")]
    Level { level: String, source: ParseError },
    #[error("logs are already set up in this process")]
    Repeated(#[from] TryInitError),
}

/// The formatter behind the JSON lines, also for tests that read them.
pub struct JsonLines {
    service: Service,
    clock: SharedClock,
}

struct TextTime(SharedClock);

/// Sends the process' logs to standard output. `level` is a level or a filter list; `RUST_LOG`, when set, replaces it.
///
/// # Errors
/// When the level cannot be read, or logs were set up before.
pub fn init_logs(format: LogFormat, level: &str, service: Service, clock: SharedClock) -> Result<(), LogError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let filter = filter_of(&rust_log().unwrap_or_else(|| level.to_owned()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stdout);
    let on_terminal = io::stdout().is_terminal();
    if format.is_json(on_terminal) {
        builder.event_format(JsonLines::new(service, clock)).finish().try_init()?;
    } else {
        // A file or a pipe has no colours; a terminal has, unless NO_COLOR says otherwise.
        let builder = if on_terminal { builder } else { builder.with_ansi(false) };
        builder.with_timer(TextTime(clock)).finish().try_init()?;
    }
    Ok(())
}

fn filter_of(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(level).map_err(|source| LogError::Level { level: level.to_owned(), source })
}

/// Empty counts as unset, as everywhere in the settings.
#[expect(clippy::disallowed_methods, reason = "RUST_LOG concerns the logs alone, and they are up before any settings")]
fn rust_log() -> Option<String> {
    std::env::var("RUST_LOG").ok().filter(|level| !level.is_empty())
}

impl LogFormat {
    /// The format named `auto`, `json` or `text`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            _ => None,
        }
    }

    fn is_json(self, on_terminal: bool) -> bool {
        match self {
            Self::Auto => !on_terminal,
            Self::Json => true,
            Self::Text => false,
        }
    }
}

impl JsonLines {
    #[must_use]
    pub fn new(service: Service, clock: SharedClock) -> Self {
        Self { service, clock }
    }

    fn line(&self, event: &Event<'_>) -> serde_json::Result<Vec<u8>> {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let name = fields.event.unwrap_or_else(|| snake_case(&fields.message));
        let mut line = Vec::with_capacity(256);
        let mut json = serde_json::Serializer::new(&mut line);
        let mut map = json.serialize_map(None)?;
        map.serialize_entry("timestamp", &rfc3339_ms(self.clock.now_us()))?;
        map.serialize_entry("level", level_name(*event.metadata().level()))?;
        map.serialize_entry("event", &name)?;
        map.serialize_entry("message", &fields.message)?;
        map.serialize_entry("service", self.service.name)?;
        map.serialize_entry("version", self.service.version)?;
        map.serialize_entry("target", event.metadata().target())?;
        for (key, value) in &fields.others {
            map.serialize_entry(key, value)?;
        }
        map.end()?;
        Ok(line)
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let line = self.line(event).map_err(|_json| fmt::Error)?;
        let line = String::from_utf8(line).map_err(|_text| fmt::Error)?;
        writeln!(out, "{line}")
    }
}

impl FormatTime for TextTime {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        out.write_str(&rfc3339_ms(self.0.now_us()))
    }
}

/// One event's fields, sorted from the two that have a place of their own.
#[derive(Default)]
struct Fields {
    message: String,
    event: Option<String>,
    /// In the order the code gave them.
    others: Vec<(Cow<'static, str>, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("event", Value::String(text)) => self.event = Some(text),
            // A key must come once in an object, so a field with a taken name is set apart.
            (name @ ("timestamp" | "level" | "service" | "version" | "target"), value) => {
                self.others.push((format!("field_{name}").into(), value));
            }
            (name, value) => {
                self.others.push((name.into(), value));
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN; its name as text is better than a null.
        let number = serde_json::Number::from_f64(value).map(Value::Number);
        self.put(field, number.unwrap_or_else(|| Value::String(value.to_string())));
    }

    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        self.put(field, Value::String(error_chain(error)));
    }
}

/// An error with its causes, as one line.
#[must_use]
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some wrappers repeat their cause; once is enough.
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// A time in microseconds since the epoch as RFC 3339 with milliseconds, in UTC.
#[must_use]
pub fn rfc3339_ms(us: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let ms = us.div_euclid(1_000);
    let (year, month, day) = civil_date(ms.div_euclid(DAY_MS));
    let of_day = ms.rem_euclid(DAY_MS);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Gregorian year, month and day of a day counted from 1970-01-01.
fn civil_date(day: i64) -> (i64, i64, i64) {
    // Counted from 1 March of year 0, so that the leap day is the last of its year; 400 years repeat exactly.
    const ERA_DAYS: i64 = 146_097;
    let from_march = day + 719_468;
    let era = from_march.div_euclid(ERA_DAYS);
    let of_era = from_march.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn snake_case(message: &str) -> String {
    let mut name = String::with_capacity(message.len().min(EVENT_CHARS_MAX));
    for letter in message.chars().take(EVENT_CHARS_MAX) {
        if letter.is_ascii_alphanumeric() {
            name.push(letter.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    name
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use expect_test::expect;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::clock::ManualClock;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Captured {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn lines_of(log: impl FnOnce()) -> String {
        let captured = Captured::default();
        let service = Service { name: "hub", version: "1.2.3" };
        let format = JsonLines::new(service, ManualClock::at(1_763_696_400_123_456).shared());
        let subscriber = tracing_subscriber::fmt().event_format(format).with_writer(captured.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_has_the_fixed_keys_first_and_then_its_fields() {
        let text = lines_of(|| {
            tracing::warn!(target: "ingest", machine = %"db-1", samples = 3, ratio = 0.5, "samples shed");
            tracing::info!(target: "hub", event = "started", level = "odd", nan = f64::NAN, "hub is up: go");
        });
        expect![[r#"
            {"timestamp":"2025-11-21T03:40:00.123Z","level":"warn","event":"samples_shed","message":"samples shed","service":"hub","version":"1.2.3","target":"ingest","machine":"db-1","samples":3,"ratio":0.5}
            {"timestamp":"2025-11-21T03:40:00.123Z","level":"info","event":"started","message":"hub is up: go","service":"hub","version":"1.2.3","target":"hub","field_level":"odd","nan":"NaN"}
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_line_is_one_line_whatever_it_says() {
        let text = lines_of(|| tracing::error!(error = "a\n\"b\"\u{1}", "write failed"));
        assert_eq!(text.matches('\n').count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["error"], "a\n\"b\"\u{1}");
    }

    #[test]
    fn an_error_is_logged_with_its_causes() {
        let error = filter_of("x=y=z").unwrap_err();
        let text = error_chain(&error);
        assert!(text.contains("x=y=z") && text.contains(": "), "{text}");
    }

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_399_999_000, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599_000_000, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (us, text) in cases {
            assert_eq!(rfc3339_ms(us), text);
        }
    }

    #[test]
    fn text_is_for_terminals_unless_asked_for() {
        assert!(LogFormat::Auto.is_json(false) && !LogFormat::Auto.is_json(true));
        assert!(LogFormat::Json.is_json(true) && !LogFormat::Text.is_json(false));
        assert_eq!(LogFormat::parse("yaml"), None);
    }
}
