//! The outbox's promises, with a real spool in a folder of its own and a clock that is moved by hand.

use std::path::Path;
use std::time::Duration;

use runtime::clock::ManualClock;
use runtime::metrics::Registry;

use super::*;
use crate::frame::testing;

/// As a link sends it: everything after a frame, loading from disk where it must.
fn all_after(outbox: &mut Outbox, mut after: u64) -> Vec<u64> {
    let mut sequences = Vec::new();
    loop {
        match outbox.next(after, 7) {
            Next::Frames(frames) => {
                sequences.extend(frames.iter().map(|frame| frame.sequence));
                after = sequences[sequences.len() - 1];
            }
            Next::OnDisk => outbox.load(after),
            Next::Nothing => return sequences,
        }
    }
}

struct Fixture {
    clock: ManualClock,
    metrics: Registry,
    layout: Arc<crate::layout::Layout>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            clock: ManualClock::at(1_700_000_000_000_000),
            metrics: Registry::new(),
            layout: testing::layout(&["a", "b"]),
        }
    }

    fn outbox(&self, folder: Option<&Path>, quota_bytes: u64) -> Outbox {
        let mut rng = Rng::with_seed(7);
        let open = |folder| Spool::open(folder, quota_bytes, self.clock.shared(), &mut rng).unwrap();
        let spool = folder.map(open);
        let mut outbox = Outbox::new(spool, Telemetry::new(&self.metrics), self.clock.shared(), rng);
        outbox.maintain();
        outbox
    }

    fn push(&self, outbox: &mut Outbox, frames: u64) {
        for _ in 0..frames {
            self.clock.advance(Duration::from_secs(5));
            let tick = Tick {
                time_ms: runtime::clock::Clock::now_us(&self.clock) / 1_000,
                taken_us: runtime::clock::Clock::monotonic_us(&self.clock),
                row: testing::row(&self.layout, 1.0),
                processes: None,
            };
            if outbox.push(tick) {
                outbox.maintain();
            }
        }
    }

    fn dropped(&self) -> u64 {
        Telemetry::new(&self.metrics).dropped.value()
    }
}

#[test]
fn frames_wait_in_order_until_they_are_acknowledged() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let mut outbox = fixture.outbox(Some(folder.path()), 1 << 20);
    fixture.push(&mut outbox, 200);
    let first = outbox.acknowledged() + 1;
    let all: Vec<u64> = all_after(&mut outbox, 0);
    assert_eq!(all.len(), 200);
    assert!(all.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert!(outbox.memory.len() <= MEMORY_FRAMES && outbox.has_spooled());
    // In the middle of a chunk on disk, then in memory, then all.
    for (acknowledged, left) in [(all[9], 190), (all[179], 20), (all[199], 0)] {
        outbox.acknowledge(acknowledged);
        let rest = all_after(&mut outbox, acknowledged);
        assert_eq!(rest, all[200 - left..]);
    }
    assert_eq!((outbox.waiting(), fixture.dropped()), (0, 0));
    assert!(first <= all[0]);
}

#[test]
fn what_is_spooled_at_the_end_is_there_after_a_restart_under_the_same_session() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let mut outbox = fixture.outbox(Some(folder.path()), 1 << 20);
    fixture.push(&mut outbox, 100);
    let before = all_after(&mut outbox, 0);
    outbox.acknowledge(before[4]);
    let session = outbox.session();
    assert_eq!(outbox.spill_all(), 0);
    drop(outbox);
    let mut outbox = fixture.outbox(Some(folder.path()), 1 << 20);
    assert_eq!((outbox.session(), outbox.acknowledged()), (session, before[4]));
    fixture.push(&mut outbox, 1);
    let after = all_after(&mut outbox, before[4]);
    assert_eq!(after[..95], before[5..]);
    assert!(after.len() == 96 && before[99] < after[95], "numbers rise over a restart");
}

#[test]
fn after_a_kill_no_number_comes_twice() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let mut outbox = fixture.outbox(Some(folder.path()), 1 << 20);
    fixture.push(&mut outbox, 10);
    let newest = *all_after(&mut outbox, 0).last().unwrap();
    // Nothing is spilled, as when the process is killed.
    drop(outbox);
    let mut outbox = fixture.outbox(Some(folder.path()), 1 << 20);
    fixture.push(&mut outbox, 1);
    assert!(newest < all_after(&mut outbox, 0)[0]);
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts_them() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let mut outbox = fixture.outbox(Some(folder.path()), 64 << 10);
    fixture.push(&mut outbox, 5_000);
    let left = all_after(&mut outbox, 0);
    assert!(fixture.dropped() > 0 && left.len() > 100);
    assert_eq!(left.len() as u64 + fixture.dropped(), 5_000);
    assert!(left.windows(2).all(|pair| pair[0] + 1 == pair[1]), "what is left is the newest");
    assert!(outbox.spool.as_ref().unwrap().bytes() <= 64 << 10);
}

#[test]
fn without_a_spool_memory_is_bounded_and_drops_the_oldest() {
    let fixture = Fixture::new();
    let mut outbox = fixture.outbox(None, 0);
    fixture.push(&mut outbox, 40_000);
    assert!(outbox.memory_bytes <= MEMORY_BYTES);
    assert_eq!(outbox.waiting() + fixture.dropped(), 40_000);
    assert_eq!(all_after(&mut outbox, 0)[0], fixture.dropped() + 1);
}

#[test]
fn a_hub_that_knows_more_than_we_numbered_gets_another_session() {
    let fixture = Fixture::new();
    let mut outbox = fixture.outbox(None, 0);
    fixture.push(&mut outbox, 3);
    let session = outbox.session();
    assert!(!outbox.is_beyond(3) && outbox.is_beyond(4));
    outbox.renew_session();
    assert_ne!(outbox.session(), session);
    assert_eq!(all_after(&mut outbox, 0), [1, 2, 3]);
}

#[test]
fn a_frame_from_disk_keeps_its_age_and_its_layout() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let mut outbox = fixture.outbox(Some(folder.path()), 1 << 20);
    fixture.push(&mut outbox, 1);
    fixture.clock.advance(Duration::from_secs(10));
    outbox.spill_all();
    fixture.clock.advance(Duration::from_secs(10));
    outbox.load(0);
    let Next::Frames(frames) = outbox.next(0, 1) else { panic!("nothing was loaded") };
    assert_eq!(frames[0].age_ms(&fixture.clock), 20_000);
    assert_eq!(frames[0].row, testing::row(&fixture.layout, 1.0));
}

#[test]
fn damaged_chunks_are_counted_and_the_rest_is_sent() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let mut outbox = fixture.outbox(Some(folder.path()), 1 << 20);
    fixture.push(&mut outbox, 100);
    let all = all_after(&mut outbox, 0);
    assert!(outbox.has_spooled());
    let segment = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "journal")).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
    let left = all_after(&mut outbox, 0);
    assert!(fixture.dropped() > 0 && left.len() as u64 + fixture.dropped() == all.len() as u64);
    assert_eq!(left.last(), all.last());
}
