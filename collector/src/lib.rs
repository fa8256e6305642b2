//! Collector: reads this machine and sends what it read to the hub, oldest first, until the hub says it is on its disk.
//!
//! `sources` read, each on a thread of its own with a deadline (`worker`); `sampler` makes one row of a tick (`layout`), `ticker`
//! says when; `outbox` keeps each frame, in memory and then in the `spool`, until `uplink` got it acknowledged on a `link`.
//! `control` and `remote` are the hub's say, inside an allow-list and bounds. `run` puts them together; `program` is `run` as
//! a program.
//! Keeps true: a frame is delivered or kept or dropped with a count; nothing here is unbounded; it never gives up.

pub mod config;
mod connection;
mod control;
mod frame;
mod layout;
mod link;
mod mailbox;
mod outbox;
pub mod program;
mod rate;
mod readings;
mod remote;
mod sampler;
pub mod sources;
mod spool;
mod telemetry;
mod ticker;
mod uplink;
mod worker;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use journal::JournalError;
use runtime::clock::SharedClock;
use runtime::drain::{Drain, DrainToken, TaskSet};
use runtime::metrics::Registry;
use runtime::queue::{self, WhenFull};
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

pub use config::Settings;
pub use control::AllowList;
pub use readings::Readings;

use control::Control;
use mailbox::Mailbox;
use outbox::Outbox;
use remote::Remote;
use sampler::Sampler;
use sources::{Source, host};
use spool::Spool;
use telemetry::Telemetry;
use ticker::{Order, Ticker};
use uplink::Uplink;

/// Orders the ticker has not come to; a hub that sends more is told to try again.
const ORDERS: usize = 8;
/// From the beginning of draining until what is left goes to the spool: a source's deadline, the uplink's, and a second more.
const DRAIN_WITHIN: Duration = Duration::from_secs(8);

/// A collector before it runs.
pub struct Collector {
    pub settings: Settings,
    /// Each gets a thread.
    pub sources: Vec<Box<dyn Source>>,
    pub clock: SharedClock,
    pub metrics: Registry,
}

/// Why a collector cannot start. Once it runs, nothing but the drain ends it.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("open the spool")]
    Spool(#[source] JournalError),
    #[error("start a thread for each source")]
    Threads(#[source] io::Error),
    #[error("the hub's address {address:?} is none; use host:port")]
    Address {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
}

/// Collects from this machine until draining begins, then delivers or spools what is left within 10 s.
///
/// # Errors
/// When it cannot start. A hub that is away is no error.
pub async fn run(
    settings: Settings,
    clock: SharedClock,
    metrics: Registry,
    drain: DrainToken,
) -> Result<(), CollectorError> {
    let collector = Collector { settings, sources: sources::standard(), clock, metrics };
    collector.run(drain).await
}

impl Collector {
    /// As `run`, with these sources.
    ///
    /// # Errors
    /// As `run`.
    pub async fn run(self, drain: DrainToken) -> Result<(), CollectorError> {
        let mailbox = self.open_outbox()?;
        let sampling = Drain::new();
        let sending = Drain::new();
        let mut samplers = TaskSet::new();
        let mut senders = TaskSet::new();
        self.spawn(&mailbox, (&mut samplers, &sampling), (&mut senders, &sending))?;
        drain.draining().await;
        // First no more frames, then the last of them on their way, then what is left to disk.
        sampling.begin();
        report(samplers.join_all(sampler::SOURCE_DEADLINE + Duration::from_millis(500)).await);
        sending.begin();
        report(senders.join_all(DRAIN_WITHIN - sampler::SOURCE_DEADLINE).await);
        let lost = mailbox.on_disk(Outbox::spill_all).await.unwrap_or(0);
        if lost > 0 {
            warn!(frames = lost, hint = "set COLLECTOR_SPOOL_DIR", "frames lost at the end");
        }
        info!("collector ended");
        Ok(())
    }

    fn open_outbox(&self) -> Result<Mailbox, CollectorError> {
        let mut rng = Rng::new();
        let telemetry = Telemetry::new(&self.metrics);
        let clock = || SharedClock::clone(&self.clock);
        let spool = match &self.settings.spool_dir {
            Some(folder) => {
                let spool = Spool::open(folder, self.settings.spool_bytes, clock(), &mut rng);
                Some(spool.map_err(CollectorError::Spool)?)
            }
            None => {
                info!(hint = "set COLLECTOR_SPOOL_DIR to keep waiting frames over a restart", "no spool folder");
                None
            }
        };
        let mut outbox = Outbox::new(spool, telemetry, clock(), rng);
        // Numbers are reserved before the first is given.
        outbox.maintain();
        Ok(Mailbox::new(outbox))
    }

    fn spawn(
        self,
        mailbox: &Mailbox,
        (samplers, sampling): (&mut TaskSet, &Drain),
        (senders, sending): (&mut TaskSet, &Drain),
    ) -> Result<(), CollectorError> {
        let Self { settings, sources, clock, metrics } = self;
        let channel = uplink::channel(&settings.hub_address)
            .map_err(|source| CollectorError::Address { address: settings.hub_address.clone(), source })?;
        let sampler = Sampler::start(sources, SharedClock::clone(&clock), &metrics).map_err(CollectorError::Threads)?;
        let (interval, interval_rx) = watch::channel(settings.interval);
        let (processes, processes_rx) = watch::channel(None);
        let (orders, orders_rx) = queue::bounded::<Order>("collector_orders", ORDERS, WhenFull::Shed);
        let resend_layout = Arc::new(Notify::new());
        let mut rng = Rng::new();
        info!(machine = %settings.machine, hub = settings.hub_address, interval_ms = millis(settings.interval), "collector starts");
        let ticker = Ticker {
            sampler,
            machine: settings.machine.clone(),
            clock,
            mailbox: mailbox.clone(),
            interval: interval_rx.clone(),
            orders: orders_rx,
            processes,
        };
        let uplink = Uplink {
            machine: settings.machine.clone(),
            tags: settings.tags,
            inventory: host::inventory(),
            channel: channel.clone(),
            mailbox: mailbox.clone(),
            interval: interval_rx,
            processes: processes_rx,
            resend_layout: Arc::clone(&resend_layout),
            telemetry: Telemetry::new(&metrics),
            rng: rng.fork(),
        };
        let control = Control {
            machine: settings.machine.clone(),
            channel: channel.clone(),
            allow: settings.allow,
            orders,
            resend_layout,
            rng: rng.fork(),
        };
        let remote =
            Remote { machine: settings.machine, channel, own_interval: settings.interval, interval, version: 0, rng };
        let (sampled, sent) = (sampling.token(), sending.token());
        spawn(samplers, "ticker", ticker.run(sampled.clone()));
        spawn(samplers, "control", control.run(sampled.clone()));
        spawn(samplers, "remote", remote.run(sampled));
        spawn(senders, "uplink", uplink.run(sent));
        Ok(())
    }
}

fn spawn(tasks: &mut TaskSet, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(name, async move {
        task.await;
        Ok(())
    });
}

fn report(ends: Vec<runtime::drain::TaskEnd>) {
    for end in ends.iter().filter(|end| !end.is_finished()) {
        error!(%end, "collector task failed");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
