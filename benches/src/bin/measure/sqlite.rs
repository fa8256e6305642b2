//! History in a file: frames and windows through the embedded store's sink, beside as many bytes written to a plain file and synced as often.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::report::Figure;
use model::Timestamp;
use runtime::clock::SystemClock;
use runtime::metrics::Registry;
use sinks::sink::Sink;
use sinks::sqlite::{self, SqliteSettings};

use crate::rows::{self, Fleet, rate};
use crate::{Arguments, Result};

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(_args: Arguments) -> Result<()> {
    let (folder, clock) = (tempfile::tempdir()?, SystemClock::shared());
    let mut fleet = Fleet::new(Timestamp::from_micros(clock.now_us()))?;
    let (mut sink, _history) = sqlite::open(SqliteSettings::new(folder.path()), Arc::clone(&clock), &Registry::new())?;
    sink.connect().await?;
    let (samples, took) = rows::raw(&mut fleet, &mut sink).await?;
    let bytes = size(folder.path())?;
    let plain = written(folder.path(), bytes)?;
    let name = "sqlite: raw frames";
    Figure::new(name, rate(samples, took) / 1e6, "M samples/s").against(rate(samples, plain) / 1e6).print();
    Figure::new("sqlite: raw frames on disk", bytes as f64 / samples as f64, "B/sample").at_most(12.0).print();
    rows::windows("sqlite", None, &mut fleet, &mut sink).await
}

/// Of all files of the store.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

fn written(folder: &Path, bytes: u64) -> Result<Duration> {
    let piece = vec![0x5a; usize::try_from(bytes / rows::BATCHES)?];
    let (mut file, since) = (tempfile::tempfile_in(folder)?, Instant::now());
    for _ in 0..rows::BATCHES {
        file.write_all(&piece)?;
        file.sync_data()?;
    }
    Ok(since.elapsed())
}
