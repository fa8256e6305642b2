//! The program `sysmonstm-edge`: how it starts and ends, and what ten thousand viewers cost it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use edge::protocol::{Column, Days, FromHub, Incidents, Kind, Machine, Now, PROTOCOL, Snapshot, Update, to_json};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use model::Status;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use testkit::eventually_blocking;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

const SOON: Duration = Duration::from_secs(120);
const TOKEN: &str = "a-token-that-nobody-guesses";

/// Killed when it is dropped.
struct Program {
    child: Child,
    /// Kept open: what it says later has room in the pipe.
    _out: BufReader<ChildStdout>,
    address: String,
}

impl Program {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = command().envs(variables.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let up: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(up["event"], "edge_is_up");
        let address = up["page"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { child, _out: out, address }
    }

    fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    async fn open(&self, path: &str) -> WebSocketStream<TcpStream> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let config = WebSocketConfig::default().read_buffer_size(1_024).write_buffer_size(0);
        client_async_with_config(request, stream, Some(config)).await.unwrap().0
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended long ago.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sysmonstm-edge"));
    command.env_clear().env("EDGE_TOKEN", TOKEN).env("EDGE_HTTP_ADDRESS", "127.0.0.1:0");
    command
}

fn snapshot(machines: u32) -> FromHub {
    let machine = |key| Machine {
        name: format!("Machine {key}"),
        now: Now { key, status: Status::Up, last_seen: None, values: vec![Some(0.25)] },
        charts: vec![vec![Some(0.123_4); 60]],
        days: Some(Days { last: 20_413, shares: vec![Some(1_000); 90] }),
    };
    FromHub::Snapshot(Snapshot {
        protocol: PROTOCOL,
        seq: 1,
        time: 1_763_700_000_000,
        title: String::from("Status"),
        interval_ms: 1_000,
        minute: 100,
        metrics: vec![Column { label: String::from("CPU"), kind: Kind::Ratio }],
        machines: (0..machines).map(machine).collect(),
        incidents: Incidents::default(),
    })
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> String {
    loop {
        match timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn tell(publisher: &mut WebSocketStream<TcpStream>, message: FromHub) {
    publisher.send(Message::text(to_json(&message))).await.unwrap();
    assert!(next(publisher).await.contains("\"ack\""));
}

#[test]
fn a_program_without_a_token_says_so_and_does_not_start() {
    let output = command().env_remove("EDGE_TOKEN").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8(output.stderr).unwrap().contains("token is not set"));
    let output = command().arg("--check-config").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"the settings are fine\n"[..]));
}

#[tokio::test]
async fn a_program_drains_when_it_is_asked_to_stop() {
    let mut program = Program::start(&[]);
    let mut viewer = program.open("/ws").await;
    assert!(next(&mut viewer).await.contains("\"hello\""));
    let id = program.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let goodbye = timeout(SOON, viewer.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(goodbye, Message::Close(Some(frame)) if frame.reason.contains("stopping")));
    drop(viewer);
    let ended = eventually_blocking(SOON, || program.child.try_wait().unwrap(), Option::is_some).unwrap();
    assert_eq!(ended.unwrap().code(), Some(0));
}

/// Tells of how many machines a viewer is shown, each time that it changes. All read at once: one that waits for its turn does not answer pings.
async fn watch(mut viewer: WebSocketStream<TcpStream>, shown: mpsc::Sender<usize>) {
    #[derive(Deserialize)]
    struct Shown<'a> {
        r#type: &'a str,
        #[serde(default)]
        machines: Vec<IgnoredAny>,
    }
    let mut machines = usize::MAX;
    while let Some(message) = viewer.next().await {
        let Message::Text(text) = message.unwrap() else { continue };
        let message: Shown<'_> = serde_json::from_str(&text).unwrap();
        if message.r#type == "now" && message.machines.len() != machines {
            machines = message.machines.len();
            if shown.send(machines).await.is_err() {
                return;
            }
        }
    }
}

/// Each takes a descriptor here and one there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "ten thousand connections take a while and descriptors: make test-long"]
async fn ten_thousand_viewers_cost_little_and_no_more_when_much_is_shown() {
    let program = Program::start(&[
        ("EDGE_VIEWERS_PER_ADDRESS_MAX", "1000000"),
        ("EDGE_REQUESTS_PER_S", "1000000"),
        ("EDGE_REQUESTS_BURST", "1000000"),
    ]);
    let idle_kib = program.memory_kib();
    let mut publisher = program.open("/publish").await;
    tell(&mut publisher, snapshot(1)).await;
    let (shown, mut shows) = mpsc::channel(64);
    let mut viewers = JoinSet::new();
    for _ in 0..100 {
        for viewer in join_all((0..100).map(|_| program.open("/ws"))).await {
            viewers.spawn(watch(viewer, shown.clone()));
        }
    }
    let mut seen = Vec::new();
    // From one machine to two hundred: 190 KB instead of 1 for each viewer.
    for machines in [1, 200] {
        tell(&mut publisher, snapshot(machines)).await;
        for seq in 2..6 {
            tell(
                &mut publisher,
                FromHub::Update(Update {
                    seq,
                    time: 1,
                    machines: Vec::new(),
                    step: None,
                    days: Vec::new(),
                    incidents: None,
                }),
            )
            .await;
        }
        let all = async {
            let mut have_it = 0;
            while have_it < 10_000 {
                have_it += u32::from(shows.recv().await.unwrap() == machines as usize);
            }
        };
        timeout(SOON, all).await.unwrap();
        seen.push(program.memory_kib());
    }
    assert!(viewers.try_join_next().is_none(), "a viewer was closed");
    println!("idle {idle_kib} KiB; with 10,000 viewers of 1 machine {} KiB, of 200 machines {} KiB", seen[0], seen[1]);
    assert!(seen[0] < idle_kib + 10_000 * 12, "{seen:?}");
    // The picture itself, its page and a few versions on their way; not a copy for each viewer, which would be a gigabyte.
    assert!(seen[1] < seen[0] + 32 * 1_024, "{seen:?}");
}
