//! Relay: the hot state and its news, told to an outlet that may be slow or away: what is newest, never a backlog.
//!
//! In: the hot store's versions; a queue with windows and presence, always drained. Out: one `Update` at a time: machines that changed
//! since the last one that arrived, machines that went, alerts, and the newest window and presence of each machine.
//! After a failure, and every `renew_every`, the whole fleet is told again, so that the outlet ends up right whatever it lost.
//! State: a version, and the newest per machine. Loss: conflating by nature.
//! Invariants: S-3 after an outage the outlet has the newest state of every machine, and no other machine.

mod pending;

use std::collections::BTreeSet;
use std::future::{Future, pending as never};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use model::machine::Presence;
use model::query::{Health, HotState, MachineView};
use model::{Aggregates, Alert, Egress, MachineId, Timestamp};
use runtime::BoxError;
use runtime::clock::SharedClock;
use runtime::metrics::{Counter, Registry};
use runtime::queue::Receiver;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until};

use crate::circuit::{Circuit, Patience};
use crate::error::SinkError;
use crate::memory::HotStore;
use pending::{News, Pending};

const MESSAGES_MAX: usize = 512;

#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The first change waits this long for others: a tick of the fleet goes out together.
    pub gather_for: Duration,
    /// The whole fleet is told again this often: before what the outlet keeps for a while is gone.
    pub renew_every: Duration,
    /// An outlet that has nothing to do is asked whether it is there.
    pub check_every: Duration,
    /// How long the end of the program may wait for the last update.
    pub flush_within: Duration,
    pub patience: Patience,
}

/// What an outlet is told. All of it may have been told before.
#[derive(Debug, Clone, Default)]
pub struct Update {
    pub now: Timestamp,
    pub machines: Vec<Arc<MachineView>>,
    /// Firing alerts of the machines that have any.
    pub alerts: Arc<HashMap<MachineId, Vec<Arc<Alert>>>>,
    pub removed: Vec<MachineId>,
    pub windows: Vec<Arc<Aggregates>>,
    pub presences: Vec<Arc<Presence>>,
    /// `machines` is the whole fleet: the outlet forgets any other.
    pub is_whole: bool,
}

impl Update {
    /// It only asks whether the outlet is there.
    pub fn is_check(&self) -> bool {
        let is_empty = self.machines.is_empty() && self.removed.is_empty();
        is_empty && self.windows.is_empty() && self.presences.is_empty() && !self.is_whole
    }
}

/// Where updates go. Calls come one after the other; each has a deadline of its own. After an error it is connected anew, and told
/// everything.
pub trait Outlet: Send + 'static {
    fn name(&self) -> &'static str;

    fn connect(&mut self) -> impl Future<Output = Result<(), SinkError>> + Send;

    fn send(&mut self, update: Update) -> impl Future<Output = Result<(), SinkError>> + Send;
}

pub struct Relay<O> {
    /// Away while a call is under way.
    outlet: Option<O>,
    hot: Arc<HotStore>,
    versions: watch::Receiver<u64>,
    queue: Receiver<Egress>,
    pending: Pending,
    settings: RelaySettings,
    clock: SharedClock,
    circuit: Circuit,
    health: watch::Sender<Health>,
    /// Nothing is told before it is true.
    is_open: watch::Receiver<bool>,
    figures: RelayFigures,
    call: Option<UnderWay<O>>,
    /// Everything up to this version of the hot state has arrived; none: what the outlet has is not known.
    since: Option<u64>,
    alerts: Arc<HashMap<MachineId, Vec<Arc<Alert>>>>,
    times: Times,
}

struct RelayFigures {
    machines: Counter,
    events: Counter,
    conflated: Counter,
}

struct Times {
    /// Not before: the pause after a failure, or between two updates.
    next: Instant,
    renew: Instant,
    check: Instant,
    /// Set when the input ended.
    end: Option<Instant>,
}

struct UnderWay<O> {
    started: Instant,
    version: u64,
    news: News,
    machines: u64,
    is_whole: bool,
    call: Call<O>,
}

type Call<O> = JoinHandle<(O, Result<(), SinkError>)>;

