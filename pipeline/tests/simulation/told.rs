//! Told: what every process is to hear of all: changes in order, the newest of each series, nothing that is one store's own affair.

use std::collections::BTreeMap;

use model::{MachineId, Output, SeriesKey, Timestamp};

/// What only the store of the process that made it has a use for, as text and sorted.
pub(crate) fn of_one_store(outputs: &[(u64, Output)]) -> Vec<String> {
    let is_of_one =
        |output: &Output| matches!(output, Output::Minute(_) | Output::Hour(_) | Output::Repair(_) | Output::Fleet(_));
    let of_one = outputs.iter().filter(|(_, output)| is_of_one(output));
    let mut texts: Vec<String> = of_one.map(|(t, output)| format!("{t} {output:?}")).collect();
    texts.sort_unstable();
    texts
}

/// Changes that concern all as text: those of one kind and machine (or group, or minute) in order.
fn changes(outputs: &[(u64, Output)]) -> BTreeMap<String, Vec<String>> {
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (t, output) in outputs {
        let stream = match output {
            Output::Transition(transition) => format!("{} {}", transition.machine, transition.rule.name),
            Output::Standing(change) => format!("{} stands", change.machine),
            Output::Group(change) => format!("group {:?}", change.key),
            Output::Presence(presence) => format!("{} presence", presence.machine),
            Output::Machine(info) => format!("{} machine", info.machine),
            Output::Processes(table) => format!("{} processes", table.machine),
            Output::Rejected(rejected) => format!("{} rejected", rejected.machine),
            Output::Resent(resent) => format!("{} resent", resent.machine),
            Output::Hottest(hottest) => format!("hottest {}", hottest.minute),
            Output::Samples(_) | Output::Minute(_) | Output::Hour(_) | Output::Repair(_) | Output::Fleet(_) => continue,
        };
        let text = match output {
            // Printed it would tell how much more it has room for, which nobody else needs to know.
            Output::Rejected(rejected) => serde_json::to_string(rejected).unwrap(),
            other => format!("{other:?}"),
        };
        streams.entry(stream).or_default().push(format!("{t} {text}"));
    }
    streams
}

/// # Panics
/// At the first stream of changes that is not the same.
pub(crate) fn assert_same_changes(some: &[(u64, Output)], all: &[(u64, Output)]) {
    let (some, all) = (changes(some), changes(all));
    for (stream, expected) in &all {
        assert_eq!(some.get(stream), Some(expected), "{stream}");
    }
    assert_eq!(some.len(), all.len(), "nothing that is nobody's");
}

/// The newest event time of each series.
pub(crate) fn newest(outputs: &[(u64, Output)]) -> BTreeMap<(MachineId, SeriesKey), Timestamp> {
    let mut newest = BTreeMap::new();
    for (_, output) in outputs {
        let Output::Samples(bound) = output else { continue };
        for index in 0..bound.batch.len() {
            let key = bound.roster().key(bound.slot(index)).as_ref().clone();
            let shown = newest.entry((bound.batch.machine().clone(), key)).or_insert(Timestamp::MIN);
            *shown = bound.batch.time(index).max(*shown);
        }
    }
    newest
}

/// # Panics
/// When the samples of a machine are not some of all, in their order.
pub(crate) fn assert_is_part(some: &[(u64, Output)], all: &[(u64, Output)]) {
    let all = batches(all);
    for (machine, some) in batches(some) {
        let mut all = all[&machine].iter();
        for one in some {
            assert!(all.any(|other| *other == one), "not in its order, or not at all: {one}");
        }
    }
}

fn batches(outputs: &[(u64, Output)]) -> BTreeMap<MachineId, Vec<String>> {
    let mut batches: BTreeMap<MachineId, Vec<String>> = BTreeMap::new();
    for (t, output) in outputs {
        let Output::Samples(bound) = output else { continue };
        let batch = &bound.batch;
        let sample = |n| format!("{} {} {:?}", bound.roster().key(bound.slot(n)), batch.time(n), batch.values[n]);
        let samples: Vec<String> = (0..batch.len()).map(sample).collect();
        batches.entry(batch.machine().clone()).or_default().push(format!("{t} {} {samples:?}", batch.arrival));
    }
    batches
}
