//! Several processes as one graph: who waits for whom, who shows what. That they publish what one process does, and that each is told of it, is in
//! `simulation/`.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[allow(dead_code, reason = "what the tests of outputs share")]
mod common;
#[path = "common/processes.rs"]
mod processes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{batch, layout, settings, stamped, t, time, wait_until};
use model::{Dataflow, MachineId, Output, Record, Roster, Stamped};
use pipeline::{Gate, Settings};
use processes::{Left, Process};

/// The first machine's name that the process owns, of two with one worker each.
fn owned_by(process: u64) -> String {
    let name = (0..).map(|n| format!("m-{n}")).find(|name| MachineId::parse(name).unwrap().mix() % 2 == process);
    name.unwrap()
}

fn frame(name: &str, n: u32) -> Stamped {
    let at = t(f64::from(n) / 1_000.0);
    let samples = [(0, time(f64::from(n) / 1_000.0), 1.0)];
    stamped(at, Record::Batch(Arc::new(batch(&layout(name, 1), at, &samples))))
}

fn samples(outputs: &[(u64, Output)]) -> usize {
    outputs.iter().filter(|(_, output)| matches!(output, Output::Samples(_))).count()
}

#[test]
fn nothing_leaves_before_every_process_has_sealed_it() {
    let started = Process::start(2, &settings(1), |_| Arc::new(|| true));
    let (first, second) = (&started[0].handle, &started[1].handle);
    first.push(0, frame(&owned_by(1), 1)).unwrap();
    first.seal(t(10.0));
    second.seal(t(5.0));
    wait_until(|| t(5.0) <= first.completed() && t(5.0) <= second.completed());
    assert!(first.completed() == t(5.0) && second.completed() == t(5.0), "the slower one's seal holds for both");
    second.seal(t(10.0));
    wait_until(|| t(10.0) <= second.completed());
    let left = Process::end(started);
    assert_eq!(left.iter().map(|left| samples(&left.kept)).collect::<Vec<_>>(), [0, 1], "its owner has it");
}

/// A process whose stores have no room holds up the others, and what is under way to it is bounded: their own queues fill.
#[test]
fn a_closed_gate_stops_every_process_and_loses_nothing() {
    const RECORDS: u32 = 120_000;
    let is_open = Arc::new(AtomicBool::new(false));
    let gate = |process| -> Gate {
        let is_open = Arc::clone(&is_open);
        Arc::new(move || process == 0 || is_open.load(Ordering::Relaxed))
    };
    let settings = Settings { queue_records_max: 4_096, ..settings(1) };
    let started = Process::start(2, &settings, gate);
    let first = Arc::clone(&started[0].handle);
    let end = t(f64::from(RECORDS));
    started[1].handle.seal(end);
    let name = owned_by(1);
    let pushing = std::thread::spawn({
        let first = Arc::clone(&first);
        move || {
            for n in 0..RECORDS {
                let next = frame(&name, n);
                if n % 1_000 == 0 {
                    first.seal(next.t);
                }
                first.push(0, next).unwrap();
            }
            first.seal(end);
        }
    });
    wait_until(|| first.queues()[0].is_full());
    assert!(first.completed() <= t(1.0) && !pushing.is_finished());
    is_open.store(true, Ordering::Relaxed);
    started[1].handle.ring_all();
    pushing.join().unwrap();
    wait_until(|| started.iter().all(|process| end <= process.handle.completed()));
    let left = Process::end(started);
    assert_eq!(left.iter().map(|left| samples(&left.kept)).collect::<Vec<_>>(), [0, RECORDS as usize]);
    let times = left[1].kept.iter().filter(|(_, output)| matches!(output, Output::Samples(_))).map(|(t, _)| *t);
    assert!(times.is_sorted(), "in order of time");
}

/// Frames of so many machines, of two series and later of three, in order of T.
fn frames(machines: usize, seconds: u32) -> Vec<Stamped> {
    let frame = |(second, machine): (u32, usize)| {
        let (at, arrival) = (time(f64::from(second)), t(f64::from(second)) + machine as u64);
        let width = if second < seconds / 2 { 2 } else { 3 };
        let samples: Vec<_> = (0..width).map(|n| (n, at, f64::from(second))).collect();
        let layout = layout(&format!("m-{machine}"), usize::from(width));
        stamped(arrival, Record::Batch(Arc::new(batch(&layout, arrival, &samples))))
    };
    (0..seconds).flat_map(|second| (0..machines).map(move |machine| (second, machine))).map(frame).collect()
}

#[test]
fn every_process_shows_every_machine_and_holds_each_roster_once() {
    const MACHINES: usize = 7;
    for processes in [2, 3] {
        let settings = settings(2);
        let started = Process::start(processes, &settings, |_| Arc::new(|| true));
        for (n, next) in frames(MACHINES, 100).into_iter().enumerate() {
            let handle = &started[n % processes].handle;
            handle.seal(next.t);
            handle.push(n % 2, next).unwrap();
        }
        started.iter().for_each(|process| process.handle.seal(t(1_000.0)));
        wait_until(|| started.iter().all(|process| t(1_000.0) <= process.handle.completed()));
        for Left { kept, told, shown } in Process::end(started) {
            let mut rosters: BTreeMap<MachineId, Vec<Arc<Roster>>> = BTreeMap::new();
            let mut newest = BTreeMap::new();
            for (_, output) in &shown {
                let Output::Samples(bound) = output else { continue };
                let known = rosters.entry(bound.batch.machine().clone()).or_default();
                if !known.iter().any(|roster| Arc::ptr_eq(roster, bound.roster())) {
                    known.push(Arc::clone(bound.roster()));
                }
                newest.insert(bound.batch.machine().clone(), bound.batch.newest());
            }
            assert_eq!(rosters.len(), MACHINES);
            assert!(rosters.values().all(|rosters| rosters.len() <= 2), "one, and one more since it grew");
            assert!(newest.values().all(|newest| *newest == time(99.0)));
            assert!(samples(&kept) < 100 * MACHINES && samples(&told) == 0);
        }
    }
}
