//! Publish: the hub's side. Looks at the hot state a few times a minute at least, keeps what is chosen, and tells one edge.
//!
//! `choice` is the allow-list, `fleet` what passed it, `memory` what is known of its past (`recall` asks history for it), `told` what an edge
//! has heard of that, `connect` the way to the edge. In: `model::query` traits. Out: the messages of
//! `protocol`, one at a time, the next when the one before is acknowledged: what changes meanwhile is conflated. It holds up nobody, and an
//! edge that is away costs the hub nothing but another try now and then.

mod choice;
mod connect;
mod failure;
mod fleet;
mod memory;
mod past;
mod recall;
mod status;
#[cfg(test)]
mod tests;
mod told;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use model::query::{History, HotState, RangeQuery, Tier};
use runtime::BoxError;
use runtime::backoff::Backoff;
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use runtime::metrics::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;

pub use choice::{Choice, ChoiceText};
pub use connect::{EdgeUrl, Token};
pub use status::PublisherHandle;

use crate::protocol::{CHART_POINTS, FromEdge, MESSAGE_BYTES_MAX, to_json};
use connect::{Socket, connect};
use failure::Failure;
use fleet::Fleet;
use told::Told;

const CONNECTS_WITHIN: Duration = Duration::from_secs(10);
/// For a message to be taken, and again for its acknowledgement.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// Something is said so often, also when nothing changes: who looks sees that the picture is of now.
const SPEAKS_EVERY: Duration = Duration::from_secs(5);
const RETRY_BASE: Duration = Duration::from_millis(500);
const RETRY_CAP: Duration = Duration::from_secs(30);
/// A conversation this long was a success: the next failure starts with a short pause again. Two hubs at one edge never get there.
const STEADY: Duration = Duration::from_secs(30);
/// What history may take to fill the charts of some new machines; the rest waits for the next look.
const SEEDS_WITHIN: Duration = Duration::from_secs(2);
/// Series of one metric of a machine, for the size of an answer.
const SERIES_MAX: usize = 256;

/// What is published, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    pub edge: EdgeUrl,
    pub token: Token,
    /// Certificates (PEM) of who signed the edge's; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// At the top of the page.
    pub title: String,
    pub choice: Choice,
    /// Least time between two messages.
    pub every: Duration,
}

/// Where it comes from.
pub struct Sources {
    pub hot: Arc<dyn HotState>,
    pub history: Arc<dyn History>,
    pub clock: SharedClock,
}

pub struct Publisher {
    settings: Settings,
    sources: Sources,
    fleet: Mutex<Fleet>,
    versions: watch::Sender<u64>,
    status: PublisherHandle,
}

impl Publisher {
    #[must_use]
    pub fn new(settings: Settings, sources: Sources, registry: &Registry) -> (Self, PublisherHandle) {
        let status = PublisherHandle::new(settings.edge.to_string(), SharedClock::clone(&sources.clock), registry);
        let now_ms = sources.clock.now_us() / 1_000;
        let fleet = Mutex::new(Fleet::new(Arc::new(settings.choice.clone()), now_ms));
        let handle = status.clone();
        (Self { settings, sources, fleet, versions: watch::Sender::new(0), status }, handle)
    }

    /// Ends when `drain` begins.
    ///
    /// # Errors
    /// Never; tasks of the hub may.
    pub async fn run(self, drain: DrainToken) -> Result<(), BoxError> {
        tokio::select! {
            () = drain.draining() => {}
            () = self.look() => {}
            () = self.recall() => {}
            () = self.publish() => {}
        }
        Ok(())
    }

    /// Keeps the fleet up to date, connected or not: charts go on while the edge is away.
    async fn look(&self) {
        let mut tick = interval(self.settings.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut cursor, mut seeds_again) = (0, true);
        loop {
            tick.tick().await;
            let did_step = {
                let mut fleet = self.fleet();
                let did_step = fleet.advance(self.now_ms());
                if cursor != self.sources.hot.version() {
                    let changes = self.sources.hot.changes(cursor);
                    cursor = changes.version;
                    fleet.take(&changes);
                }
                if did_step {
                    fleet.reconcile(&self.sources.hot.machines());
                }
                did_step
            };
            // What history could not answer is asked for again once a minute.
            if seeds_again || did_step {
                seeds_again = self.seed().await;
            }
            let fleet = self.fleet();
            self.status.shows(fleet.len(), fleet.left_out());
            let version = fleet.version();
            self.versions.send_if_modified(|shown| std::mem::replace(shown, version) != version);
        }
    }

