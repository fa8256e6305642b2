//! A sink around a sink, that fails when it is told to.

use std::sync::Arc;

use sinks::error::SinkError;
use sinks::sink::{Cursors, Sink, WriteBatch};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Works,
    /// Nothing is stored.
    Refuses,
    /// All is stored, and the answer gets lost.
    StoresAndFails,
    /// No answer until the mode changes.
    Hangs,
}

pub(crate) struct Faulty<S> {
    inner: S,
    mode: watch::Receiver<Mode>,
    /// Dropped with the store: then nothing holds its files any more.
    _alive: watch::Sender<()>,
}

/// The test's end of it.
pub(crate) struct Controls {
    pub(crate) mode: watch::Sender<Mode>,
    alive: watch::Receiver<()>,
}

impl Controls {
    /// Waits until the store is dropped, also by a call that was still under way.
    pub(crate) async fn gone(mut self) {
        drop(self.mode);
        while self.alive.changed().await.is_ok() {}
    }
}

impl<S: Sink> Faulty<S> {
    pub(crate) fn new(inner: S, mode: Mode) -> (Self, Controls) {
        let (mode_sender, mode) = watch::channel(mode);
        let (_alive, alive) = watch::channel(());
        let controls = Controls { mode: mode_sender, alive };
        (Self { inner, mode, _alive }, controls)
    }

    fn failure(&self) -> SinkError {
        SinkError::Unavailable { sink: self.inner.name(), action: "write", source: "told to fail".into() }
    }

    /// The mode, once it is not to hang.
    async fn mode(&mut self) -> Mode {
        self.mode.wait_for(|mode| *mode != Mode::Hangs).await.map_or(Mode::Refuses, |mode| *mode)
    }
}

impl<S: Sink> Sink for Faulty<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn connect(&mut self) -> Result<Cursors, SinkError> {
        match self.mode().await {
            Mode::Works => self.inner.connect().await,
            Mode::Refuses | Mode::StoresAndFails | Mode::Hangs => Err(self.failure()),
        }
    }

    async fn write(&mut self, batch: Arc<WriteBatch>) -> Result<Cursors, SinkError> {
        match self.mode().await {
            Mode::Works => self.inner.write(batch).await,
            Mode::StoresAndFails => {
                self.inner.write(batch).await?;
                Err(self.failure())
            }
            Mode::Refuses | Mode::Hangs => Err(self.failure()),
        }
    }

    async fn flush(&mut self) -> Result<Cursors, SinkError> {
        match self.mode().await {
            Mode::Works => self.inner.flush().await,
            Mode::Refuses | Mode::StoresAndFails | Mode::Hangs => Err(self.failure()),
        }
    }

    async fn maintain(&mut self) -> Result<bool, SinkError> {
        self.inner.maintain().await
    }
}
