//! Message: composes what a client is sent from the shared pieces. All that waits for a client goes into one message, up to a size.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use model::Timestamp;

use super::board::Update;
use crate::shapes::to_json;

/// A message that grows beyond this is followed by another one. 1 MiB holds 1,500 machines in summary: a snapshot of most fleets is one
/// message, and what is shared of it is let go soon.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

const SNAPSHOT: &str = r#"{"type":"snapshot","seq":"#;
const DELTA: &str = r#"{"type":"delta","seq":"#;

/// What a client is told of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Detail {
    Summary,
    /// Every series, and the processes.
    Full,
    /// The series of these metrics.
    Metrics(Arc<BTreeSet<String>>),
}

/// Some of an update's pieces, about as many as fit one message.
#[derive(Debug, Default)]
struct Chunk<'a> {
    machines: Vec<Cow<'a, str>>,
    alerts: Vec<&'a str>,
    removed: Vec<String>,
    bytes: usize,
}

/// `instance` names the run of the hub whose `at` the messages carry.
pub(crate) fn hello(now: Timestamp, (instance, session): (&str, &str), version: &str) -> String {
    let time = now.millis();
    let version = to_json(&version);
    format!(
        r#"{{"type":"hello","protocol":1,"server_time":{time},"instance":"{instance}","session":"{session}","version":{version},"seq":0}}"#
    )
}

pub(crate) fn error(seq: u64, detail: &str) -> String {
    format!(r#"{{"type":"error","seq":{seq},"detail":{}}}"#, to_json(&detail))
}

/// The messages of an update, at least one: a snapshot when it is whole, deltas else and after. Each is the text before the number that
/// the client's connection gives it, and the text behind it.
pub(crate) fn compose(
    update: &Update,
    detail: &Detail,
    now: Timestamp,
) -> impl Iterator<Item = (&'static str, String)> {
    let chunks = chunks(update, detail);
    let last = chunks.len() - 1;
    chunks.into_iter().enumerate().map(move |(index, chunk)| {
        let before = if update.is_whole && index == 0 { SNAPSHOT } else { DELTA };
        // Who has not got all of it resumes from before it.
        let at = if index == last { update.version } else { update.since };
        (before, chunk.compose(now, at, &update.hub))
    })
}

fn chunks<'a>(update: &'a Update, detail: &Detail) -> Vec<Chunk<'a>> {
    let mut chunks = vec![Chunk::default()];
    for piece in &update.alerts {
        room(&mut chunks, piece.json().len()).alerts.push(piece.json());
    }
    for id in &update.removed {
        room(&mut chunks, id.as_str().len()).removed.push(to_json(id));
    }
    for piece in &update.machines {
        let json = match detail {
            Detail::Summary => Cow::Borrowed(piece.summary().as_str()),
            Detail::Full => Cow::Borrowed(piece.full().as_str()),
            Detail::Metrics(metrics) => Cow::Owned(piece.only(metrics)),
        };
        room(&mut chunks, json.len()).machines.push(json);
    }
    chunks
}

/// The last chunk, or a new one when `bytes` more would make it too large.
fn room<'c, 'a>(chunks: &'c mut Vec<Chunk<'a>>, bytes: usize) -> &'c mut Chunk<'a> {
    let is_full = chunks.last().is_none_or(|last| last.bytes != 0 && MESSAGE_BYTES_MAX < last.bytes + bytes);
    if is_full {
        chunks.push(Chunk::default());
    }
    let last = chunks.last_mut().expect("one was pushed when there was none");
    last.bytes += bytes + 1;
    last
}

impl Chunk<'_> {
    fn compose(&self, now: Timestamp, at: u64, hub: &str) -> String {
        let mut text = String::with_capacity(self.bytes + hub.len() + 128);
        let time = now.millis();
        write!(text, r#","time":{time},"at":{at},"hub":{hub},"machines":["#).expect(INFALLIBLE);
        join(&mut text, self.machines.iter().map(AsRef::as_ref));
        text.push_str("],\"alerts\":[");
        join(&mut text, self.alerts.iter().copied());
        text.push_str("],\"removed\":[");
        join(&mut text, self.removed.iter().map(String::as_str));
        text.push_str("]}");
        text
    }
}

const INFALLIBLE: &str = "a String takes any text";

fn join<'a>(text: &mut String, pieces: impl Iterator<Item = &'a str>) {
    for (index, piece) in pieces.enumerate() {
        if index != 0 {
            text.push(',');
        }
        text.push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use model::query::{Changes, MachineView};
    use model::{MachineId, Status};
    use serde_json::Value;

    use super::*;
    use crate::live::board::{Board, Scope};

    fn machines(count: usize) -> Vec<Arc<MachineView>> {
        let view = |n| MachineView {
            machine: MachineId::parse(&format!("machine-{n}")).unwrap(),
            status: Status::Up,
            last_seen: Timestamp::EPOCH,
            info: None,
            roster: None,
            values: Box::default(),
            times: Box::default(),
            processes: None,
            alerts: [0; 3],
        };
        (0..count).map(|n| Arc::new(view(n))).collect()
    }

    fn texts(update: &Update, detail: &Detail, seq: u64) -> Vec<String> {
        let parts = compose(update, detail, Timestamp::EPOCH).zip(seq..);
        parts.map(|((before, after), number)| format!("{before}{number}{after}")).collect()
    }

    #[test]
    fn a_large_update_goes_on_in_deltas_without_losing_a_machine() {
        let board = Board::new();
        board.apply(Changes { machines: machines(8_000), ..Changes::default() });
        let update = board.since(0, &Scope::All);
        let texts: Vec<String> = texts(&update, &Detail::Summary, 5);
        assert!((2..6).contains(&texts.len()), "{} messages", texts.len());
        let mut ids = BTreeSet::new();
        for (index, text) in texts.iter().enumerate() {
            assert!(text.len() < MESSAGE_BYTES_MAX + 1_024);
            let message: Value = serde_json::from_str(text).unwrap();
            assert_eq!(message["type"], if index == 0 { "snapshot" } else { "delta" });
            assert_eq!(message["seq"], index + 5);
            assert_eq!(message["at"], if index + 1 == texts.len() { 1 } else { 0 });
            ids.extend(message["machines"].as_array().unwrap().iter().map(|one| one["id"].to_string()));
        }
        assert_eq!(ids.len(), 8_000);
    }

    #[test]
    fn an_empty_fleet_is_one_empty_snapshot() {
        let update = Board::new().since(0, &Scope::All);
        let texts = texts(&update, &Detail::Full, 1);
        let expected =
            r#"{"type":"snapshot","seq":1,"time":0,"at":0,"hub":null,"machines":[],"alerts":[],"removed":[]}"#;
        assert_eq!(texts, [expected]);
    }

    #[test]
    fn who_missed_more_removals_than_are_remembered_starts_anew() {
        let board = Board::new();
        let all = machines(3_000);
        board.apply(Changes { machines: all.clone(), ..Changes::default() });
        let cursor = board.since(0, &Scope::All).version;
        let remove = |range: std::ops::Range<usize>| {
            board.apply(Changes {
                removed: all[range].iter().map(|view| view.machine.clone()).collect(),
                ..Changes::default()
            });
            board.since(cursor, &Scope::All)
        };
        let few = remove(0..1_000);
        assert_eq!((few.is_whole, few.removed.len(), few.machines.len()), (false, 1_000, 0));
        let many = remove(1_000..2_000);
        assert_eq!((many.is_whole, many.removed.len(), many.machines.len()), (true, 0, 1_000));
    }
}
