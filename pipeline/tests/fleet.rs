//! The fleet: rollups per tag and the hottest machines, against a naive oracle that knows nothing of revisions, workers and ticks.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[allow(dead_code, reason = "what the tests of outputs share")]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{BASE, SECOND, machine, run, settings, stamped, t, time};
use model::{
    Batch, FleetMinute, Hottest, Labels, Layout, MachineInfo, Output, Positions, Record, SeriesKey, SessionId, Stamped,
    Tag, Times, Timestamp, Width, Window,
};
use proptest::prelude::*;

/// What every machine of these tests has: one series of CPU, two of disks, one of a metric that the catalogue does not know, and one core,
/// which nobody compares.
fn layout(name: &str) -> Arc<Layout> {
    let key = |metric: &str, labels: &[(&str, &str)]| {
        SeriesKey::parse(metric, Labels::parse(labels.iter().copied()).unwrap()).unwrap()
    };
    let series = vec![
        key("system.cpu.utilization", &[]),
        key("system.disk.busy", &[("device", "a")]),
        key("system.disk.busy", &[("device", "b")]),
        key("jobs", &[]),
        key("system.cpu.core.utilization", &[("cpu", "0")]),
    ];
    Arc::new(Layout::new(machine(name), series))
}

/// A sample: machine, position in its layout, time, value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    machine: usize,
    position: u16,
    at: Timestamp,
    value: f64,
}

fn frame(name: &str, at: f64, arrival: u64, values: &[f64]) -> Stamped {
    let positions = Positions::List((0..).take(values.len()).collect());
    record(name, arrival, positions, Times::One(time(at)), values)
}

fn record(name: &str, arrival: u64, positions: Positions, times: Times, values: &[f64]) -> Stamped {
    let batch = Batch {
        layout: layout(name),
        session: SessionId(1),
        sequence: 1,
        arrival: Timestamp::from_logical(arrival),
        age_ms: 0,
        positions,
        times,
        values: values.into(),
    };
    stamped(arrival, Record::Batch(Arc::new(batch)))
}

fn info(name: &str, arrival: u64, tags: &[(&str, &str)]) -> Stamped {
    let mut info = MachineInfo::unknown(machine(name), Timestamp::from_logical(arrival));
    info.tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    stamped(arrival, Record::Machine(Arc::new(info)))
}

fn fleets(outputs: &[(u64, Output)]) -> Vec<Arc<FleetMinute>> {
    let fleet = outputs.iter().filter_map(|(at, output)| match output {
        Output::Fleet(fleet) => {
            assert_eq!(fleet.revision, *at, "a revision is the time it leaves at");
            Some(Arc::clone(fleet))
        }
        _ => None,
    });
    // A store sorts what comes by its time, too.
    let mut fleets: Vec<_> = fleet.collect();
    fleets.sort_by_key(|fleet| fleet.revision);
    fleets
}

fn hottest(outputs: &[(u64, Output)]) -> Vec<Arc<Hottest>> {
    let hottest = outputs.iter().filter_map(|(_, output)| match output {
        Output::Hottest(hottest) => Some(Arc::clone(hottest)),
        _ => None,
    });
    hottest.collect()
}

fn group(tag: Option<&Tag>) -> String {
    tag.map_or("all".to_owned(), Tag::to_string)
}

/// Minute, group and metric to its row, as text: what stands in the end when each revision replaces the one before.
fn standing(fleets: &[Arc<FleetMinute>]) -> BTreeMap<(i64, String), Vec<String>> {
    let mut newest: BTreeMap<(i64, String), (u64, Vec<String>)> = BTreeMap::new();
    for fleet in fleets {
        let key = ((fleet.minute.micros() - BASE) / 60_000_000, group(fleet.tag.as_ref()));
        let row = |row: &model::FleetRow| {
            let model::FleetRow { metric, machines, count, sum, min, max } = row;
            format!("{metric} machines={machines} n={count} sum={sum} min={min} max={max}")
        };
        let rows = fleet.rows.iter().map(row).collect();
        let before = newest.insert(key, (fleet.revision, rows));
        assert!(before.is_none_or(|(revision, _)| revision < fleet.revision), "F-2: revisions grow");
    }
    newest.into_iter().map(|(key, (_, rows))| (key, rows)).filter(|(_, rows)| !rows.is_empty()).collect()
}

