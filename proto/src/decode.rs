//! Wire to model, validating: what comes out of here is trusted everywhere after.
//!
//! A bad series costs itself, not its layout; a bad frame costs itself, not its stream. Sizes are bounded by the caller's message limit
//! and by the model's own limits. The way back is `encode`.

use std::collections::{BTreeMap, BTreeSet};

use model::batch::LAYOUT_SERIES_MAX;
use model::catalogue::ALIASES;
use model::command::CollectorCommand;
use model::machine::{PROCESSES_MAX, TAGS_MAX};
use model::{InvalidName, Labels, MachineId, MachineInfo, Process, Processes, SeriesKey, SessionId, Timestamp};

use crate::error::WireError;
use crate::pb;

/// Longest inventory text and process name, in characters: longer ones are cut, because they are for people.
const TEXT_CHARS_MAX: usize = 128;

/// A collector that introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub session: SessionId,
    pub info: MachineInfo,
}

/// A layout as far as it is valid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentLayout {
    /// Valid series in the order sent.
    pub series: Vec<SeriesKey>,
    /// For each series sent, its position in `series`; none for a dropped one.
    pub positions: Vec<Option<u16>>,
    /// Dropped series with their positions as sent.
    pub dropped: Vec<(usize, InvalidName)>,
}

/// Which of a layout's series a frame has values for, as positions of the layout as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Present {
    All,
    Some(Vec<u16>),
}

/// # Errors
/// A bad machine id or tag, no session, or too many tags: such a stream is not worth keeping.
pub fn hello(message: pb::Hello, arrival: Timestamp) -> Result<Hello, WireError> {
    let machine = MachineId::parse(&message.machine_id)?;
    if message.session == SessionId::NONE.0 {
        return Err(WireError::NoSession);
    }
    check_tags(&message.tags)?;
    let inventory = message.inventory.unwrap_or_default();
    let info = MachineInfo {
        machine,
        tags: message.tags,
        interval_ms: message.interval_ms,
        os: clip(&inventory.os),
        kernel: clip(&inventory.kernel),
        arch: clip(&inventory.arch),
        cpu_model: clip(&inventory.cpu_model),
        cores: inventory.cores,
        memory_bytes: inventory.memory_bytes,
        agent_version: clip(&inventory.agent_version),
        boot_time_ms: inventory.boot_time_ms,
        arrival,
    };
    Ok(Hello { session: SessionId(message.session), info })
}

/// Series that break a rule, come twice or exceed the model's limit are dropped and listed.
pub fn layout(message: &pb::Layout) -> SentLayout {
    let mut sent = SentLayout::default();
    let mut seen = BTreeSet::new();
    for (position, wire) in message.series.iter().enumerate() {
        let kept = series(wire).and_then(|key| {
            if sent.series.len() == LAYOUT_SERIES_MAX {
                return Err(InvalidName::new("series", &wire.metric, "a layout has at most 4096 series"));
            }
            if !seen.insert(key.clone()) {
                return Err(InvalidName::new("series", &wire.metric, "a layout lists each series once"));
            }
            Ok(key)
        });
        match kept {
            Ok(key) => {
                sent.positions.push(u16::try_from(sent.series.len()).ok());
                sent.series.push(key);
            }
            Err(invalid) => {
                sent.positions.push(None);
                sent.dropped.push((position, invalid));
            }
        }
    }
    sent
}

/// # Errors
/// The metric's or a label's name breaks a rule.
pub fn series(message: &pb::Series) -> Result<SeriesKey, InvalidName> {
    SeriesKey::parse(&message.metric, labels(&message.labels)?)
}

/// # Errors
/// A name or value breaks a rule, or there are too many.
pub fn labels(message: &BTreeMap<String, String>) -> Result<Labels, InvalidName> {
    Labels::parse(message.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Which series the frame's values belong to, checked against the number of series that its layout was sent with.
///
/// # Errors
/// `Misfit` when the numbers of series, bits and values disagree.
pub fn present(frame: &pb::Frame, series: usize) -> Result<Present, WireError> {
    if frame.present.is_empty() {
        if frame.values.len() != series {
            return Err(WireError::Misfit("it has no bitmap and another number of values than its layout has series"));
        }
        return Ok(Present::All);
    }
    if frame.present.len() > series.div_ceil(8) {
        return Err(WireError::Misfit("its bitmap is longer than its layout"));
    }
    let mut positions = Vec::with_capacity(frame.values.len());
    for (index, byte) in frame.present.iter().enumerate() {
        for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
            let position = index * 8 + bit;
            if series <= position {
                return Err(WireError::Misfit("its bitmap names a series after the layout's last"));
            }
            positions.push(u16::try_from(position).map_err(|_large| WireError::Misfit("its layout is too long"))?);
        }
    }
    if positions.len() != frame.values.len() {
        return Err(WireError::Misfit("its bitmap and its values differ in number"));
    }
    Ok(Present::Some(positions))
}

/// The name under which a sample of the one-sample-per-message wire is kept; none for an unknown number.
pub fn metric_name(number: i32) -> Option<&'static str> {
    let index = usize::try_from(number).ok()?;
    // The catalogue's test keeps the aliases in the order of their numbers.
    ALIASES.get(index).map(|alias| alias.name)
}

