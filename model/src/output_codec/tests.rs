//! There and back: outputs of every kind, rosters that grow and go, cuts and forgeries.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Decoder, Encoder, Entry};
use crate::aggregate::{Aggregate, Aggregates};
use crate::alert::{Cause, Change, Standing, StandingChange, Transition};
use crate::batch::{Batch, Layout, Positions, Times};
use crate::bound::{Bound, BoundLayout, Roster, Slots};
use crate::codec::CodecError;
use crate::fleet::{FleetMinute, FleetRow, Hottest, HottestOf, Tag};
use crate::group::{AlertGroup, GroupBy, GroupChange, GroupKey, GroupMember};
use crate::ids::{MachineId, SessionId, Slot};
use crate::machine::{MachineInfo, Presence, Processes, Status};
use crate::output::{Output, Repair};
use crate::rule::Severity;
use crate::series::{Labels, SeriesKey};
use crate::time::{LogicalTime, Timestamp};
use crate::window::{Width, Window};

fn machine(name: &str) -> MachineId {
    MachineId::parse(name).unwrap()
}

fn key(n: usize) -> Arc<SeriesKey> {
    Arc::new(SeriesKey::parse(&format!("m{n}"), Labels::parse([("disk", "sda")]).unwrap()).unwrap())
}

/// Index 0, as every roster has it that comes from elsewhere.
fn roster(name: &str, width: usize) -> Arc<Roster> {
    Arc::new(Roster { machine: machine(name), index: 0, series: (0..width).map(key).collect() })
}

/// A frame of the roster's first series, as one whose layout is the roster.
fn frame(roster: &Arc<Roster>, second: i64, values: &[f64]) -> Bound {
    let layout = Layout::new(roster.machine.clone(), roster.series.iter().map(|key| key.as_ref().clone()).collect());
    let is_whole = values.len() == roster.series.len();
    let first = || (0..).take(values.len()).collect();
    let batch = Batch {
        layout: Arc::new(layout),
        session: SessionId(7),
        sequence: 3,
        arrival: Timestamp::from_secs(second),
        age_ms: 1,
        positions: if is_whole { Positions::All } else { Positions::List(first()) },
        times: Times::One(Timestamp::from_secs(second)),
        values: values.into(),
    };
    Bound::new(Arc::new(batch), Arc::new(BoundLayout::new(Arc::clone(roster), Slots::Identity)))
}

fn window(roster: &Arc<Roster>, width: Width) -> Arc<Aggregates> {
    let row = Aggregate { sum: 0.1, last: -0.0, ..Aggregate::of(5.0, Timestamp::from_secs(61)) };
    let window = Window { start: Timestamp::from_secs(60), width };
    let rows = [(Slot(0), row), (Slot(2), row)].into_iter().collect();
    Arc::new(Aggregates { roster: Arc::clone(roster), window, revision: 9, is_final: true, rows })
}

/// What fires, how it stands, and its group.
fn alert() -> [Output; 3] {
    let rule = r#"{"name":"full","metric":"m0","operator":"gt","threshold":1,"severity":"critical"}"#;
    let (rule, since) = (Arc::new(serde_json::from_str(rule).unwrap()), Timestamp::from_secs(8));
    let (name, machine, series, standing) = ("full".into(), machine("a"), key(0), Standing::Silenced("s-1".into()));
    let transition = Transition {
        rule,
        machine: machine.clone(),
        series: Arc::clone(&series),
        change: Change::Resolved,
        cause: Cause::NoData,
        value: f64::NAN,
        at: Timestamp::from_secs(9),
        since,
        t: 4,
    };
    let stands = StandingChange {
        rule: Arc::clone(&name),
        machine: machine.clone(),
        series: Arc::clone(&series),
        since,
        standing: standing.clone(),
    };
    let severity = Severity::Critical;
    let member = Arc::new(GroupMember { rule: name, machine, series, severity, since, standing });
    let key = GroupKey(vec![(GroupBy::Rule, "full".into()), (GroupBy::Tag("site".to_owned()), "".into())]);
    let group = GroupChange { key, group: AlertGroup::of([&member]).map(Arc::new) };
    [Output::Transition(Arc::new(transition)), Output::Standing(Arc::new(stands)), Output::Group(Arc::new(group))]
}