fn revisions(fleets: &[Arc<FleetMinute>], tag: Option<&str>) -> Vec<(i64, u64, u32)> {
    let of = fleets.iter().filter(|fleet| fleet.tag.as_ref().map(Tag::to_string).as_deref() == tag);
    let minute = |fleet: &FleetMinute| (fleet.minute.micros() - BASE) / 60_000_000;
    of.map(|fleet| {
        (minute(fleet), (fleet.revision - t(0.0)) / SECOND, fleet.rows.first().map_or(0, |row| row.machines))
    })
    .collect()
}

/// Frames of a machine every ten seconds.
fn frames(name: &str, from: u32, to: u32, value: f64) -> impl Iterator<Item = Stamped> {
    (from..to)
        .map(move |n| frame(name, f64::from(n) * 10.0, t(f64::from(n) * 10.0) + 1_000, &[value, 0.5, 0.25, 7.0, 1.0]))
}

fn in_order(records: impl IntoIterator<Item = Stamped>) -> Vec<Stamped> {
    let mut records: Vec<Stamped> = records.into_iter().collect();
    records.sort_by_key(|stamped| stamped.t);
    records
}

#[test]
fn a_dead_machine_does_not_hold_a_minute_up_and_a_late_one_revises_it() {
    // `b` is silent from second 100 on, and comes back with what it kept at second 152, silent again after that: its open minute goes out when it was
    // silent for two intervals, at 172.
    let records = in_order(
        frames("a", 0, 40, 0.5)
            .chain(frames("b", 0, 10, 0.25))
            .chain((10..12).map(|n| frame("b", f64::from(n) * 10.0, t(152.0), &[0.75, 0.5, 0.25, 7.0, 1.0]))),
    );
    let records: Vec<Stamped> = records.into_iter().chain([frame("b", 135.0, t(399.5), &[0.25])]).collect();
    for workers in [1, 2] {
        let outputs = run(&settings(workers), &records, |_| true, t(420.0));
        let mut all = revisions(&fleets(&outputs), None);
        all.retain(|(minute, ..)| *minute < 2);
        assert_eq!(all, [(0, 90, 2), (1, 150, 2), (1, 180, 2)], "{workers} workers");
        let mut last = revisions(&fleets(&outputs), None);
        last.retain(|(minute, ..)| *minute == 4);
        assert_eq!(last, [(4, 330, 1)], "minute 4 is complete without the dead one");
    }
}

#[test]
fn the_hottest_machines_of_the_newest_minute_by_their_hottest_series() {
    let records = in_order(
        frames("a", 0, 12, 0.5).chain(frames("b", 0, 12, 0.75)).chain(frames("c", 0, 12, 0.75)).chain([frame(
            "a",
            3.0,
            t(3.0),
            &[0.5, 1.0],
        )]),
    );
    for workers in [1, 3] {
        let outputs = run(&settings(workers), &records, |_| true, t(200.0));
        let all = hottest(&outputs);
        let first = all.iter().find(|hottest| hottest.minute == time(0.0)).unwrap();
        let of = |metric: &str| -> Vec<String> {
            let machines = &first.of(metric).unwrap().machines;
            machines.iter().map(|(machine, value)| format!("{machine} {value}")).collect()
        };
        assert_eq!(of("system.cpu.utilization"), ["b 0.75", "c 0.75", "a 0.5"], "{workers} workers, ties in id order");
        let hotter = (6.0 * 0.5 + 1.0) / 7.0;
        assert_eq!(of("system.disk.busy"), [format!("a {hotter}"), "b 0.5".to_owned(), "c 0.5".to_owned()]);
        assert!(first.of("system.cpu.core.utilization").is_none(), "nobody compares cores");
        assert_eq!(all.iter().filter(|hottest| hottest.minute == time(0.0)).count(), 1, "told once, when complete");
    }
}

#[test]
fn a_changed_tag_moves_the_machine_and_an_emptied_group_says_so() {
    let records = in_order(
        frames("a", 0, 20, 0.5)
            .chain(frames("b", 0, 20, 0.25))
            .chain([info("a", t(1.0), &[("role", "db"), ("site", "x")]), info("b", t(1.0), &[("site", "x")])])
            .chain([info("a", t(121.0), &[("role", "web"), ("site", "x")])]),
    );
    for workers in [1, 2] {
        let outputs = run(&settings(workers), &records, |_| true, t(220.0));
        let fleets = fleets(&outputs);
        let of = |tag| {
            let mut revisions = revisions(&fleets, Some(tag));
            revisions.retain(|(minute, ..)| *minute == 0);
            revisions
        };
        assert_eq!(of("role=db"), [(0, 90, 1), (0, 130, 0)], "{workers} workers");
        assert_eq!(of("role=web"), [(0, 130, 1)]);
        assert_eq!(of("site=x"), [(0, 90, 2)], "whose machines stayed the same is not told again");
    }
}

