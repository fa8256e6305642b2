//! A hub whose history is on a server: what it says of it, what is there without it, and the command that prepares a database.

#![cfg(feature = "integration")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Machine, Program, SOON, now_ms};
use testkit::eventually;
use testkit::postgres::Database;
use testkit::servers::private_dir;

const METRICS: [&str; 2] = ["system.cpu.utilization", "app.queue"];

/// Ten minutes of one machine, a frame every five seconds, that end now.
fn measured(name: &str) -> Machine {
    let mut machine = Machine::new(name, &METRICS);
    let start = now_ms() - 600_000;
    for tick in 0..120_u8 {
        machine.measure(start + i64::from(tick) * 5_000, &[f64::from(tick) / 128.0, 1.0]);
    }
    machine
}

fn points(body: &serde_json::Value) -> usize {
    body["series"][0]["t"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_reads_from_the_server_and_sql_users_read_the_same() {
    let (dir, database) = (private_dir().unwrap(), Database::of_the_run().await.unwrap());
    let mut hub = Program::hub_with(dir.path(), &[("TIMESCALE_URL", database.url())]);
    let mut machine = measured("web-1");
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    let path = "/api/machines/web-1/history?metric=app.queue&from=now-1h&tier=raw&max_points=1000";
    hub.eventually(path, |body| points(body) == 120);
    let ready = hub.json("/ready");
    let server = ready["dependencies"].as_array().unwrap().iter().find(|one| one["name"] == "postgres").unwrap();
    assert!(server["status"] == "up" && server["detail"].as_str().unwrap().contains("native partitions"), "{ready}");
    let client = database.client().await.unwrap();
    let count = "SELECT count(*) FROM raw_samples WHERE machine = 'web-1' AND metric = 'app.queue' AND value = 1";
    assert_eq!(client.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 120);
    let minutes = "SELECT count(*) FROM minute WHERE machine = 'web-1' AND metric = 'app.queue' AND is_final";
    assert!(client.query_one(minutes, &[]).await.unwrap().get::<_, i64>(0) >= 8);
    assert!(
        !dir.path()
            .join("spill-server")
            .read_dir()
            .unwrap()
            .any(|file| file.unwrap().metadata().unwrap().len() > 4_096)
    );
    assert_eq!(hub.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_starts_without_its_database_and_catches_up_when_it_is_there() {
    let (dir, database) = (private_dir().unwrap(), Database::of_the_run().await.unwrap());
    // Nobody listens there.
    let nowhere = "postgres://postgres@127.0.0.1:1/postgres";
    let mut hub = Program::hub_with(dir.path(), &[("TIMESCALE_URL", nowhere)]);
    let mut machine = measured("db-1");
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    let ready = hub.eventually("/ready", |body| body["status"] == "degraded");
    let down = ready["dependencies"].as_array().unwrap().iter().find(|one| one["status"] == "down").unwrap();
    assert_eq!(down["name"], "postgres");
    let path = "/api/machines/db-1/history?metric=app.queue&from=now-1h&tier=raw&max_points=1000";
    assert_eq!(hub.get(path).0, 503, "live data goes on, history says that it is away");
    hub.eventually("/api/machines/db-1/metrics", |_| true);
    hub.kill();
    let mut hub = Program::hub_with(dir.path(), &[("TIMESCALE_URL", database.url())]);
    hub.eventually(path, |body| points(body) == 120);
    hub.eventually("/ready", |body| body["status"] == "ready");
    assert_eq!(hub.terminate().code(), Some(0));
}

/// A database that was restored from a backup, and one whose hub was killed between two commits, are behind the hub's own state.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_behind_the_hub_gets_every_alert_since_then_also_of_a_series_that_breaches_now() {
    let (dir, database) = (private_dir().unwrap(), Database::of_the_run().await.unwrap());
    let rule = "[[rule]]\nname = \"busy\"\nmetric = \"app.queue\"\noperator = \"gt\"\nthreshold = 10\nseverity = \"warning\"\n";
    std::fs::write(dir.path().join("rules.toml"), rule).unwrap();
    let variables = [("TIMESCALE_URL", database.url())];
    let mut hub = Program::hub_with(dir.path(), &variables);
    let mut machine = Machine::new("db-1", &["app.queue"]);
    let start = now_ms() - 100_000;
    for (tick, value) in (0..).zip([20.0, 1.0, 20.0, 1.0, 20.0]) {
        machine.measure(start + tick * 5_000, &[value]);
    }
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    let client = database.client().await.unwrap();
    let alerts = async || {
        let text = "SELECT coalesce(string_agg(state || ' ' || coalesce(resolution, '-'), ', ' ORDER BY since), '') FROM alerts";
        client.query_one(text, &[]).await.unwrap().get::<_, String>(0)
    };
    let are_all = |found: &String| found == "resolved value, resolved value, firing -";
    eventually(SOON, async || alerts().await, are_all).await.unwrap();
    assert_eq!(hub.terminate().code(), Some(0));
    // As it was when the first alert had just fired.
    let back = "DELETE FROM alerts WHERE since > (SELECT min(since) FROM alerts); \
                UPDATE alerts SET state = 'firing', resolved = NULL, resolution = NULL; DELETE FROM raw_frames; \
                UPDATE sink_cursor SET t = (SELECT extract(epoch FROM min(since)) * 1000000 FROM alerts)";
    client.batch_execute(back).await.unwrap();
    let mut hub = Program::hub_with(dir.path(), &variables);
    eventually(SOON, async || alerts().await, are_all).await.unwrap();
    let path = "/api/machines/db-1/history?metric=app.queue&from=now-1h&tier=raw&max_points=1000";
    hub.eventually(path, |body| points(body) == 5);
    assert_eq!(hub.terminate().code(), Some(0), "{:#?}", hub.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn db_migrate_prepares_a_database_once_and_says_what_it_found() {
    let (dir, database) = (private_dir().unwrap(), Database::of_the_run().await.unwrap());
    let migrate = |url: &str| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
        program.args(["db", "migrate", "--data-dir"]).arg(dir.path()).env_clear().env("TIMESCALE_URL", url);
        let output = program.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = migrate(database.url());
    assert!(code == Some(0) && text.contains("applied: names, tiers, views"), "{text}");
    let (code, text) = migrate(database.url());
    assert!(code == Some(0) && text.contains("applied: nothing"), "{text}");
    let client = database.client().await.unwrap();
    client.execute("INSERT INTO schema_migrations (number, name) VALUES (99, 'later')", &[]).await.unwrap();
    let (code, text) = migrate(database.url());
    assert!(code == Some(1) && text.contains("run the newer program"), "{text}");
    let (code, text) = migrate("postgres://me:s3cret@127.0.0.1:1/x");
    assert!(code == Some(1) && !text.contains("s3cret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_history_moves_to_a_server() {
    let (dir, database) = (private_dir().unwrap(), Database::of_the_run().await.unwrap());
    let path = "/api/machines/web-1/history?metric=app.queue&from=now-1h&tier=raw&max_points=1000";
    let mut hub = Program::hub(dir.path());
    let mut machine = measured("web-1");
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
    hub.eventually(path, |body| points(body) == 120);
    assert_eq!(hub.terminate().code(), Some(0));
    // As if it had long left the journal.
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let mut hub = Program::hub_with(dir.path(), &[("TIMESCALE_URL", database.url())]);
    // The import wants a hub that has followed the graph on this server.
    let mut other = measured("web-2");
    let mut push = other.connect(&hub.grpc).await.unwrap();
    other.deliver(&mut push).await.unwrap();
    hub.eventually(&path.replace("web-1", "web-2"), |body| points(body) == 120);
    assert_eq!(points(&hub.json(path)), 0);
    let mut import = std::process::Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
    import.args(["db", "import", "--data-dir"]).arg(dir.path()).env_clear().env("TIMESCALE_URL", database.url());
    let output = import.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && text.contains("machine 1 of") && text.contains("done: 240 samples"), "{text}");
    hub.eventually(path, |body| points(body) == 120);
    assert_eq!(hub.terminate().code(), Some(0));
}