/// The outside's view of a relay; cheap to clone.
#[derive(Debug, Clone)]
pub struct RelayHandle {
    health: watch::Receiver<Health>,
    is_open: Arc<watch::Sender<bool>>,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            gather_for: Duration::from_millis(10),
            // A third of what keys live.
            renew_every: Duration::from_secs(100),
            check_every: Duration::from_secs(5),
            flush_within: Duration::from_secs(2),
            patience: Patience { retry_cap: Duration::from_secs(2), ..Patience::default() },
        }
    }
}

impl RelayHandle {
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Lets it begin: the hot state is as complete as it was before the hub's start, and need not take anything back.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl<O: Outlet> Relay<O> {
    /// Nothing happens before `run`, and nothing is told before the handle's `open`.
    pub fn new(
        outlet: O,
        hot: Arc<HotStore>,
        queue: Receiver<Egress>,
        settings: RelaySettings,
        (clock, registry): (SharedClock, &Registry),
    ) -> (Self, RelayHandle) {
        let circuit = Circuit::new(outlet.name(), settings.patience, Arc::clone(&clock), registry);
        let (health, receiver) = watch::channel(circuit.health().clone());
        let (opener, is_open) = watch::channel(false);
        let labels: &[(&'static str, &str)] = &[("sink", outlet.name())];
        let counter = |name, help| registry.counter(name, help, labels);
        let figures = RelayFigures {
            machines: counter("sinks_relay_machines_total", "States of machines that arrived."),
            events: counter("sinks_relay_events_total", "Windows and changes of presence that arrived."),
            conflated: counter("sinks_relay_conflated_total", "Windows and presence that a newer one replaced."),
        };
        let now = Instant::now();
        let times = Times { next: now, renew: now, check: now, end: None };
        let relay = Self {
            versions: hot.subscribe(),
            outlet: Some(outlet),
            hot,
            queue,
            pending: Pending::default(),
            settings,
            clock,
            circuit,
            health,
            is_open,
            figures,
            call: None,
            since: None,
            alerts: Arc::default(),
            times,
        };
        (relay, RelayHandle { health: receiver, is_open: Arc::new(opener) })
    }

    /// Runs until the graph is complete (or the queue closed) and the last update arrived, or its time is up.
    ///
    /// # Errors
    /// When a call to the outlet panicked.
    pub async fn run(mut self) -> Result<(), BoxError> {
        let mut inbox = Vec::with_capacity(MESSAGES_MAX);
        loop {
            self.begin_call();
            if self.is_done() {
                return Ok(());
            }
            let (wake_at, is_idle) = (self.wake_at(), self.call.is_none() && self.since.is_some());
            tokio::select! {
                count = self.queue.recv_many(&mut inbox, MESSAGES_MAX), if self.times.end.is_none() => {
                    self.take_in(&mut inbox, count);
                }
                ended = ended(&mut self.call) => self.call_ended(ended?),
                // The hot store lives as long as this.
                Ok(()) = self.versions.changed(), if is_idle => {}
                Ok(()) = self.is_open.changed() => {}
                () = sleep_until(wake_at) => {}
            }
            // A queue that is never empty is always ready: without this no other task of this thread would run.
            tokio::task::yield_now().await;
        }
    }

    fn take_in(&mut self, inbox: &mut Vec<Egress>, count: usize) {
        let is_over = count == 0 || inbox.iter().any(|message| matches!(message, Egress::Complete));
        let before = self.pending.conflated;
        inbox.drain(..).for_each(|message| self.pending.take_in(message));
        self.figures.conflated.add(self.pending.conflated - before);
        if is_over {
            self.times.end = Some(Instant::now() + self.settings.flush_within);
        }
    }

    /// Starts the next call to the outlet, if there is something to tell and it may be told.
    fn begin_call(&mut self) {
        let now = Instant::now();
        let is_due = self.has_news() || self.times.renew <= now || self.times.check <= now;
        let may_call = self.call.is_none() && self.times.next <= now && *self.is_open.borrow();
        if !is_due || !may_call {
            return;
        }
        let wait = self.circuit.wait();
        self.tell();
        if let Some(wait) = wait {
            self.times.next = now + wait;
            return;
        }
        let Some(mut outlet) = self.outlet.take() else { return };
        let must_connect = self.since.is_none();
        let is_whole = must_connect || self.times.renew <= now;
        let (update, version, news) = self.update(is_whole);
        let machines = update.machines.len() as u64;
        let call = tokio::spawn(async move {
            let connected = if must_connect { outlet.connect().await } else { Ok(()) };
            let sent = match connected {
                Ok(()) => outlet.send(update).await,
                Err(error) => Err(error),
            };
            (outlet, sent)
        });
        self.call = Some(UnderWay { started: now, version, news, machines, is_whole, call });
    }

    fn has_news(&self) -> bool {
        self.since.is_none_or(|since| since < self.hot.version()) || !self.pending.is_empty()
    }

    /// What is to be told, and up to which version of the hot state.
    fn update(&mut self, is_whole: bool) -> (Update, u64, News) {
        let changes = self.hot.changes(if is_whole { 0 } else { self.since.unwrap_or(0) });
        let mut machines = changes.machines;
        if is_whole || !changes.alerts.is_empty() {
            self.alerts = Arc::new(by_machine(self.hot.alerts()));
            // Their documents hold the alerts; a silenced one changes nothing else of its machine.
            let known: BTreeSet<&MachineId> = machines.iter().map(|view| &view.machine).collect();
            let of_alerts: BTreeSet<&MachineId> = changes.alerts.iter().map(|alert| &alert.machine).collect();
            let missing = of_alerts.difference(&known).filter_map(|machine| self.hot.machine(machine));
            let missing: Vec<_> = missing.collect();
            machines.extend(missing);
        }
        let news = self.pending.take();
        let update = Update {
            now: Timestamp::from_micros(self.clock.now_us()),
            alerts: Arc::clone(&self.alerts),
            // Of a whole fleet, the outlet finds what is not in it.
            removed: if is_whole { Vec::new() } else { changes.removed },
            windows: news.windows.clone(),
            presences: news.presences.clone(),
            is_whole,
            machines,
        };
        (update, changes.version, news)
    }

    fn call_ended(&mut self, (outlet, answer): (O, Result<(), SinkError>)) {
        self.outlet = Some(outlet);
        let Some(UnderWay { started, version, news, machines, is_whole, .. }) = self.call.take() else { return };
        let now = Instant::now();
        match answer {
            Ok(()) => {
                self.circuit.succeeded(started.elapsed());
                self.since = Some(version);
                self.figures.machines.add(machines);
                self.figures.events.add((news.windows.len() + news.presences.len()) as u64);
                self.times.next = now + self.settings.gather_for;
                self.times.check = now + self.settings.check_every;
                if is_whole {
                    self.times.renew = now + self.settings.renew_every;
                }
            }
            Err(error) => {
                self.since = None;
                self.times.next = now + self.circuit.failed(&error);
                self.pending.put_back(news);
            }
        }
        self.tell();
    }

    fn is_done(&self) -> bool {
        let Some(end) = self.times.end else { return false };
        let is_told = self.call.is_none() && !self.has_news();
        is_told || end <= Instant::now() || !*self.is_open.borrow()
    }

    fn wake_at(&self) -> Instant {
        let end = self.times.end.unwrap_or(self.times.renew + self.settings.renew_every);
        if self.call.is_some() || !*self.is_open.borrow() {
            return end;
        }
        let due = if self.has_news() { self.times.next } else { self.times.check.min(self.times.renew) };
        due.max(self.times.next).min(end)
    }

    fn tell(&self) {
        let health = self.circuit.health();
        self.health.send_if_modified(|told| {
            let is_news = told != health;
            told.clone_from(health);
            is_news
        });
    }
}

/// What a call ended with: the outlet comes back.
type Ended<O> = Result<(O, Result<(), SinkError>), JoinError>;

async fn ended<O>(call: &mut Option<UnderWay<O>>) -> Ended<O> {
    match call {
        Some(under_way) => (&mut under_way.call).await,
        None => never().await,
    }
}

fn by_machine(alerts: Vec<Arc<Alert>>) -> HashMap<MachineId, Vec<Arc<Alert>>> {
    let mut map: HashMap<MachineId, Vec<Arc<Alert>>> = HashMap::new();
    for alert in alerts {
        map.entry(alert.machine.clone()).or_default().push(alert);
    }
    map
}
