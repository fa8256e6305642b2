//! A hub's front over real gRPC on loopback: a real journal in a folder of its own, a graph that only remembers, and small clients.

#![allow(dead_code, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ingest::{CollectorConfig, Collectors, Foundations, Ingest, Lamport, Peers, Replayed, Seats, Services, Settings};
use journal::{Journal, Options};
use model::audit::Actor;
use model::command::{Changed, RuleChange, RuleError, RuleListing, RuleStore};
use model::dataflow::Stopped;
use model::query::{Changes, HotState, MachineView};
use model::{
    Alert, AlertGroup, Batch, Dataflow, GroupKey, Hottest, Labels, LogicalTime, MachineId, Record, RejectReason,
    RuleSet, SeriesKey, Stamped, Timestamp,
};
use proto::pb::metrics_service_client::MetricsServiceClient;
use proto::{encode, pb};
use runtime::clock::ManualClock;
use runtime::drain::Drain;
use runtime::metrics::Registry;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// Long enough for a slow machine; nothing waits for it when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const START_MS: i64 = 1_763_700_000_000;
pub(crate) const WORKERS: usize = 2;

/// A graph that remembers what it was given.
#[derive(Default)]
pub(crate) struct Remembering {
    pushed: Mutex<Vec<(usize, Stamped)>>,
    sealed: AtomicU64,
    seals: AtomicU64,
    gate: Mutex<bool>,
    opened: Condvar,
}

impl Remembering {
    pub(crate) fn records(&self) -> Vec<Stamped> {
        self.pushed.lock().unwrap().iter().map(|(_, stamped)| stamped.clone()).collect()
    }

    pub(crate) fn routed(&self) -> Vec<(usize, Stamped)> {
        self.pushed.lock().unwrap().clone()
    }

    pub(crate) fn batches(&self) -> Vec<Arc<Batch>> {
        let records = self.records().into_iter();
        records
            .filter_map(|stamped| if let Record::Batch(batch) = stamped.record { Some(batch) } else { None })
            .collect()
    }

    pub(crate) fn sequences(&self) -> Vec<u64> {
        self.batches().iter().map(|batch| batch.sequence).collect()
    }

    pub(crate) fn rejected(&self) -> Vec<(RejectReason, u32)> {
        let records = self.records().into_iter();
        records
            .filter_map(
                |stamped| {
                    if let Record::Rejected(it) = stamped.record { Some((it.reason, it.count)) } else { None }
                },
            )
            .collect()
    }

    pub(crate) fn sealed(&self) -> LogicalTime {
        self.sealed.load(Ordering::SeqCst)
    }

    pub(crate) fn seals(&self) -> u64 {
        self.seals.load(Ordering::SeqCst)
    }

    /// While shut, the committer stands between its fsync and its acknowledgements.
    pub(crate) fn shut(&self, is_shut: bool) {
        *self.gate.lock().unwrap() = is_shut;
        self.opened.notify_all();
    }
}

impl Dataflow for Remembering {
    fn workers(&self) -> usize {
        WORKERS
    }

    fn push(&self, worker: usize, stamped: Stamped) -> Result<(), Stopped> {
        assert!(self.sealed() <= stamped.t, "a record below the seal");
        self.pushed.lock().unwrap().push((worker, stamped));
        Ok(())
    }

    fn ring(&self, worker: usize) {
        assert!(worker < WORKERS);
    }

    fn seal(&self, before: LogicalTime) {
        let guard = self.gate.lock().unwrap();
        drop(self.opened.wait_while(guard, |is_shut| *is_shut).unwrap());
        let earlier = self.sealed.swap(before, Ordering::SeqCst);
        assert!(earlier <= before, "a seal went back");
        self.seals.fetch_add(1, Ordering::SeqCst);
    }
}

/// One known machine.
pub(crate) struct Hot(pub(crate) Vec<Arc<MachineView>>);

impl HotState for Hot {
    fn machines(&self) -> Vec<Arc<MachineView>> {
        self.0.clone()
    }
    fn machine(&self, id: &MachineId) -> Option<Arc<MachineView>> {
        self.0.iter().find(|view| view.machine == *id).cloned()
    }
    fn alerts(&self) -> Vec<Arc<Alert>> {
        Vec::new()
    }
    fn groups(&self) -> Vec<(GroupKey, Arc<AlertGroup>)> {
        Vec::new()
    }
    fn hottest(&self) -> Option<Arc<Hottest>> {
        None
    }
    fn version(&self) -> u64 {
        1
    }
    fn changes(&self, _since: u64) -> Changes {
        Changes::default()
    }
}

