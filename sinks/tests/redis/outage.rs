//! Redis killed, stopped, slow, full, read-only or locked, under load: everything else goes on, and afterwards every key is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use model::{Change, Output, Severity, Status};
use sinks::relay::RelaySettings;
use testkit::redis::RedisServer;
use tokio::task::JoinHandle;

use crate::fixtures::{at, presence, rule, transition};
use crate::rig::{HASTY, Rig, settings};

const MACHINES: usize = 40;

/// The fleet goes on measuring, one tick after the other, until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    ticks: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Load {
    fn on(rig: &Arc<Rig>) -> Self {
        let (stop, ticks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (rig, stopped, count) = (Arc::clone(rig), Arc::clone(&stop), Arc::clone(&ticks));
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(2));
            while !stopped.load(Ordering::Relaxed) {
                pace.tick().await;
                let tick = count.fetch_add(1, Ordering::Relaxed) + 1;
                rig.tick(MACHINES, 2_000 + i64::from(tick), f64::from(tick));
            }
        });
        Self { stop, ticks, task }
    }

    /// Waits for this many more ticks: the load is not held up.
    async fn goes_on(&self, ticks: u32) {
        let until = self.ticks.load(Ordering::Relaxed) + ticks;
        let seen = async || self.ticks.load(Ordering::Relaxed);
        testkit::eventually(crate::rig::SOON, seen, |now| until <= *now).await.unwrap();
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

/// While it lasts: machines measure on, one is forgotten, an alert is resolved and another fires.
async fn meanwhile(rig: &Rig, load: &Load) {
    let busy = rule("busy", Severity::Critical);
    rig.tell(vec![
        Output::Transition(transition(&busy, "m-0001", Change::Resolved, at(1_000), at(1_500))),
        Output::Transition(transition(&busy, "m-0002", Change::Fired, at(1_500), at(1_500))),
        Output::Presence(presence("away", Status::Down, at(1_000))),
    ]);
    rig.clock.advance(Duration::from_secs(25 * 3_600));
    rig.hot.sweep();
    load.goes_on(20).await;
}

fn started(url: &str) -> (Arc<Rig>, Load) {
    let rig = Arc::new(Rig::start(url));
    rig.tick(MACHINES, 1_000, 0.5);
    rig.tell(vec![
        Output::Samples(crate::fixtures::frame(&crate::fixtures::roster("away", 1), at(1_000), &[1.0])),
        Output::Transition(transition(
            &rule("busy", Severity::Critical),
            "m-0001",
            Change::Fired,
            at(1_000),
            at(1_000),
        )),
    ]);
    let load = Load::on(&rig);
    (rig, load)
}

async fn ends_right(rig: Arc<Rig>, load: Load, redis: &RedisServer) {
    load.goes_on(5).await;
    load.end().await;
    let health = rig.health(|health| health.is_up).await;
    assert_eq!((health.last_error, health.circuit), (None, Some("closed")));
    rig.settled(redis).await;
    Arc::into_inner(rig).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_and_an_empty_restart_under_load_every_key_is_right() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let (rig, load) = started(&redis.url());
    rig.health(|health| health.latency_ms.is_some()).await;
    redis.kill();
    let down = rig.health(|health| !health.is_up && health.circuit == Some("open")).await;
    assert!(down.last_error.is_some() && !down.is_required);
    meanwhile(&rig, &load).await;
    redis.start_again().unwrap();
    ends_right(rig, load, &redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_in_its_tracks_is_noticed_and_caught_up_with() {
    let redis = RedisServer::start(&[]).unwrap();
    let (rig, load) = started(&redis.url());
    rig.health(|health| health.latency_ms.is_some()).await;
    redis.freeze();
    rig.health(|health| !health.is_up).await;
    meanwhile(&rig, &load).await;
    redis.thaw();
    ends_right(rig, load, &redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_gets_fewer_and_newer_writes() {
    let redis = RedisServer::start(&[]).unwrap();
    let relay = RelaySettings { patience: HASTY, ..RelaySettings::default() };
    let patient = sinks::redis::RedisSettings { answer_within: Duration::from_secs(20), ..settings(&redis.url()) };
    let rig = Arc::new(Rig::with(patient, relay));
    let load = Load::on(&rig);
    load.goes_on(5).await;
    for _ in 0..3 {
        redis.cli(&["CLIENT", "PAUSE", "300", "WRITE"]);
        load.goes_on(60).await;
    }
    let ticks = load.ticks.load(Ordering::Relaxed);
    load.end().await;
    rig.settled(&redis).await;
    assert!(rig.health(|_| true).await.is_up);
    let written = rig.metric("sinks_relay_machines_total");
    assert!(written < f64::from(ticks) * MACHINES as f64, "{written} writes for {ticks} ticks");
    Arc::into_inner(rig).unwrap().stop().await;
}

/// What a server refuses for a reason that a person can mend: said with the reason, and over when it is mended.
async fn is_degraded_while(refuse: &[&str], said: &str, mend: &[&str]) {
    let redis = RedisServer::start(&[]).unwrap();
    let (rig, load) = started(&redis.url());
    rig.health(|health| health.latency_ms.is_some()).await;
    redis.cli(refuse);
    let down = rig.health(|health| !health.is_up).await;
    let reason = down.last_error.unwrap_or_default();
    assert!(reason.contains(said), "{reason}");
    meanwhile(&rig, &load).await;
    redis.cli(mend);
    ends_right(rig, load, &redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_said_and_mended() {
    let (full, mended) = (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]);
    is_degraded_while(&full, "give Redis more memory", &mended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_replica_is_said_and_mended() {
    let (replica, primary) = (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]);
    is_degraded_while(&replica, "must name the primary", &primary).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_permission_is_said_and_mended() {
    let (locked, open) = (["ACL", "SETUSER", "default", "-set"], ["ACL", "SETUSER", "default", "+@all"]);
    is_degraded_while(&locked, "let the user of REDIS_URL use", &open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_without_showing_it() {
    let redis = RedisServer::start(&["--requirepass", "right-one"]).unwrap();
    for url in [redis.url(), redis.url().replace("//", "//:wr0ng-0ne@")] {
        let rig = Rig::start(&url);
        let down = rig.health(|health| !health.is_up).await;
        let reason = down.last_error.unwrap_or_default();
        assert!(reason.contains("check user and password"), "{reason}");
        assert!(!reason.contains("wr0ng-0ne"), "{reason}");
        rig.stop().await;
    }
    let rig = Rig::start(&redis.url().replace("//", "//:right-one@"));
    assert!(rig.health(|health| health.latency_ms.is_some()).await.is_up);
    rig.stop().await;
}