#[test]
fn ten_thousand_tags_make_no_more_groups_than_the_limit() {
    let limits = pipeline::TagLimits { names_max: 4, values_max: 50, tags_max: 60 };
    let mut settings = settings(2);
    settings.fleet.tags = limits;
    let flood = (0..10_000_u32).map(|n| {
        let value = format!("v{n}");
        info(&format!("m{n}"), t(2.0) + u64::from(n), &[("junk", &value), ("role", "db")])
    });
    let values = (0..200).map(|n| frame(&format!("m{n}"), 5.0, t(5.0) + n, &[0.5]));
    let end = (0..200).map(|n| frame(&format!("m{n}"), 75.0, t(75.0) + n, &[0.5]));
    let records = in_order(flood.chain(values).chain(end));
    let (outputs, counts) = common::run_counted(&settings, &records, |_| true, t(400.0));
    let fleets = fleets(&outputs);
    let groups: BTreeSet<String> = fleets.iter().map(|fleet| group(fleet.tag.as_ref())).collect();
    // F-3: the values that are admitted are some of the flood's; those of most machines are always there.
    assert!(groups.len() <= 2 + 50, "{groups:?}");
    assert!(groups.contains("role=db") && groups.contains("all"));
    assert_eq!(counts["fleet_tags_refused"], 10_000 - 50);
    let db = fleets.iter().find(|fleet| group(fleet.tag.as_ref()) == "role=db").unwrap();
    assert_eq!((db.rows[0].machines, db.rows[0].count), (200, 200));
}

/// From a time on a machine has these tags.
type Tagging = (u64, usize, Vec<(String, String)>);

/// A fleet that lives for some minutes.
struct World {
    records: Vec<Stamped>,
    samples: Vec<(u64, Sample)>,
    /// Tags from a time on.
    tags: Vec<Tagging>,
    end: u64,
}

const MACHINES: [&str; 6] = ["a", "b-2", "c", "d", "e", "f.x"];

/// Machines that come and vanish, tags that change, samples late by up to four minutes, frames that come twice.
fn simulate(seed: u64, ticks: u32) -> World {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut events: Vec<(u64, Vec<Sample>)> = Vec::new();
    let mut tags = Vec::new();
    for machine in 0..MACHINES.len() {
        let vanishes = if rng.u8(..) < 90 { rng.u32(0..ticks) } else { ticks };
        for tick in (0..ticks).filter(|tick| *tick < vanishes) {
            let second = f64::from(tick) * 7.0 + f64::from(u32::try_from(machine).unwrap());
            let sample =
                |position| Sample { machine, position, at: time(second), value: f64::from(rng.u32(0..64)) / 64.0 };
            let mut values: Vec<Sample> = (0..5).map(sample).collect();
            if rng.u8(..) < 40 {
                let stray = vec![values.remove(rng.usize(..values.len()))];
                events.push((t(second) + rng.u64(0..240 * SECOND), stray));
            }
            if rng.u8(..) < 20 {
                events.push((t(second) + rng.u64(0..240 * SECOND), values.clone()));
            }
            events.push((t(second) + rng.u64(0..SECOND), values));
        }
        for _ in 0..rng.u32(0..5) {
            let mut tag = |name: &str| (name.to_owned(), format!("{}", rng.u8(0..3)));
            let (role, site) = (tag("role"), tag("site"));
            let own = if rng.bool() { vec![role, site] } else { vec![role] };
            tags.push((t(0.0) + rng.u64(0..u64::from(ticks) * 7 * SECOND), machine, own));
        }
    }
    // One of each time, so that their order is theirs.
    let mut used = BTreeSet::new();
    let mut unique = |mut at: u64| {
        while !used.insert(at) {
            at += 1;
        }
        at
    };
    events.iter_mut().for_each(|event| event.0 = unique(event.0));
    tags.iter_mut().for_each(|tag| tag.0 = unique(tag.0));
    let batches = events.iter().map(|(arrival, samples)| {
        let positions = Positions::List(samples.iter().map(|sample| sample.position).collect());
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        record(MACHINES[samples[0].machine], *arrival, positions, Times::One(samples[0].at), &values)
    });
    let infos = tags.iter().map(|(at, machine, tags)| {
        let tags: Vec<(&str, &str)> = tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        info(MACHINES[*machine], *at, &tags)
    });
    let records = in_order(batches.chain(infos));
    let end = records.last().unwrap().t + 600 * SECOND;
    let mut samples: Vec<(u64, Sample)> =
        events.iter().flat_map(|(at, samples)| samples.iter().map(|sample| (*at, *sample))).collect();
    samples.sort_by_key(|(at, _)| *at);
    World { records, samples, tags, end }
}