/// Knows the newest rule that was put; it answers with `refusal` where that is set.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) by: Mutex<Option<Actor>>,
    pub(crate) ordered: Mutex<Vec<RuleChange>>,
    pub(crate) refusal: Mutex<Option<RuleError>>,
}

impl RuleStore for Rules {
    fn listing(&self) -> RuleListing {
        let mut listing = RuleListing::default();
        if let Some(RuleChange::Create(rule) | RuleChange::Update(rule)) = self.ordered.lock().unwrap().last() {
            listing.own = Arc::new(BTreeSet::from([rule.name.clone()]));
            listing.set = Arc::new(RuleSet::new(7, vec![rule.clone()]).unwrap());
        }
        listing
    }

    fn change(&self, change: RuleChange, by: Actor) -> Changed<'_> {
        *self.by.lock().unwrap() = Some(by);
        Box::pin(async move {
            if let Some(refusal) = self.refusal.lock().unwrap().clone() {
                return Err(refusal);
            }
            self.ordered.lock().unwrap().push(change);
            Ok(self.rules())
        })
    }
}

/// A running front.
pub(crate) struct Front {
    pub(crate) graph: Arc<Remembering>,
    pub(crate) clock: ManualClock,
    pub(crate) registry: Registry,
    pub(crate) collectors: Arc<Collectors>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) config: watch::Sender<CollectorConfig>,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) drain: Drain,
    pub(crate) seats: Seats,
    pub(crate) lamport: Arc<Lamport>,
    serving: JoinHandle<bool>,
}

pub(crate) fn open_journal(dir: &Path) -> Journal {
    Journal::open(Options::new(dir)).unwrap().0
}

impl Front {
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::start_with(dir, Settings::default()).await
    }

    pub(crate) async fn start_with(dir: &Path, settings: Settings) -> Self {
        let clock = ManualClock::at(START_MS * 1_000);
        Self::start_at(dir, settings, clock).await
    }

    pub(crate) async fn start_at(dir: &Path, settings: Settings, clock: ManualClock) -> Self {
        Self::start_among(dir, settings, clock, None).await
    }

    pub(crate) async fn start_among(
        dir: &Path,
        settings: Settings,
        clock: ManualClock,
        peers: Option<Arc<dyn Peers>>,
    ) -> Self {
        let graph = Arc::new(Remembering::default());
        let journal = open_journal(dir);
        let replayed: Replayed = ingest::replay(&journal, 0, graph.as_ref(), &mut |_| {}).unwrap();
        let registry = Registry::new();
        let ingest = Ingest::start(Foundations {
            journal,
            replayed,
            dataflow: Arc::<Remembering>::clone(&graph),
            t_floor: 0,
            keep_from: Arc::default(),
            clock: clock.shared(),
            registry: registry.clone(),
            settings,
            peers,
        })
        .unwrap();
        let (seats, lamport) = (ingest.seats(), ingest.lamport());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (drain, collectors) = (Drain::new(), Arc::new(Collectors::new(100, ingest.meters().clone())));
        let config = watch::Sender::new(CollectorConfig::default());
        let rules = Arc::new(Rules::default());
        let services = Services {
            hot: Arc::new(Hot(Vec::new())),
            rules: Arc::<Rules>::clone(&rules),
            config: config.subscribe(),
            collectors: Arc::<Collectors>::clone(&collectors),
        };
        let token = drain.token();
        let serving = tokio::spawn(async move {
            ingest::serve(listener, &ingest, services, token).await.unwrap();
            ingest.stop(SOON).await
        });
        Self { graph, clock, registry, collectors, rules, config, address, drain, seats, lamport, serving }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn client(&self) -> MetricsServiceClient<Channel> {
        MetricsServiceClient::new(self.channel().await)
    }

    /// Drains and waits; true when everything settled.
    pub(crate) async fn stop(self) -> bool {
        self.drain.begin();
        tokio::time::timeout(SOON, self.serving).await.unwrap().unwrap()
    }

    /// A line of `/metrics`.
    pub(crate) fn count(&self, line: &str) -> f64 {
        let text = self.registry.render();
        let found = text.lines().find_map(|l| l.strip_prefix(line).and_then(|rest| rest.strip_prefix(' ')));
        found.unwrap_or("0").parse().unwrap()
    }
}