fn of_the_fleet() -> [Output; 3] {
    let minute = Timestamp::from_secs(60);
    let row = FleetRow { metric: "cpu".into(), machines: 2, count: 9, sum: 0.3, min: -0.0, max: 0.1 };
    let fleet = FleetMinute { tag: Some(Tag::new("role", "db")), minute, revision: 2, rows: vec![row] };
    let of = HottestOf { metric: "cpu".into(), machines: vec![(machine("b"), 0.7), (machine("a"), 0.1 + 0.2)] };
    let gone = GroupChange { key: GroupKey(vec![(GroupBy::Machine, "a".into())]), group: None };
    let hottest = Hottest { minute, revision: 3, metrics: vec![of] };
    [Output::Fleet(Arc::new(fleet)), Output::Hottest(Arc::new(hottest)), Output::Group(Arc::new(gone))]
}

fn everything() -> Vec<(LogicalTime, Output)> {
    let roster = roster("a", 3);
    let (id, at) = (roster.machine.clone(), Timestamp::from_secs(4));
    let processes = Processes { machine: id.clone(), time: at, by_cpu: Vec::new(), by_memory: Vec::new() };
    let presence = Presence { machine: id.clone(), status: Status::Stale, at, last_seen: Timestamp::MIN };
    let mut outputs = vec![
        Output::Samples(frame(&roster, 1, &[1.0, -0.0, 0.1])),
        Output::Minute(window(&roster, Width::Minute)),
        Output::Hour(window(&roster, Width::Hour)),
        Output::Samples(frame(&roster, 2, &[1.0])),
        Output::Presence(Arc::new(presence)),
        Output::Machine(Arc::new(MachineInfo::unknown(id.clone(), at))),
        Output::Processes(Arc::new(processes)),
        Output::Repair(Arc::new(Repair { machine: id, minute: at })),
    ];
    outputs.extend(alert().into_iter().chain(of_the_fleet()));
    (7..).zip(outputs).collect()
}