    /// Fills the charts of machines that are new here; false when history does not answer just now.
    async fn seed(&self) -> bool {
        let deadline = Instant::now() + SEEDS_WITHIN;
        let unseeded = self.fleet().unseeded();
        for machine in unseeded {
            let ((from, to), metrics) = (self.fleet().hour(), self.settings.choice.metric_names());
            let points_max = metrics.len() * SERIES_MAX * CHART_POINTS;
            let query = RangeQuery { machine: machine.clone(), metrics, from, to, tier: Tier::Minute, points_max };
            match timeout_at(deadline, self.sources.history.range(query)).await {
                Ok(Ok(answer)) => self.fleet().seed(&machine, &answer),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "charts of the edge begin empty");
                    return false;
                }
                Err(_elapsed) => return false,
            }
        }
        true
    }

    /// Tells the edge, again and again.
    async fn publish(&self) {
        let mut backoff = Backoff::between(RETRY_BASE, RETRY_CAP, fastrand::Rng::new());
        loop {
            let began = Instant::now();
            let failure = match self.converse().await {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            self.status.failed(&failure);
            if STEADY <= began.elapsed() {
                backoff.reset();
            }
            sleep(backoff.next_delay()).await;
        }
    }

    async fn converse(&self) -> Result<std::convert::Infallible, Failure> {
        let Settings { edge, token, ca_file, every, .. } = &self.settings;
        let connecting = timeout(CONNECTS_WITHIN, connect(edge, token, ca_file.as_ref())).await;
        let mut socket = connecting.unwrap_or(Err(Failure::Timeout(CONNECTS_WITHIN)))?;
        let mut versions = self.versions.subscribe();
        let mut told = Told::default();
        loop {
            versions.mark_unchanged();
            let began = Instant::now();
            self.tell(&mut socket, &mut told).await?;
            let waiting = async {
                sleep_until(began + *every).await;
                // An error would mean that the publisher is gone, and this with it.
                drop(timeout_at(began + SPEAKS_EVERY.max(*every), versions.changed()).await);
            };
            tokio::select! {
                // Nothing is due from the edge; it may say good-bye.
                heard = hear(&mut socket) => return Err(heard.err().unwrap_or(Failure::Protocol)),
                () = waiting => {}
            }
        }
    }

    /// One message, until it is acknowledged.
    async fn tell(&self, socket: &mut Socket, told: &mut Told) -> Result<(), Failure> {
        let interval_ms = u32::try_from(self.settings.every.as_millis()).unwrap_or(u32::MAX);
        let message = told.next(&self.fleet(), (&self.settings.title, interval_ms), self.now_ms());
        let text = to_json(&message);
        let bytes = text.len();
        if MESSAGE_BYTES_MAX < bytes {
            return Err(Failure::TooLarge(bytes));
        }
        let began = Instant::now();
        match timeout(ANSWERS_WITHIN, socket.send(Message::text(text))).await {
            Ok(Ok(())) => {}
            Ok(Err(_broken)) => {
                // Its reason may be here already.
                let heard = timeout(Duration::from_secs(1), hear(socket)).await;
                let gone = Failure::Closed(String::from("the connection broke"));
                return Err(heard.ok().and_then(Result::err).unwrap_or(gone));
            }
            Err(_elapsed) => return Err(Failure::Timeout(ANSWERS_WITHIN)),
        }
        let answer = timeout(ANSWERS_WITHIN, hear(socket)).await;
        let FromEdge::Ack { seq, viewers } = answer.unwrap_or(Err(Failure::Timeout(ANSWERS_WITHIN)))?;
        if !told.is_newest(seq) {
            return Err(Failure::Protocol);
        }
        self.status.acknowledged(bytes, viewers, began.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        // A panic aborts the process, so a poisoned lock is only ever met in tests.
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> i64 {
        self.sources.clock.now_us() / 1_000
    }
}

/// The edge's next word. Cancel safe.
async fn hear(socket: &mut Socket) -> Result<FromEdge, Failure> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).map_err(|_error| Failure::Protocol),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(Some(frame)))) => return Err(Failure::Closed(frame.reason.to_string())),
            Some(Ok(Message::Close(None))) | None => return Err(Failure::Closed(String::from("without a reason"))),
            Some(Ok(Message::Binary(_) | Message::Frame(_))) => return Err(Failure::Protocol),
            Some(Err(error)) => return Err(Failure::Closed(error.to_string())),
        }
    }
}