/// A collector's Push stream.
pub(crate) struct Push {
    pub(crate) requests: mpsc::Sender<pb::PushRequest>,
    pub(crate) answers: Streaming<pb::PushResponse>,
}

impl Push {
    /// Connects without a word.
    pub(crate) async fn open(front: &Front) -> Self {
        let (requests, waiting) = mpsc::channel(1_024);
        let answers = front.client().await.push(ReceiverStream::new(waiting)).await.unwrap().into_inner();
        Self { requests, answers }
    }

    /// Connects, says hello and hears from where the hub misses frames.
    pub(crate) async fn hello(front: &Front, machine: &str, session: u64) -> (Self, pb::PushResponse) {
        let mut push = Self::open(front).await;
        push.send(hello(machine, session)).await;
        let first = push.answer().await.unwrap();
        (push, first)
    }

    pub(crate) async fn send(&self, message: pb::push_request::Message) {
        // A stream that the hub has ended takes nothing more; what it said is read by the test.
        drop(self.requests.send(pb::PushRequest { message: Some(message) }).await);
    }

    pub(crate) async fn answer(&mut self) -> Result<pb::PushResponse, Status> {
        let answer = tokio::time::timeout(SOON, self.answers.message()).await.expect("an answer in time")?;
        answer.ok_or_else(|| Status::ok("the stream has ended"))
    }

    /// Answers up to the one that acknowledges `sequence`, merged.
    pub(crate) async fn acknowledged(&mut self, sequence: u64) -> pb::PushResponse {
        let mut all = pb::PushResponse::default();
        while all.acknowledged < sequence || sequence == 0 {
            let answer = self.answer().await.unwrap();
            assert!(all.acknowledged <= answer.acknowledged, "an acknowledgement went back");
            all.acknowledged = answer.acknowledged;
            all.credit = answer.credit;
            all.rejections.extend(answer.rejections);
            all.unknown_layouts.extend(answer.unknown_layouts);
            if sequence == 0 {
                break;
            }
        }
        all
    }

    /// The status that the stream ends with.
    pub(crate) async fn end(mut self) -> Status {
        loop {
            if let Err(status) = self.answer().await {
                return status;
            }
        }
    }
}

pub(crate) fn hello(machine: &str, session: u64) -> pb::push_request::Message {
    pb::push_request::Message::Hello(pb::Hello {
        machine_id: machine.into(),
        session,
        interval_ms: 5_000,
        tags: BTreeMap::from([("role".into(), "db".into())]),
        inventory: None,
    })
}

pub(crate) fn layout(id: u32, names: &[&str]) -> pb::push_request::Message {
    let key = |name: &&str| SeriesKey::parse(name, Labels::none()).unwrap();
    let keys: Vec<SeriesKey> = names.iter().map(key).collect();
    pb::push_request::Message::Layout(encode::layout(id, &keys))
}

pub(crate) fn frame(sequence: u64, layout: u32, offset_ms: i64, values: &[f64]) -> pb::push_request::Message {
    pb::push_request::Message::Frame(plain_frame(sequence, layout, offset_ms, values))
}

pub(crate) fn plain_frame(sequence: u64, layout: u32, offset_ms: i64, values: &[f64]) -> pb::Frame {
    let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
    pb::Frame { sequence, ..encode::frame(layout, Timestamp::from_millis(START_MS + offset_ms), &values) }
}

pub(crate) fn metric(machine: &str, number: i32, offset_ms: i64, value: f64) -> pb::Metric {
    pb::Metric {
        machine_id: machine.into(),
        timestamp: START_MS + offset_ms,
        r#type: number,
        value,
        labels: BTreeMap::new(),
    }
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A copy of the journal as a crash at this moment would leave it.
pub(crate) fn crash_copy(dir: &Path) -> TempDir {
    let copy = folder();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "lock" {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}