fn encoded(encoder: &mut Encoder, outputs: &[(LogicalTime, Output)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (t, output) in outputs {
        encoder.time(*t, &mut out);
        encoder.output(output, &mut out);
    }
    out
}

/// What was read, with the error that ended it.
fn read(decoder: &mut Decoder, bytes: &[u8]) -> (Vec<(LogicalTime, Output)>, Result<(), CodecError>) {
    let (mut t, mut out) = (0, Vec::new());
    let done = decoder.read(bytes, |entry| match entry {
        Entry::Time(time) => t = time,
        Entry::Output(output) => out.push((t, output)),
    });
    (out, done)
}

fn decoded(decoder: &mut Decoder, bytes: &[u8]) -> Vec<(LogicalTime, Output)> {
    let (out, done) = read(decoder, bytes);
    done.unwrap();
    out
}

fn roster_of(output: &Output) -> &Arc<Roster> {
    match output {
        Output::Samples(bound) => bound.roster(),
        Output::Minute(rows) | Output::Hour(rows) => &rows.roster,
        other => panic!("has no roster: {other:?}"),
    }
}

#[test]
fn outputs_of_every_kind_read_back_as_they_were() {
    let told = everything();
    let back = decoded(&mut Decoder::new(), &encoded(&mut Encoder::new(), &told));
    // Printed with rosters and layouts in full; values of not-a-number are equal in print only.
    assert_eq!(format!("{back:?}"), format!("{told:?}"));
}

#[test]
fn what_is_cut_or_forged_is_an_error_or_less_and_never_something_else() {
    let told = everything();
    let whole = encoded(&mut Encoder::new(), &told);
    let mut ends = 0;
    for len in 0..whole.len() {
        let (out, done) = read(&mut Decoder::new(), &whole[..len]);
        assert_eq!(format!("{out:?}"), format!("{:?}", &told[..out.len()]), "cut at {len}");
        ends += usize::from(done.is_ok());
        let mut forged = whole.clone();
        forged[len] ^= 0x41;
        drop(read(&mut Decoder::new(), &forged));
    }
    // Only between entries: two for each output, and one names the roster.
    assert_eq!(ends, 2 * told.len() + 1);
}

#[test]
fn an_output_without_its_time_or_its_roster_is_refused() {
    let (mut encoder, outputs) = (Encoder::new(), everything());
    let mut out = Vec::new();
    encoder.output(&outputs[4].1, &mut out);
    assert!(matches!(read(&mut Decoder::new(), &out).1, Err(CodecError::Malformed(_))));
    let _named = encoded(&mut encoder, &outputs[..1]);
    for output in [&outputs[1], &outputs[3]] {
        let bytes = encoded(&mut encoder, std::slice::from_ref(output));
        assert!(matches!(read(&mut Decoder::new(), &bytes).1, Err(CodecError::UnknownLayout(_))));
    }
}

#[test]
fn outputs_of_one_roster_share_it_until_it_grows_and_after_it_was_forgotten() {
    // Room for both of the first machine, not for another besides.
    let (mut encoder, mut decoder) = (Encoder::forgetting_at(7), Decoder::new());
    let (small, grown) = (roster("a", 2), roster("a", 3));
    let mut one = |bound: Bound| {
        let bytes = encoded(&mut encoder, &[(1, Output::Samples(bound))]);
        (decoded(&mut decoder, &bytes).remove(0).1, bytes.len())
    };
    let (first, named) = one(frame(&small, 1, &[1.0, 2.0]));
    let (again, known) = one(frame(&small, 2, &[1.0, 2.0]));
    assert!(Arc::ptr_eq(roster_of(&first), roster_of(&again)) && known < named);
    let (wider, _) = one(frame(&grown, 3, &[1.0, 2.0, 3.0]));
    assert!(!Arc::ptr_eq(roster_of(&first), roster_of(&wider)));
    let keys = |output: &Output| roster_of(output).series[..2].iter().map(Arc::as_ptr).collect::<Vec<_>>();
    assert_eq!(keys(&first), keys(&wider), "names are held once");
    let (_other, _) = one(frame(&roster("b", 1), 4, &[1.0]));
    let (anew, bytes) = one(frame(&small, 5, &[1.0, 2.0]));
    assert!(bytes == named && Arc::ptr_eq(roster_of(&first), roster_of(&anew)), "named again, the same one");
}

proptest! {
    /// Rosters come, grow and go in any order, and their addresses are used again: each output has its own, and what is remembered is bounded.
    #[test]
    fn each_output_keeps_its_roster_whatever_is_forgotten(
        steps in prop::collection::vec((0usize..6, 0usize..5, any::<bool>()), 1..200), room in 1usize..30
    ) {
        let (mut encoder, mut decoder) = (Encoder::forgetting_at(room), Decoder::new());
        let mut living: Vec<Arc<Roster>> = (0..6).map(|n| roster(&format!("m-{n}"), 0)).collect();
        for (machine, width, is_new) in steps {
            if is_new {
                living[machine] = roster(&format!("m-{machine}"), width);
            }
            let values: Vec<f64> = (0..living[machine].series.len()).map(|n| n as f64).collect();
            let told = [(1, Output::Samples(frame(&living[machine], 1, &values)))];
            let back = decoded(&mut decoder, &encoded(&mut encoder, &told));
            prop_assert_eq!(format!("{:?}", back), format!("{:?}", told));
            let most = living.iter().map(|roster| roster.series.len() + 1).sum::<usize>().saturating_mul(2).max(room);
            // The living ones twice over, of the last time that it looked: six with at most five each.
            prop_assert!(encoder.series <= most.max(72) && encoder.named.len() <= encoder.series);
        }
    }
}
