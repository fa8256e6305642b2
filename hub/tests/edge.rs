//! A hub and an edge, both as programs: what is chosen is shown outside, nothing else leaves, and either may go away and come back.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use std::sync::Arc;

use common::{Machine, Program, SOON, now_ms};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use testkit::certificate;
use testkit::eventually_blocking;
use testkit::servers::private_dir;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

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

fn hub(dir: &Path, edge: &str) -> Program {
    hub_at(dir, &format!("ws://{edge}"), "")
}

/// A hub whose edge is at `url`; `ca_file`, if any, names the authority that signs for it.
fn hub_at(dir: &Path, url: &str, ca_file: &str) -> Program {
    let variables = [
        ("EDGE_URL", url),
        ("HUB_EDGE_CA_FILE", ca_file),
        ("EDGE_TOKEN", TOKEN),
        ("HUB_EDGE_MACHINES", "pub-*"),
        ("HUB_EDGE_METRICS", "system.cpu.utilization"),
        ("HUB_EDGE_NAMES", "pub-*=Front"),
        ("HUB_EDGE_TITLE", "Our machines"),
    ];
    Program::hub_with(dir, &variables)
}

/// What stands before an edge in the open: takes TLS on a port of its own with the certificate in `dir`, and hands on what it reads.
/// Gives its address. It ends with the test's runtime.
async fn proxy(dir: &Path, edge: String) -> String {
    let chain = CertificateDer::pem_file_iter(dir.join("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, edge) = (acceptor.clone(), edge.clone());
            tokio::spawn(async move {
                // Who does not trust the certificate hangs up here.
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(edge).await.unwrap();
                // Either side may go away in the middle of a word.
                drop(copy_bidirectional(&mut outside, &mut inside).await);
            });
        }
    });
    address
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
    // History was asked: nothing is known of the machine before today, and it was never down.
    let body = shown(&address, |body| {
        body["machines"][0]["days"]["last"].is_i64() && body["incidents"]["is_complete"] == true
    });
    assert_eq!(body["incidents"]["newest"], Value::Array(Vec::new()));
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

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_edge_is_told_only_where_its_certificate_is_known() {
    let (dir, address) = (private_dir().unwrap(), free_address());
    certificate::make(dir.path()).unwrap();
    let _edge = Edge::start(&address, TOKEN);
    let url = format!("wss://{}", proxy(dir.path(), address.clone()).await);
    let mut stranger = hub_at(&dir.path().join("stranger"), &url, "");
    let of_certificate = |ready: &Value| {
        edge_of(ready)["last_error"]
            .as_str()
            .is_some_and(|error| error.contains("certificate") && !error.contains(TOKEN))
    };
    let ready = stranger.eventually("/ready", of_certificate);
    assert!(edge_is(&ready, "down") && ready["status"] == "degraded", "{ready}");
    assert_eq!(stranger.terminate().code(), Some(0));
    assert!(!get(&address, "/metrics").contains("edge_publishers_total{"), "not even the token came so far");
    let ca_file = dir.path().join("ca.pem");
    let mut friend = hub_at(&dir.path().join("friend"), &url, ca_file.to_str().unwrap());
    deliver(&friend, &mut Machine::new("pub-1", &METRICS), 0.25).await;
    shown(&address, |body| cpu(body) == Some(0.25));
    friend.eventually("/ready", |ready| edge_is(ready, "up"));
    assert_eq!(friend.terminate().code(), Some(0));
}
