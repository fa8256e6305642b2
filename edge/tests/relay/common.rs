//! An edge in this process, publishers and viewers that talk to it over its port.

use std::net::SocketAddr;
use std::time::Duration;

use edge::protocol::{
    Column, Days, DaysOf, FromEdge, FromHub, Incident, Incidents, Kind, Machine, Now, PROTOCOL, Snapshot, Step, Update,
    to_json,
};
use edge::relay::{CrowdLimits, Network, Settings, TokenHash, serve};
use futures_util::{SinkExt, StreamExt};
use http::header;
use model::Status;
use runtime::clock::SystemClock;
use runtime::drain::Drain;
use runtime::metrics::Registry;
use serde_json::Value;
use testkit::eventually;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

/// Long enough for a slow machine; nothing waits for it when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-that-nobody-guesses";

pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    drain: Drain,
    serving: JoinHandle<()>,
}

pub(crate) struct Socket {
    pub(crate) stream: WebSocketStream<TcpStream>,
}

impl Edge {
    pub(crate) async fn start() -> Self {
        Self::with(generous(), &[]).await
    }

    pub(crate) async fn with(limits: CrowdLimits, trusted: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, limits, trusted)
    }

    pub(crate) fn on(listener: TcpListener, limits: CrowdLimits, trusted: &[&str]) -> Self {
        let address = listener.local_addr().unwrap();
        let settings = Settings {
            token: TokenHash::of(TOKEN).unwrap(),
            limits,
            trusted_proxies: trusted.iter().map(|text| Network::parse(text).unwrap()).collect(),
        };
        let drain = Drain::new();
        let serving = tokio::spawn(serve(listener, settings, SystemClock::shared(), Registry::new(), drain.token()));
        Self { address, drain, serving }
    }

    pub(crate) async fn stop(self) {
        self.drain.begin();
        timeout(SOON, self.serving).await.unwrap().unwrap();
    }

    /// Status, head and body of a GET over a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> (u16, String, String) {
        self.get_with(path, "").await
    }

    /// The same with further header lines.
    pub(crate) async fn get_with(&self, path: &str, headers: &str) -> (u16, String, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    /// A sample of `/metrics`, by its name with its labels; 0 where there is none yet.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, _, text) = self.get("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) async fn eventually_metric(&self, name: &'static str, value: f64) {
        eventually(SOON, async || self.metric(name).await, |found| (found - value).abs() < 0.5).await.unwrap();
    }

    pub(crate) async fn publisher(&self) -> Socket {
        self.publisher_with(&format!("Bearer {TOKEN}")).await.unwrap()
    }

    pub(crate) async fn publisher_with(&self, authorization: &str) -> Result<Socket, WsError> {
        self.open("/publish", &[(header::AUTHORIZATION, authorization)]).await
    }

    pub(crate) async fn viewer(&self) -> Socket {
        let mut socket = self.open("/ws", &[]).await.unwrap();
        assert_eq!(socket.json().await["type"], "hello");
        socket
    }

    pub(crate) async fn open(&self, path: &str, headers: &[(header::HeaderName, &str)]) -> Result<Socket, WsError> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        let config = WebSocketConfig::default().read_buffer_size(2_048).write_buffer_size(0);
        let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        opened.map(|(stream, _)| Socket { stream })
    }
}

impl Socket {
    pub(crate) async fn next(&mut self) -> Option<Result<Message, WsError>> {
        timeout(SOON, self.stream.next()).await.unwrap()
    }

    /// The next text; pings pass by.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.next().await.unwrap().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The next message of a type; others pass by.
    pub(crate) async fn json_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.json().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Tells the edge, and waits until it has taken it.
    pub(crate) async fn tell(&mut self, message: FromHub) -> usize {
        let wanted = match &message {
            FromHub::Snapshot(snapshot) => snapshot.seq,
            FromHub::Update(update) => update.seq,
        };
        self.say(to_json(&message)).await;
        let FromEdge::Ack { seq, viewers } = serde_json::from_str(&self.text().await).unwrap();
        assert_eq!(seq, wanted);
        viewers
    }

    pub(crate) async fn say(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// Why the edge hangs up.
    pub(crate) async fn goodbye(&mut self) -> CloseFrame {
        loop {
            match self.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame,
                Some(Ok(_)) => {}
                other => panic!("gone without a reason: {other:?}"),
            }
        }
    }
}

/// Status of a handshake that was refused.
pub(crate) fn refused(outcome: Result<Socket, WsError>) -> u16 {
    match outcome {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was let in"),
    }
}

/// Limits that tests of something else never meet.
pub(crate) fn generous() -> CrowdLimits {
    CrowdLimits { requests_per_s: 1_000_000, requests_burst: 1_000_000, ..CrowdLimits::default() }
}

pub(crate) fn now(key: u32, cpu: f64) -> Now {
    Now { key, status: Status::Up, last_seen: None, values: vec![Some(cpu), Some(1_000.0)] }
}

pub(crate) fn snapshot(seq: u64, names: &[&str]) -> FromHub {
    let machine = |(at, name): (usize, &&str)| Machine {
        name: (*name).to_owned(),
        now: now(u32::try_from(at).unwrap(), 0.25),
        charts: vec![vec![None, Some(0.25), Some(0.5)], vec![Some(1_000.0); 60]],
        days: Some(days(&[None, Some(1_000), Some(972)])),
    };
    let column = |label: &str, kind| Column { label: label.to_owned(), kind };
    FromHub::Snapshot(Snapshot {
        protocol: PROTOCOL,
        seq,
        time: 1_763_700_000_000,
        title: String::from("Our machines"),
        interval_ms: 1_000,
        minute: 100,
        metrics: vec![column("CPU", Kind::Ratio), column("Traffic", Kind::BytesPerSecond)],
        machines: names.iter().enumerate().map(machine).collect(),
        incidents: incidents(&[]),
    })
}

pub(crate) fn update(seq: u64, machines: Vec<Now>) -> FromHub {
    FromHub::Update(Update { seq, time: 1_763_700_000_000, machines, step: None, ..no_change() })
}

pub(crate) fn step(seq: u64, minute: i64, machines: usize) -> FromHub {
    let points = vec![vec![Some(0.75), None]; machines];
    FromHub::Update(Update { seq, time: 1_763_700_060_000, step: Some(Step { minute, points }), ..no_change() })
}

/// Days of some machines by their keys, and incidents, as they change.
pub(crate) fn past(
    seq: u64,
    machines: &[(u32, Option<&[Option<u16>]>)],
    outages: Option<&[(u32, i64, Option<i64>)]>,
) -> FromHub {
    let of = |(key, shares): &(u32, Option<&[Option<u16>]>)| DaysOf { key: *key, days: shares.map(days) };
    let (days, incidents) = (machines.iter().map(of).collect(), outages.map(incidents));
    FromHub::Update(Update { seq, time: 1_763_700_000_000, days, incidents, ..no_change() })
}

fn no_change() -> Update {
    Update { seq: 0, time: 0, machines: Vec::new(), step: None, days: Vec::new(), incidents: None }
}

/// The last days, up to the snapshot's.
pub(crate) fn days(shares: &[Option<u16>]) -> Days {
    Days { last: 20_413, shares: shares.to_vec() }
}

/// All that there were: the machine's key, when it began and ended.
pub(crate) fn incidents(newest: &[(u32, i64, Option<i64>)]) -> Incidents {
    let newest = newest.iter().map(|(key, from, to)| Incident { key: *key, from: *from, to: *to }).collect();
    Incidents { is_complete: true, newest }
}
