//! Journal: batches a second that become durable by group commit, against the same bytes written and synced without a journal.
//!
//! As in the hub: one thread appends and flushes groups, another syncs what was flushed meanwhile. Baseline: the same two threads with a plain
//! file. Beside it, what one fsync per batch gives. `journal [BATCHES] [ROUNDS]`, in the folder of temporary files or `TMPDIR`.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use benches::report::{Figure, Spread, median};
use journal::{Journal, JournalError, Options};

use crate::{Arguments, Result};

const BATCH_BYTES: usize = 1_400;
/// Batches appended under one T; what waits while an fsync takes a few milliseconds.
const GROUP: usize = 1_024;
/// Groups written and not yet synced, as in the hub.
const UNSYNCED_MAX: usize = 64;
const NAIVE_BATCHES: usize = 300;
/// The pace of the acknowledgement's baseline.
const PACE: Duration = Duration::from_millis(1);

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (batches, rounds) = (number(300_000)?, number(3)?);
    let folder = tempfile::tempdir()?;
    let (mut journalled, mut plain, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    let mut synced = Vec::new();
    for _ in 0..rounds {
        plain.push(rate(batches, || plain_file(folder.path(), batches))?);
        journalled.push(rate(batches, || through_journal(folder.path(), batches))?);
        naive.push(rate(NAIVE_BATCHES, || one_by_one(folder.path()))?);
        synced.extend(paced(folder.path())?);
    }
    let best = |rates: &[f64]| rates.iter().copied().fold(0.0, f64::max);
    let name = "journal: durable batches of 1.4 KB";
    Figure::new(format!("{name}, best round"), best(&journalled), "batches/s").against(best(&plain)).print();
    Figure::new(name, median(journalled), "batches/s").at_least(150_000.0).against(median(plain)).print();
    Figure::new("journal: one fsync per batch", median(naive), "batches/s").print();
    let spread = Spread::of(synced);
    for percent in [50, 99] {
        let ms = Duration::from_nanos(spread.percentile(percent)).as_secs_f64() * 1e3;
        Figure::new(format!("journal: write and fsync of one batch, p{percent}"), ms, "ms").print();
    }
    Ok(())
}

fn rate(batches: usize, run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    run()?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let batches = batches as f64;
    Ok(batches / started.elapsed().as_secs_f64())
}

/// Not all zeros, in case a disk is clever.
fn payload() -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(7);
    (0..BATCH_BYTES).map(|_| rng.u8(..)).collect()
}

fn through_journal(folder: &Path, batches: usize) -> Result<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let (mut journal, _opened) = Journal::open(Options::new(folder.path()))?;
    let (flushed, groups): (SyncSender<u64>, Receiver<u64>) = sync_channel(UNSYNCED_MAX);
    let syncer = journal.syncer();
    let syncing = std::thread::spawn(move || -> std::result::Result<(), JournalError> {
        while let Ok(first) = groups.recv() {
            syncer.sync(groups.try_iter().last().unwrap_or(first))?;
        }
        Ok(())
    });
    let payload = payload();
    for t in 1..=batches.div_ceil(GROUP) as u64 {
        if journal.segment_is_full() {
            journal.rotate()?;
        }
        for _ in 0..GROUP {
            journal.append(t, &payload)?;
        }
        journal.flush()?;
        flushed.send(t)?;
    }
    drop(flushed);
    syncing.join().map_err(|_panic| "the syncing thread failed")??;
    Ok(())
}

fn plain_file(folder: &Path, batches: usize) -> Result<()> {
    let file = Arc::new(tempfile::tempfile_in(folder)?);
    let (written, groups): (SyncSender<()>, Receiver<()>) = sync_channel(UNSYNCED_MAX);
    let syncing = std::thread::spawn({
        let file = Arc::clone(&file);
        move || -> std::io::Result<()> {
            while groups.recv().is_ok() {
                groups.try_iter().for_each(drop);
                file.sync_data()?;
            }
            Ok(())
        }
    });
    let (payload, mut group) = (payload(), Vec::with_capacity(GROUP * BATCH_BYTES));
    for _ in 0..batches.div_ceil(GROUP) {
        group.clear();
        for _ in 0..GROUP {
            group.extend_from_slice(&payload);
        }
        (&*file).write_all(&group)?;
        written.send(())?;
    }
    drop(written);
    syncing.join().map_err(|_panic| "the syncing thread failed")??;
    Ok(())
}

fn one_by_one(folder: &Path) -> Result<()> {
    let (mut file, payload) = (tempfile::tempfile_in(folder)?, payload());
    for _ in 0..NAIVE_BATCHES {
        write_and_sync(&mut file, &payload)?;
    }
    Ok(())
}

/// Nanoseconds that a batch takes to the disk when one comes each millisecond and nobody else does.
fn paced(folder: &Path) -> Result<Vec<u64>> {
    let (mut file, payload) = (tempfile::tempfile_in(folder)?, payload());
    let mut took = Vec::with_capacity(NAIVE_BATCHES);
    for _ in 0..NAIVE_BATCHES {
        std::thread::park_timeout(PACE);
        let started = Instant::now();
        write_and_sync(&mut file, &payload)?;
        took.push(u64::try_from(started.elapsed().as_nanos())?);
    }
    Ok(took)
}

fn write_and_sync(file: &mut File, payload: &[u8]) -> Result<()> {
    file.write_all(payload)?;
    file.sync_data()?;
    Ok(())
}
