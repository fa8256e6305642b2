//! Outbox: alert events, each at least once, to a bus that may be away.
//!
//! In: whole, durable times, from the driver, which spills to the data folder what waits for longer. Out: events of transitions, in order.
//! State: a cursor in a small file, moved after the bus took the events. A crash in between repeats them, with the same `key`.
//! Invariants: S-2 the cursor passes no event that was not published, and nothing undurable is published; S-4 each alert is told at least once, in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{LogicalTime, Output};
use runtime::file::replace;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::bus::{Bus, Event};
use crate::driver::DriverSettings;
use crate::error::SinkError;
use crate::payload;
use crate::sink::{Cursors, Group, Sink, WriteBatch};

/// Events of one call: some hundred kilobytes.
const CHUNK_EVENTS: usize = 256;

pub struct Outbox<B> {
    bus: B,
    path: PathBuf,
    cursor: LogicalTime,
}

impl<B: Bus> Outbox<B> {
    /// A new outbox tells what happens after `begin`. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn open(bus: B, path: PathBuf, begin: LogicalTime) -> std::io::Result<Self> {
        let cursor = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().unwrap_or_else(|error| {
                warn!(%error, path = %path.display(), "outbox cursor is damaged: events may come again");
                0
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                replace(&path, begin.to_string().as_bytes())?;
                begin
            }
            Err(error) => return Err(error),
        };
        Ok(Self { bus, path, cursor })
    }

    /// Every event up to here was published.
    pub fn cursor(&self) -> LogicalTime {
        self.cursor
    }

    /// Alerts are few and wanted at once; while the bus is away they go to disk within seconds.
    pub fn settings(flush_within: Duration) -> DriverSettings {
        let defaults = DriverSettings::default();
        DriverSettings {
            commit_after: Duration::from_millis(1),
            memory_bytes_max: 1 << 20,
            spill_after: Some(Duration::from_secs(2)),
            flush_within,
            patience: super::driver::Patience { retry_cap: Duration::from_secs(2), ..defaults.patience },
            ..defaults
        }
    }

    async fn store_cursor(&mut self, upto: LogicalTime) -> Result<(), SinkError> {
        let (path, text) = (self.path.clone(), upto.to_string());
        let replaced = spawn_blocking(move || replace(&path, text.as_bytes())).await;
        let failed = |source| SinkError::Unavailable { sink: self.bus.name(), action: "store the cursor", source };
        replaced.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))?;
        self.cursor = upto;
        Ok(())
    }

    fn cursors(&self) -> Cursors {
        Cursors { rows: self.cursor, raw: self.cursor }
    }
}

impl<B: Bus> Sink for Outbox<B> {
    fn name(&self) -> &'static str {
        self.bus.name()
    }

    async fn connect(&mut self) -> Result<Cursors, SinkError> {
        Ok(self.cursors())
    }

    async fn write(&mut self, batch: Arc<WriteBatch>) -> Result<Cursors, SinkError> {
        let events = events(&batch.groups, self.cursor);
        for chunk in events.chunks(CHUNK_EVENTS) {
            self.bus.publish(chunk).await?;
        }
        if self.cursor < batch.upto {
            self.store_cursor(batch.upto).await?;
        }
        Ok(self.cursors())
    }

    async fn flush(&mut self) -> Result<Cursors, SinkError> {
        Ok(self.cursors())
    }

    async fn maintain(&mut self) -> Result<bool, SinkError> {
        Ok(false)
    }
}

/// The events of times after `after`.
fn events(groups: &[Group], after: LogicalTime) -> Vec<Event> {
    let outputs = groups.iter().filter(|group| after < group.t).flat_map(|group| &group.outputs);
    let transitions = outputs.filter_map(|output| match output {
        Output::Transition(transition) => Some(payload::alert(transition)),
        Output::Samples(_)
        | Output::Minute(_)
        | Output::Hour(_)
        | Output::Standing(_)
        | Output::Presence(_)
        | Output::Machine(_)
        | Output::Processes(_)
        | Output::Rejected(_)
        | Output::Resent(_)
        | Output::Repair(_)
        | Output::Fleet(_)
        | Output::Group(_)
        | Output::Hottest(_) => None,
    });
    transitions.collect()
}
