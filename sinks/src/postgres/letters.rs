//! Dead letters as the server's table has them: what the hub refused, and what this server did, with as much of it as a resend needs.

use model::ids::stable_hash;
use model::{
    Aggregates, Bound, DeadLetter, LogicalTime, MachineId, Output, RejectReason, Rejected, Source, Timestamp, Width,
};

use super::frames::Frames;
use super::resend;
use super::session::{Params, Session};
use super::value::{Time, text};
use super::windows::WindowRow;

/// Of what was refused, so much is kept for a person.
const PAYLOAD_CHARS_MAX: usize = 2_000;
const DETAIL_CHARS_MAX: usize = 512;
/// Whose letter it is where no machine is concerned.
const NO_MACHINE: &str = "fleet";

/// A dead letter as the table has it.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    machine: String,
    reason: RejectReason,
    count: i64,
    arrival: Timestamp,
    pub(super) detail: String,
    /// The part that refused it.
    source: &'static str,
    /// Samples as JSON, or a row for a person.
    payload: Option<String>,
    key: String,
    /// A row as `resend` writes it again.
    output: Option<Vec<u8>>,
}

/// What the server refused.
struct Row {
    machine: String,
    /// Samples, or rows.
    count: usize,
    /// For a person.
    payload: String,
    output: Option<Vec<u8>>,
}

impl Letter {
    pub(super) fn of(t: LogicalTime, rejected: &Rejected) -> Self {
        Self {
            machine: rejected.machine.to_string(),
            reason: rejected.reason,
            count: i64::from(rejected.count),
            arrival: rejected.arrival,
            detail: text(&rejected.detail),
            source: rejected.source.as_str(),
            payload: rejected.kept.as_ref().map(|kept| text(&kept.to_json())),
            key: DeadLetter::id_of(t, rejected),
            output: None,
        }
    }

    /// An output that the server refused with these words.
    pub(super) fn of_output((t, output): (LogicalTime, &Output), words: &str, now: Timestamp) -> Self {
        let (count, payload) = match output {
            Output::Samples(bound) => (bound.batch.len(), samples(bound, |_| true)),
            Output::Minute(rows) => (rows.rows.len(), windows(Width::Minute, rows)),
            Output::Hour(rows) => (rows.rows.len(), windows(Width::Hour, rows)),
            other => (1, format!("{other:?}")),
        };
        let machine = machine_of(output).map_or_else(|| NO_MACHINE.to_owned(), ToString::to_string);
        let output = resend::keep_output(t, output.clone());
        Self::refused(Row { machine, count, payload, output }, words, now)
    }

    /// A row of `raw_frames`.
    pub(super) fn of_frame(frames: &Frames<'_>, index: usize, words: &str, now: Timestamp) -> Self {
        let row = frames.row(index);
        let batch = &row.bound.batch;
        let is_of_row = |index: usize| batch.time(index) == row.time;
        let refused = Row {
            machine: batch.machine().to_string(),
            count: (0..batch.len()).filter(|index| is_of_row(*index)).count(),
            payload: samples(row.bound, is_of_row),
            output: resend::keep_frame(frames, index),
        };
        Self::refused(refused, words, now)
    }

    /// A row of a tier.
    pub(super) fn of_window(width: Width, row: &WindowRow, words: &str, now: Timestamp) -> Self {
        let machine = row.of.as_ref().map(|(of, _)| of.roster.machine.to_string());
        let refused = Row {
            machine: machine.unwrap_or_else(|| NO_MACHINE.to_owned()),
            count: 1,
            payload: format!("{width:?} {} series {} {:?}", row.start, row.series, row.row),
            output: row.output().and_then(|(t, output)| resend::keep_output(t, output)),
        };
        Self::refused(refused, words, now)
    }

    fn refused(row: Row, words: &str, now: Timestamp) -> Self {
        let Row { machine, count, payload, output } = row;
        let whole = format!("{machine} {} {words} {payload}", now.micros());
        Self {
            key: format!("{:016x}", stable_hash(&[whole.as_bytes(), output.as_deref().unwrap_or_default()].concat())),
            output,
            machine,
            reason: RejectReason::StoreRefused,
            count: i64::try_from(count).unwrap_or(i64::MAX),
            arrival: now,
            detail: text(&words.chars().take(DETAIL_CHARS_MAX).collect::<String>()),
            source: Source::Postgres.as_str(),
            payload: Some(text(&payload.chars().take(PAYLOAD_CHARS_MAX).collect::<String>())),
        }
    }
}

pub(super) async fn write(session: &Session, letters: &[Letter]) -> Result<(), tokio_postgres::Error> {
    let machines: Vec<&str> = letters.iter().map(|letter| letter.machine.as_str()).collect();
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    let counts: Vec<i64> = letters.iter().map(|letter| letter.count).collect();
    let arrivals: Vec<Time> = letters.iter().map(|letter| Time(letter.arrival)).collect();
    let details: Vec<&str> = letters.iter().map(|letter| letter.detail.as_str()).collect();
    let sources: Vec<&str> = letters.iter().map(|letter| letter.source).collect();
    let payloads: Vec<Option<&str>> = letters.iter().map(|letter| letter.payload.as_deref()).collect();
    let add = include_str!("../../../sql/queries/add_dead_letters.sql");
    let keys: Vec<&str> = letters.iter().map(|letter| letter.key.as_str()).collect();
    let outputs: Vec<Option<&[u8]>> = letters.iter().map(|letter| letter.output.as_deref()).collect();
    let params: Params<'_> = &[&machines, &reasons, &counts, &arrivals, &details, &sources, &payloads, &keys, &outputs];
    session.execute(add, params).await?;
    Ok(())
}

/// Samples of a batch, each with its name: `time name=value ...`, the time again where it changes.
fn samples(bound: &Bound, is_wanted: impl Fn(usize) -> bool) -> String {
    let (batch, mut shown, mut told) = (&bound.batch, String::new(), None);
    for index in (0..batch.len()).filter(|index| is_wanted(*index)) {
        let time = batch.time(index);
        if told != Some(time) {
            shown.push_str(&format!("{}{time}", if told.is_some() { " " } else { "" }));
            told = Some(time);
        }
        shown.push_str(&format!(" {}={}", bound.roster().key(bound.slot(index)), batch.values[index]));
    }
    shown
}

fn windows(width: Width, rows: &Aggregates) -> String {
    let each = rows.rows.iter().map(|(slot, row)| format!(" {} {row:?}", rows.roster.key(slot)));
    format!("{width:?} {}{}", rows.window.start, each.collect::<String>())
}

fn machine_of(output: &Output) -> Option<&MachineId> {
    match output {
        Output::Transition(transition) => Some(&transition.machine),
        Output::Standing(change) => Some(&change.machine),
        other => super::ids::machine_of(other),
    }
}
