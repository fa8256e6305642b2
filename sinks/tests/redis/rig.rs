//! A hot store with machines in it, and a relay that tells it to a Redis.

use std::sync::Arc;
use std::time::Duration;

use model::query::{Health, HotState};
use model::{Egress, MachineId, Output};
use runtime::breaker::BreakerSettings;
use runtime::clock::{ManualClock, SystemClock};
use runtime::metrics::Registry;
use runtime::queue::{Sender, WhenFull, bounded};
use sinks::driver::Patience;
use sinks::memory::{HotSettings, HotStore};
use sinks::payload;
use sinks::redis::{RedisAddress, RedisOutlet, RedisSettings};
use sinks::relay::{Relay, RelayHandle, RelaySettings};
use testkit::eventually;
use testkit::redis::RedisServer;
use tokio::task::JoinHandle;

use crate::fixtures::{at, frame, roster};

/// Long enough for a machine under load; nothing waits for it when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A failure is noticed and tried again within moments.
pub(crate) const HASTY: Patience = Patience {
    retry_base: Duration::from_millis(1),
    retry_cap: Duration::from_millis(20),
    breaker: BreakerSettings { failures_max: 3, open_for: Duration::from_millis(20) },
};

pub(crate) struct Rig {
    pub(crate) hot: Arc<HotStore>,
    pub(crate) clock: ManualClock,
    pub(crate) registry: Registry,
    pub(crate) handle: RelayHandle,
    pub(crate) queue: Sender<Egress>,
    task: JoinHandle<()>,
}

/// A server's settings, with deadlines that fit a test.
pub(crate) fn settings(url: &str) -> RedisSettings {
    RedisSettings {
        connect_within: Duration::from_secs(2),
        answer_within: Duration::from_millis(500),
        ..RedisSettings::new(RedisAddress::parse(url).unwrap())
    }
}

impl Rig {
    pub(crate) fn start(url: &str) -> Self {
        Self::with(settings(url), RelaySettings { patience: HASTY, ..RelaySettings::default() })
    }

    pub(crate) fn with(redis: RedisSettings, relay: RelaySettings) -> Self {
        let clock = ManualClock::at(at(1_000).micros());
        let registry = Registry::new();
        let hot = Arc::new(HotStore::new(HotSettings::default(), clock.shared()));
        let (queue, receiver) = bounded("redis", 1_024, WhenFull::Overshoot);
        let outlet = RedisOutlet::new(Arc::new(redis));
        // The relay's pauses go by the real clock, whatever the hot store's says.
        let (relay, handle) = Relay::new(outlet, Arc::clone(&hot), receiver, relay, (SystemClock::shared(), &registry));
        handle.open();
        let task = tokio::spawn(async move { relay.run().await.unwrap() });
        Self { hot, clock, registry, handle, queue, task }
    }

    /// Puts outputs into the hot store and the queue, as the graph does.
    pub(crate) fn tell(&self, outputs: Vec<Output>) {
        let message = Egress::Data { t: 1, outputs };
        self.hot.apply(std::slice::from_ref(&message));
        self.queue.try_send(message).unwrap();
    }

    /// A frame of two series for each of the first machines.
    pub(crate) fn tick(&self, machines: usize, second: i64, value: f64) {
        let of = |n: usize| Output::Samples(frame(&roster(&name(n), 2), at(second), &[value, n as f64]));
        self.tell((0..machines).map(of).collect());
    }

    /// The whole of what Redis should hold: document by key, and the sorted set.
    pub(crate) fn wanted(&self) -> Vec<(String, String)> {
        let alerts = self.hot.alerts();
        let entry = |view: Arc<model::query::MachineView>| {
            let own: Vec<_> = alerts.iter().filter(|alert| alert.machine == view.machine).cloned().collect();
            let document = String::from_utf8(payload::machine(&view, &own)).unwrap();
            (format!("{}={}", view.machine, view.last_seen.millis()), document)
        };
        self.hot.machines().into_iter().map(entry).collect()
    }

    /// Waits until Redis holds exactly what it should.
    pub(crate) async fn settled(&self, redis: &RedisServer) {
        let seen = eventually(SOON, async || (held(redis), self.wanted()), |(held, wanted)| held == wanted).await;
        if let Err(late) = seen {
            let (held, wanted) = late.last;
            panic!("{} of {} machines\nheld {:?}\nwanted {:?}", held.len(), wanted.len(), held.first(), wanted.first());
        }
    }

    pub(crate) async fn health(&self, is_so: impl Fn(&Health) -> bool) -> Health {
        eventually(SOON, async || self.handle.health(), is_so).await.unwrap()
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.registry.render();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Ends as the hub does: the graph is complete, the last of it is told.
    pub(crate) async fn stop(self) {
        self.queue.try_send(Egress::Complete).unwrap();
        tokio::time::timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

pub(crate) fn name(n: usize) -> String {
    format!("m-{n:04}")
}

pub(crate) fn id(n: usize) -> MachineId {
    MachineId::parse(&name(n)).unwrap()
}

/// What Redis holds: members with their scores, each with its document, in the order of the names. A key without a member shows, too.
pub(crate) fn held(redis: &RedisServer) -> Vec<(String, String)> {
    let members = redis.cli(&["ZRANGE", "machines", "0", "-1", "WITHSCORES"]);
    let members: Vec<&str> = members.lines().collect();
    let mut held: Vec<_> = members
        .chunks_exact(2)
        .map(|pair| (format!("{}={}", pair[0], pair[1]), redis.cli(&["GET", &format!("machine:{}", pair[0])])))
        .collect();
    let keys = redis.cli(&["--scan", "--pattern", "machine:*"]);
    let is_stranger = |key: &&str| !members.contains(&key.trim_start_matches("machine:"));
    held.extend(keys.lines().filter(is_stranger).map(|key| (key.to_owned(), "stranger".to_owned())));
    held.sort();
    held
}