const METRICS: [&str; 5] =
    ["system.cpu.utilization", "system.disk.busy", "system.disk.busy", "jobs", "system.cpu.core.utilization"];

/// Count, sum, min, max.
type Row = (u64, f64, f64, f64);

/// Rows of a group by metric, each with its machine.
type Rows<'a> = BTreeMap<&'a str, Vec<(usize, Row)>>;

/// What a machine published of its minutes until a logical time, as the minute tier has it: the newest rows of each.
type Published = BTreeMap<(usize, i64), BTreeMap<u16, Row>>;

/// The rows that leave the graph for the minute tier by `until`: the fleet is made of what machines publish, and when they do is `window`'s.
fn published(outputs: &[(u64, Output)], until: impl Fn(i64) -> u64) -> Published {
    let mut rows: Published = BTreeMap::new();
    for (at, output) in outputs {
        let Output::Minute(minute) = output else { continue };
        let start = minute.window.start.micros();
        if *at >= until(start) {
            continue;
        }
        let index = MACHINES.iter().position(|name| *name == minute.roster.machine.as_str()).unwrap();
        let own = rows.entry((index, start)).or_default();
        for (slot, row) in minute.rows.iter() {
            let key = minute.roster.key(slot);
            let position = layout("a").series.iter().position(|other| other == key.as_ref()).unwrap();
            own.insert(u16::try_from(position).unwrap(), (row.count, row.sum, row.min, row.max));
        }
    }
    rows
}

fn leaves(minute: i64) -> u64 {
    u64::try_from(minute + 60_000_000).unwrap() + 180 * SECOND
}

/// The tags that a machine has at a time, changes counting from the next tick on.
fn tags_at(world: &World, machine: usize, at: u64) -> Vec<Tag> {
    let mut changes: Vec<_> = world.tags.iter().filter(|(t, of, _)| *of == machine && *t <= at).collect();
    changes.sort_by_key(|(t, ..)| *t);
    changes.last().map_or(Vec::new(), |(.., tags)| tags.iter().map(|(n, v)| Tag::new(n, v)).collect())
}

/// Each group's rows of each minute, from what machines had published and were tagged when the minute left.
fn oracle(world: &World, outputs: &[(u64, Output)]) -> BTreeMap<(i64, String), Vec<String>> {
    let mut groups: BTreeMap<(i64, String), Rows<'_>> = BTreeMap::new();
    // What is told at the tick at which a minute leaves is not told at all: the last one before counts.
    let last = |minute: i64| leaves(minute) - 10 * SECOND;
    for ((machine, minute), rows) in published(outputs, last) {
        let tags = tags_at(world, machine, last(minute));
        let names = std::iter::once("all".to_owned()).chain(tags.iter().map(Tag::to_string));
        for name in names {
            let group = groups.entry(((minute - BASE) / 60_000_000, name)).or_default();
            for (position, row) in &rows {
                let metric = METRICS[usize::from(*position)];
                if metric != "system.cpu.core.utilization" {
                    group.entry(metric).or_default().push((machine, *row));
                }
            }
        }
    }
    let line = |(metric, rows): (&str, Vec<(usize, Row)>)| {
        let machines: BTreeSet<usize> = rows.iter().map(|(machine, _)| *machine).collect();
        let count: u64 = rows.iter().map(|(_, row)| row.0).sum();
        let sum: f64 = rows.iter().map(|(_, row)| row.1).sum();
        let min = rows.iter().map(|(_, row)| row.2).fold(f64::INFINITY, f64::min);
        let max = rows.iter().map(|(_, row)| row.3).fold(f64::NEG_INFINITY, f64::max);
        format!("{metric} machines={} n={count} sum={sum} min={min} max={max}", machines.len())
    };
    groups.into_iter().map(|(key, rows)| (key, rows.into_iter().map(line).collect())).collect()
}