/// The table of busiest processes; entries beyond the limit and values that make no sense are dropped.
pub fn processes(message: pb::ProcessTable, machine: MachineId) -> Processes {
    let rows = |rows: Vec<pb::Process>| {
        rows.into_iter()
            .filter(|row| row.cpu.is_finite() && 0.0 <= row.cpu)
            .take(PROCESSES_MAX)
            .map(|row| Process { name: clip(&row.name), cpu: row.cpu, memory: row.memory_bytes })
            .collect()
    };
    Processes {
        machine,
        time: Timestamp::from_millis(message.time_ms),
        by_cpu: rows(message.by_cpu),
        by_memory: rows(message.by_memory),
    }
}

/// What a hub asked for; none when this program does not know the command.
pub fn command(message: &pb::Command) -> Option<CollectorCommand> {
    match pb::CommandKind::try_from(message.kind).ok()? {
        pb::CommandKind::None => None,
        pb::CommandKind::Pause => Some(CollectorCommand::Pause),
        pb::CommandKind::Resume => Some(CollectorCommand::Resume),
        pb::CommandKind::CollectNow => Some(CollectorCommand::CollectNow),
        pb::CommandKind::ResendLayout => Some(CollectorCommand::ResendLayout),
        pb::CommandKind::Focus => Some(CollectorCommand::Focus),
    }
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), WireError> {
    if TAGS_MAX < tags.len() {
        return Err(WireError::TooManyTags { given: tags.len(), max: TAGS_MAX });
    }
    // A tag keeps to the rules of a label; one at a time, since a series may have fewer labels than a machine has tags.
    for (name, value) in tags {
        Labels::parse([(name.as_str(), value.as_str())])?;
    }
    Ok(())
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(metric: &str) -> pb::Series {
        pb::Series { metric: metric.to_owned(), labels: BTreeMap::new() }
    }

    fn frame(values: usize, present: &[u8]) -> pb::Frame {
        pb::Frame { values: vec![1.0; values], present: present.to_vec(), ..pb::Frame::default() }
    }

    #[test]
    fn a_bad_or_repeated_series_is_dropped_with_its_position() {
        let sent = layout(&pb::Layout { id: 1, series: vec![wire("a"), wire("9"), wire("a"), wire("b")] });
        assert_eq!(sent.series.len(), 2);
        assert_eq!(sent.positions, [Some(0), None, None, Some(1)]);
        assert_eq!(sent.dropped.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_bitmap_names_the_series_that_are_present() {
        assert_eq!(present(&frame(3, &[]), 3), Ok(Present::All));
        assert_eq!(present(&frame(2, &[0b101]), 3), Ok(Present::Some(vec![0, 2])));
        assert_eq!(present(&frame(1, &[0, 0b10]), 10), Ok(Present::Some(vec![9])));
        for (bad, series) in
            [(frame(2, &[]), 3), (frame(1, &[0b101]), 3), (frame(1, &[0b1000]), 3), (frame(1, &[1, 0]), 3)]
        {
            assert!(matches!(present(&bad, series), Err(WireError::Misfit(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_hello_needs_a_name_a_session_and_sane_tags() {
        let good = pb::Hello {
            machine_id: "db-1".into(),
            session: 7,
            tags: BTreeMap::from([("role".into(), "db".into())]),
            ..pb::Hello::default()
        };
        let arrival = Timestamp::from_secs(1);
        assert_eq!(hello(good.clone(), arrival).unwrap().session, SessionId(7));
        let nameless = pb::Hello { machine_id: " ".into(), ..good.clone() };
        assert!(matches!(hello(nameless, arrival), Err(WireError::Name(_))));
        let sessionless = pb::Hello { session: 0, ..good.clone() };
        assert_eq!(hello(sessionless, arrival), Err(WireError::NoSession));
        let tags = (0..=TAGS_MAX).map(|n| (format!("t{n}"), String::new())).collect();
        assert!(matches!(hello(pb::Hello { tags, ..good }, arrival), Err(WireError::TooManyTags { .. })));
    }

    #[test]
    fn the_seeds_numbers_have_names() {
        assert_eq!(metric_name(0), Some("CPU_PERCENT"));
        assert_eq!(metric_name(5), Some("NETWORK_RECV_MBPS"));
        assert_eq!(metric_name(-1), None);
        assert_eq!(metric_name(16), None);
    }
}
