//! A hub and an edge, both as programs: what is chosen is shown outside, nothing else leaves, and either may go away and come back.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};

use common::{Machine, Program, SOON, now_ms};
use serde_json::Value;
use testkit::eventually_blocking;
use testkit::servers::private_dir;

const TOKEN: &str = "a-token-that-nobody-guesses";
const METRICS: [&str; 2] = ["system.cpu.utilization", "app.SECRET"];

/// An edge on a port of its own, which another one can take over. Killed when it is dropped.
struct Edge {
    child: Child,
    /// Kept open, so that it may go on to log.
    _out: BufReader<ChildStdout>,
}

impl Edge {
    fn start(address: &str, token: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sysmonstm"))
            .args(["edge", "--http-address", address])
            .env_clear()
            .env("EDGE_TOKEN", token)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.contains("\"edge_is_up\""), "{line}");
        Self { child, _out: out }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may have ended long ago.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody has just now.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn hub(dir: &std::path::Path, edge: &str) -> Program {
    let url = format!("ws://{edge}");
    let variables = [
        ("EDGE_URL", url.as_str()),
        ("EDGE_TOKEN", TOKEN),
        ("HUB_EDGE_MACHINES", "pub-*"),
        ("HUB_EDGE_METRICS", "system.cpu.utilization"),
        ("HUB_EDGE_NAMES", "pub-*=Front"),
        ("HUB_EDGE_TITLE", "Our machines"),
    ];
    Program::hub_with(dir, &variables)
}

/// Body of a GET; empty while nobody answers or there is nothing to show.
fn get(address: &str, path: &str) -> String {
    match hub::client::get(&format!("http://{address}{path}")) {
        Ok(answer) if answer.status == 200 => answer.body,
        Ok(_) | Err(_) => String::new(),
    }
}

#[track_caller]
fn shown(address: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let look = || serde_json::from_str(&get(address, "/api/v1/snapshot")).unwrap_or(Value::Null);
    eventually_blocking(SOON, look, is_so).unwrap()
}

fn cpu(body: &Value) -> Option<f64> {
    body["machines"][0]["values"][0].as_f64()
}

async fn deliver(hub: &Program, machine: &mut Machine, cpu: f64) {
    machine.measure(now_ms(), &[cpu, 98_765.0]);
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    machine.deliver(&mut push).await.unwrap();
}

fn edge_of(ready: &Value) -> &Value {
    ready["dependencies"].as_array().unwrap().iter().find(|one| one["name"] == "edge").unwrap()
}

fn edge_is(ready: &Value, status: &str) -> bool {
    edge_of(ready)["status"] == status
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_chosen_is_shown_outside_and_nothing_else_leaves() {
    let (dir, address) = (private_dir().unwrap(), free_address());
    let _edge = Edge::start(&address, TOKEN);
    let mut hub = hub(dir.path(), &address);
    let (mut open, mut closed) = (Machine::new("pub-SECRET", &METRICS), Machine::new("SECRET-db", &METRICS));
    deliver(&hub, &mut closed, 0.677_7).await;
    deliver(&hub, &mut open, 0.25).await;
    let body = shown(&address, |body| cpu(body) == Some(0.25));
    assert_eq!(body["machines"].as_array().unwrap().len(), 1);
    assert_eq!((&body["title"], &body["machines"][0]["name"]), (&"Our machines".into(), &"Front 1".into()));
    let page = get(&address, "/");
    assert!(page.contains("<h2>Front 1</h2>") && page.contains("25 %"), "{page}");
    for text in [page, body.to_string()] {
        assert!(!text.contains("SECRET") && !text.contains("0.6777") && !text.contains("9876"), "{text}");
    }
    let ready = hub.eventually("/ready", |ready| edge_is(ready, "up"));
    let detail = edge_of(&ready)["detail"].as_str().unwrap();
    assert!(detail.contains("1 machines") && !detail.contains(TOKEN), "{detail}");
    let (_, metrics) = hub.get("/metrics");
    assert!(metrics.as_str().unwrap().contains("edge_publish_connected 1\n"));
    assert_eq!(hub.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_and_the_hub_may_each_go_away_and_come_back() {
    let (dir, address) = (private_dir().unwrap(), free_address());
    // The hub starts without its edge.
    let mut first = hub(dir.path(), &address);
    let mut machine = Machine::new("pub-1", &METRICS);
    deliver(&first, &mut machine, 0.25).await;
    let ready = first.eventually("/ready", |ready| edge_is(ready, "down"));
    assert_eq!(ready["status"], "degraded");
    let edge = Edge::start(&address, TOKEN);
    shown(&address, |body| cpu(body) == Some(0.25));
    drop(edge);
    first.eventually("/ready", |ready| edge_is(ready, "down"));
    let _edge = Edge::start(&address, TOKEN);
    shown(&address, |body| cpu(body) == Some(0.25));
    first.eventually("/ready", |ready| edge_is(ready, "up"));
    first.kill();
    let down = || get(&address, "/ready");
    eventually_blocking(SOON, down, |ready| ready.contains("\"publisher\":\"down\"")).unwrap();
    assert_eq!(cpu(&shown(&address, |body| !body.is_null())), Some(0.25), "what was known stays on show");
    let mut second = hub(dir.path(), &address);
    deliver(&second, &mut machine, 0.5).await;
    shown(&address, |body| cpu(body) == Some(0.5));
    assert_eq!(second.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_another_token_says_so_and_works_on() {
    let (dir, address) = (private_dir().unwrap(), free_address());
    let _edge = Edge::start(&address, "another-token-altogether");
    let mut hub = hub(dir.path(), &address);
    let ready = hub.eventually("/ready", |ready| {
        edge_of(ready)["last_error"].as_str().is_some_and(|error| error.contains("same EDGE_TOKEN"))
    });
    assert_eq!(ready["status"], "degraded");
    deliver(&hub, &mut Machine::new("pub-1", &METRICS), 0.25).await;
    hub.eventually("/api/v1/machines", |body| body.to_string().contains("pub-1"));
    assert!(get(&address, "/metrics").contains("edge_publishers_total{outcome=\"unauthorized\"}"));
    assert_eq!(hub.terminate().code(), Some(0));
}
