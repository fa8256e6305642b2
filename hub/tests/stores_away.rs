//! A hub whose database and whose Redis go away, together and for long: nothing else stops, memory stays, and afterwards tables and keys are right.

#![cfg(feature = "integration")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Machine, Program, now_ms};
use serde_json::Value;
use testkit::postgres::Database;
use testkit::postgres_server::{PrivateServer, Stop};
use testkit::redis::RedisServer;
use testkit::servers::private_dir;
use testkit::{eventually, eventually_blocking};

const CPU: &str = "system.cpu.utilization";
const RULE: &str = "[[rule]]\nname = \"busy\"\nmetric = \"system.cpu.utilization\"\noperator = \"gt\"\nthreshold = 0.9\nclear = 0.8\nseverity = \"critical\"\n";
/// Catching up takes a server's start, a probe of the breaker, and the spill.
const BACK: Duration = Duration::from_secs(120);

fn is_down(ready: &Value, name: &str) -> bool {
    let all = ready["dependencies"].as_array().unwrap();
    all.iter().any(|one| one["name"] == name && one["status"] == "down" && one["last_error"].is_string())
}

/// Measures values, one each second from `start_ms` on, and hears that they are durable.
async fn measure(machine: &mut Machine, hub: &Program, start_ms: i64, values: &[f64]) {
    (0..).zip(values).for_each(|(second, value)| machine.measure(start_ms + second * 1_000, &[*value]));
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

async fn text(database: &Database, query: &str) -> String {
    let Ok(client) = database.client().await else { return String::new() };
    let row = client.query_one(query, &[]).await;
    // Nothing is there yet: no rows, of which the sum is null.
    row.map_or_else(|error| error.to_string(), |row| row.get::<_, Option<String>>(0).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_stores_away_and_the_hub_killed_meanwhile_ends_with_tables_and_keys_right() {
    let (dir, mut redis) = (private_dir().unwrap(), RedisServer::start(&[]).unwrap());
    let postgres = PrivateServer::start().unwrap();
    let database = Database::on(&postgres.url()).await.unwrap();
    std::fs::write(dir.path().join("rules.toml"), RULE).unwrap();
    let url = redis.url();
    let variables = [("TIMESCALE_URL", database.url()), ("REDIS_URL", url.as_str())];
    let mut hub = Program::hub_with(dir.path(), &variables);
    let mut machine = Machine::new("db-1", &[CPU]);
    // Of each minute all samples come in one go; the alert fires and resolves while nobody is there.
    let start = (now_ms() - 600_000).div_euclid(60_000) * 60_000;
    let minute = |value: f64| vec![value; 60];
    measure(&mut machine, &hub, start, &minute(0.5)).await;
    hub.eventually("/ready", |ready| ready["status"] == "ready");

    postgres.stop(Stop::Immediate).unwrap();
    redis.kill();
    measure(&mut machine, &hub, start + 60_000, &minute(0.95)).await;
    hub.eventually("/ready", |ready| is_down(ready, "postgres") && is_down(ready, "redis"));
    hub.json("/api/v1/machines/db-1/metrics");
    // Alerts and what was refused are in the data folder, too.
    hub.eventually("/api/v1/alerts/history", |body| body["alerts"].is_array());
    hub.eventually("/api/v1/dead-letters", |body| body["dead_letters"].is_array());
    assert_eq!(hub.get("/api/v1/machines/db-1/history?from=now-1h").0, 503, "samples are on the server alone");
    hub.kill();
    let mut hub = Program::hub_with(dir.path(), &variables);
    measure(&mut machine, &hub, start + 120_000, &minute(0.25)).await;
    hub.kill();
    let mut hub = Program::hub_with(dir.path(), &variables);
    // Late enough that the watermark has passed the third minute.
    measure(&mut machine, &hub, start + 200_000, &[0.125, 0.125]).await;

    postgres.restart().unwrap();
    redis.start_again().unwrap();
    let raw = "SELECT string_agg(value || ' x' || n, ', ' ORDER BY value) FROM \
               (SELECT value::text, count(*)::text AS n FROM raw_samples GROUP BY value) AS counted";
    let has_all = |found: &String| found == "0.125 x2, 0.25 x60, 0.5 x60, 0.95 x60";
    eventually(BACK, async || text(&database, raw).await, has_all).await.unwrap();
    let minutes = "SELECT string_agg(min || ' x' || count, ', ' ORDER BY time) FROM minute WHERE is_final";
    let are_whole = |found: &String| found == "0.5 x60, 0.95 x60, 0.25 x60";
    eventually(BACK, async || text(&database, minutes).await, are_whole).await.unwrap();
    let look = || serde_json::from_str::<Value>(&redis.cli(&["GET", "machine:db-1"])).unwrap_or_default();
    eventually_blocking(BACK, look, |document| document["series"][CPU] == 0.125).unwrap();
    let ready = eventually_blocking(BACK, || hub.json("/ready"), |ready| ready["status"] == "ready");
    ready.unwrap();
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
}

/// 12,000 samples a second, so many machines with 60 series each.
struct Load {
    machines: u32,
    interval: &'static str,
    duration: &'static str,
}

/// A program that sends it.
struct Sending(Child);

impl Load {
    fn start(&self, hub: &Program, expected: &Path) -> Sending {
        let (grpc, machines) = (hub.grpc.trim_start_matches("http://"), self.machines.to_string());
        let mut program = Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
        program.args(["synth", "run", "--series", "60", "--settle", "5m", "--machines", &machines]);
        program.args(["--interval", self.interval, "--duration", self.duration, "--grpc", grpc, "--hub", hub.http()]);
        program.arg("--expect").arg(expected).env_clear();
        Sending(program.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

/// The database away from before the load until after its end; then it is back, and has everything. What the hub occupied, in KiB, look by look.
fn away(load: &Load, patience: Duration) -> Vec<u64> {
    let (dir, postgres) = (private_dir().unwrap(), PrivateServer::start().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::on(&postgres.url())).unwrap();
    let mut hub = Program::hub_with(dir.path(), &[("TIMESCALE_URL", database.url())]);
    hub.eventually("/ready", |ready| ready["status"] == "ready");
    postgres.stop(Stop::Immediate).unwrap();
    let expected = dir.path().join("expected.json");
    let mut sending = load.start(&hub, &expected);
    hub.eventually("/ready", |ready| ready["status"] == "degraded" && is_down(ready, "postgres"));
    let all = usize::try_from(load.machines).unwrap();
    // Live data goes on.
    hub.eventually("/api/v1/machines?synthetic=show&limit=1000", |body| {
        let up = |machine: &&Value| machine["status"] == "up";
        body["machines"].as_array().is_some_and(|machines| machines.iter().filter(up).count() == all)
    });
    let mut looks = Vec::new();
    let look = || {
        looks.push(hub.memory_kib());
        sending.0.try_wait().unwrap()
    };
    let ended = eventually_blocking(patience, look, Option::is_some).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "what was sent was acknowledged");
    assert!(is_down(&hub.json("/ready"), "postgres"));
    postgres.restart().unwrap();
    let within = format!("{}s", patience.as_secs());
    let mut verify = Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
    verify.args(["synth", "verify", "--within", &within, "--hub", hub.http()]).arg(&expected).env_clear();
    let verdict = verify.output().unwrap();
    assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stdout));
    eventually_blocking(patience, || hub.json("/ready"), |ready| ready["status"] == "ready").unwrap();
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
    looks
}

#[test]
fn a_database_that_is_away_under_load_has_everything_once_it_is_back() {
    away(&Load { machines: 200, interval: "1s", duration: "8s" }, BACK);
}

#[test]
#[ignore = "ten minutes of an outage: make test-long"]
fn so_has_one_that_was_away_for_ten_minutes_and_memory_stays() {
    let looks = away(&Load { machines: 1_000, interval: "5s", duration: "10m" }, Duration::from_secs(1_200));
    // In the first half, names, windows and buffers have come; what follows must not grow with the outage.
    let (early, late) = looks.split_at(looks.len() / 2);
    let (early, late) = (early.iter().max().copied().unwrap_or(0), late.iter().max().copied().unwrap_or(0));
    println!("resident at the most, first half and second: {early} and {late} KiB");
    assert!(late < early + early / 4 + (32 << 10), "{early} KiB, then {late} KiB");
}