/// Highest mean of a machine's series of a metric, from the samples alone.
fn oracle_hottest(world: &World, minute: i64, metric: &str) -> Vec<(String, f64)> {
    let mut means: BTreeMap<(usize, u16), (f64, f64)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (_, sample) in &world.samples {
        let is_here = Window::containing(sample.at, Width::Minute).start.micros() == minute;
        let is_new = seen.insert((sample.machine, sample.position, sample.at));
        if is_here && is_new && METRICS[usize::from(sample.position)] == metric {
            let mean = means.entry((sample.machine, sample.position)).or_default();
            *mean = (mean.0 + sample.value, mean.1 + 1.0);
        }
    }
    let mut hottest: BTreeMap<usize, f64> = BTreeMap::new();
    for ((machine, _), (sum, count)) in means {
        let value = hottest.entry(machine).or_insert(f64::NEG_INFINITY);
        *value = value.max(sum / count);
    }
    let mut list: Vec<(String, f64)> =
        hottest.into_iter().map(|(machine, value)| (MACHINES[machine].to_owned(), value)).collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list
}

/// Everything of the fleet that leaves, in the order of its keys.
fn told(outputs: &[(u64, Output)]) -> BTreeSet<String> {
    let text = outputs.iter().filter_map(|(at, output)| match output {
        Output::Fleet(fleet) => Some(format!("{at} {fleet:?}")),
        Output::Hottest(hottest) => Some(format!("{at} {hottest:?}")),
        _ => None,
    });
    let (mut all, mut count) = (BTreeSet::new(), 0);
    for text in text {
        all.insert(text);
        count += 1;
    }
    assert_eq!(all.len(), count, "F-2: nothing is told twice");
    all
}

proptest! {
    // A case is dear. PROPTEST_CASES stands above this: thousands in `make test-long`.
    #![proptest_config(ProptestConfig::with_cases(25))]

    /// F-1, F-2.
    #[test]
    fn the_fleet_ends_with_the_oracles_rollups(seed: u64, ticks in 10u32..80, workers in 1usize..4, every in 1usize..40) {
        let world = simulate(seed, ticks);
        let outputs = run(&settings(workers), &world.records, |n| n % every == 0, world.end);
        prop_assert_eq!(standing(&fleets(&outputs)), oracle(&world, &outputs));
    }

    /// F-1: once all samples of a minute are in, its list is theirs.
    #[test]
    fn the_hottest_machines_are_the_oracles(seed: u64, ticks in 10u32..80, workers in 1usize..4) {
        let mut world = simulate(seed, ticks);
        // Late ones here by ten seconds at most, so that what machines publish is what they sent.
        world.samples.retain(|(arrival, sample)| *arrival < u64::try_from(sample.at.micros()).unwrap() + 2 * SECOND);
        world.records.retain(|stamped| match &stamped.record {
            Record::Batch(batch) => stamped.t < u64::try_from(batch.newest().micros()).unwrap() + 2 * SECOND,
            _ => true,
        });
        let outputs = run(&settings(workers), &world.records, |_| true, world.end);
        let mut newest: BTreeMap<i64, Arc<Hottest>> = BTreeMap::new();
        for hottest in hottest(&outputs) {
            newest.insert(hottest.minute.micros(), hottest);
        }
        for (minute, hottest) in newest {
            for of in &hottest.metrics {
                let machines: Vec<(String, f64)> =
                    of.machines.iter().map(|(machine, value)| (machine.to_string(), *value)).collect();
                prop_assert_eq!(machines, oracle_hottest(&world, minute, &of.metric), "{}", of.metric);
            }
        }
    }

    /// F-1, J-2.
    #[test]
    fn a_replay_tells_the_same_whenever_it_is_sealed_and_on_any_workers(seed: u64, ticks in 10u32..60, every in 2usize..50, workers in 2usize..4) {
        let world = simulate(seed, ticks);
        let live = run(&settings(1), &world.records, |_| true, world.end);
        let replayed = run(&settings(1), &world.records, |n| n % every == 0, world.end);
        prop_assert_eq!(told(&live), told(&replayed));
        let wider = run(&settings(workers), &world.records, |n| n % every == 0, world.end);
        prop_assert_eq!(told(&live), told(&wider));
    }
}
