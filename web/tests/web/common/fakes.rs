//! Fakes of the traits that the hub implements.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::audit::{Actor, AuditError, AuditLog, Deed, Entry, Recorded};
use model::command::{
    Changed, CollectorCommand, CollectorControl, CommandError, Commanding, DeadLetterOffice, ResendError, ResendReport,
    Resending, RuleChange, RuleError, RuleListing, RuleStore, SilenceChange, SilenceChanged, SilenceError,
    SilenceStore,
};
use model::query::{
    AlertQuery, Answer, Changes, DeadLetterQuery, FleetAnswer, FleetQuery, History, HotState, MachineView,
    ProcessQuery, QueryError, RangeAnswer, RangeQuery, Tier,
};
use model::{
    Alert, AlertGroup, AlertState, DeadLetter, GroupKey, Hottest, MachineId, Processes, RejectReason, RuleSet,
};
use tokio::sync::watch;
use web::{
    ArrangementFigures, ArrivalView, ChannelFigures, ChannelWorkerFigures, GraphFigures, HubStats, HubStatsSource,
    OperatorFigures, OperatorWorkerFigures, PipelineView, QueueView, StageView, SyntheticStage, SyntheticView,
    WorkerFigures,
};

use super::fleet;

pub(crate) struct FakeHot {
    inner: Mutex<Inner>,
    versions: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    version: u64,
    machines: BTreeMap<MachineId, (u64, Arc<MachineView>)>,
    removed: Vec<(u64, MachineId)>,
    alerts: Vec<(u64, Arc<Alert>)>,
    hottest: Option<Arc<Hottest>>,
    groups: Vec<(GroupKey, Arc<AlertGroup>)>,
}

impl FakeHot {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::default(), versions: watch::Sender::new(0) }
    }

    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }

    pub(crate) fn put(&self, view: MachineView) {
        self.change(|inner, version| {
            inner.machines.insert(view.machine.clone(), (version, Arc::new(view)));
        });
    }

    pub(crate) fn remove(&self, id: &str) {
        let id = MachineId::parse(id).unwrap();
        self.change(|inner, version| {
            inner.machines.remove(&id);
            inner.removed.push((version, id));
        });
    }

    /// Takes a machine away without telling anyone.
    pub(crate) fn lose(&self, id: &str) {
        let id = MachineId::parse(id).unwrap();
        self.inner.lock().unwrap().machines.remove(&id);
    }

    pub(crate) fn alert(&self, alert: Alert) {
        self.change(|inner, version| {
            inner.alerts.retain(|(_, known)| known.id != alert.id);
            inner.alerts.push((version, Arc::new(alert)));
        });
    }

    pub(crate) fn heat(&self, hottest: Hottest) {
        self.inner.lock().unwrap().hottest = Some(Arc::new(hottest));
    }

    pub(crate) fn group(&self, key: GroupKey, group: AlertGroup) {
        self.inner.lock().unwrap().groups.push((key, Arc::new(group)));
    }

    fn change(&self, change: impl FnOnce(&mut Inner, u64)) {
        let mut inner = self.inner.lock().unwrap();
        inner.version += 1;
        let version = inner.version;
        change(&mut inner, version);
        drop(inner);
        self.versions.send_replace(version);
    }
}

impl HotState for FakeHot {
    fn machines(&self) -> Vec<Arc<MachineView>> {
        let inner = self.inner.lock().unwrap();
        inner.machines.values().map(|(_, view)| Arc::clone(view)).collect()
    }

    fn machine(&self, id: &MachineId) -> Option<Arc<MachineView>> {
        let inner = self.inner.lock().unwrap();
        inner.machines.get(id).map(|(_, view)| Arc::clone(view))
    }

    fn alerts(&self) -> Vec<Arc<Alert>> {
        let inner = self.inner.lock().unwrap();
        let mut firing: Vec<_> = inner.alerts.iter().map(|(_, alert)| Arc::clone(alert)).collect();
        firing.retain(|alert| alert.state == AlertState::Firing);
        firing.sort_by_key(|alert| std::cmp::Reverse((alert.rule.severity, alert.since)));
        firing
    }

    fn groups(&self) -> Vec<(GroupKey, Arc<AlertGroup>)> {
        self.inner.lock().unwrap().groups.clone()
    }

    fn hottest(&self) -> Option<Arc<Hottest>> {
        self.inner.lock().unwrap().hottest.clone()
    }

    fn version(&self) -> u64 {
        self.inner.lock().unwrap().version
    }

    fn changes(&self, since: u64) -> Changes {
        let inner = self.inner.lock().unwrap();
        let machines = inner.machines.values().filter(|(version, _)| since < *version);
        let removed = inner.removed.iter().filter(|(version, _)| since < *version);
        let alerts = inner.alerts.iter().filter(|(version, _)| since < *version);
        Changes {
            version: inner.version,
            machines: machines.map(|(_, view)| Arc::clone(view)).collect(),
            removed: removed.map(|(_, id)| id.clone()).collect(),
            alerts: alerts.map(|(_, alert)| Arc::clone(alert)).collect(),
        }
    }
}

/// Answers from what the test put in, remembers what it was asked.
#[derive(Default)]
pub(crate) struct FakeHistory {
    pub(crate) tiers: Mutex<BTreeMap<Tier, RangeAnswer>>,
    pub(crate) alerts: Mutex<Vec<Alert>>,
    pub(crate) dead_letters: Mutex<Vec<DeadLetter>>,
    pub(crate) asked_letters: Mutex<Vec<DeadLetterQuery>>,
    pub(crate) failure: Mutex<Option<QueryError>>,
    pub(crate) never_answers: Mutex<bool>,
    pub(crate) asked: Mutex<Vec<RangeQuery>>,
    pub(crate) asked_alerts: Mutex<Vec<AlertQuery>>,
    pub(crate) fleet: Mutex<FleetAnswer>,
    pub(crate) asked_fleet: Mutex<Vec<FleetQuery>>,
    pub(crate) processes: Mutex<Option<Processes>>,
    pub(crate) asked_processes: Mutex<Vec<ProcessQuery>>,
}

impl FakeHistory {
    pub(crate) fn set(&self, tier: Tier, answer: RangeAnswer) {
        self.tiers.lock().unwrap().insert(tier, answer);
    }

    pub(crate) fn fail(&self, error: QueryError) {
        *self.failure.lock().unwrap() = Some(error);
    }

    /// `answer`, the failure that was set, or nothing ever.
    fn reply<T: Send + 'static>(&self, answer: T) -> Answer<'_, T> {
        let failure = self.failure.lock().unwrap().clone();
        let is_silent = *self.never_answers.lock().unwrap();
        Box::pin(async move {
            if is_silent {
                std::future::pending::<()>().await;
            }
            failure.map_or(Ok(answer), Err)
        })
    }
}

impl History for FakeHistory {
    fn range(&self, query: RangeQuery) -> Answer<'_, RangeAnswer> {
        let answer = self.tiers.lock().unwrap().get(&query.tier).cloned();
        self.asked.lock().unwrap().push(query);
        self.reply(answer.unwrap_or_default())
    }

    fn processes(&self, query: ProcessQuery) -> Answer<'_, Option<Processes>> {
        self.asked_processes.lock().unwrap().push(query);
        let answer = self.processes.lock().unwrap().clone();
        self.reply(answer)
    }

    fn fleet(&self, query: FleetQuery) -> Answer<'_, FleetAnswer> {
        self.asked_fleet.lock().unwrap().push(query);
        let answer = self.fleet.lock().unwrap().clone();
        self.reply(answer)
    }

    fn alerts(&self, query: AlertQuery) -> Answer<'_, Vec<Alert>> {
        let all = self.alerts.lock().unwrap().clone();
        let is_inside = |alert: &Alert| (query.from..query.to).contains(&alert.since);
        let found = all.into_iter().filter(is_inside).skip(query.offset).take(query.limit).collect();
        self.asked_alerts.lock().unwrap().push(query);
        self.reply(found)
    }

    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, Vec<DeadLetter>> {
        let all = self.dead_letters.lock().unwrap().clone();
        let is_wanted = |letter: &DeadLetter| query.id.as_ref().is_none_or(|id| *id == letter.id);
        let found = all.into_iter().filter(is_wanted).skip(query.offset).take(query.limit).collect();
        self.asked_letters.lock().unwrap().push(query);
        self.reply(found)
    }

    fn kept(&self, tier: Tier) -> Duration {
        let days = match tier {
            Tier::Raw => 1,
            Tier::Minute => 7,
            Tier::Hour => 90,
        };
        Duration::from_secs(days * 86_400)
    }
}

/// Remembers what was sent again; it answers with `refusal` where that is set.
#[derive(Default)]
pub(crate) struct FakeOffice {
    pub(crate) sent: Mutex<Vec<String>>,
    pub(crate) refusal: Mutex<Option<ResendError>>,
}

impl DeadLetterOffice for FakeOffice {
    fn resend(&self, id: String) -> Resending<'_, usize> {
        let refusal = self.refusal.lock().unwrap().clone();
        if refusal.is_none() {
            self.sent.lock().unwrap().push(id);
        }
        Box::pin(async move { refusal.map_or(Ok(2), Err) })
    }

    fn resend_all(&self, reason: Option<RejectReason>) -> Resending<'_, ResendReport> {
        self.sent.lock().unwrap().push(format!("all {}", reason.map_or("", RejectReason::as_str)));
        let refusals = vec![("b".to_owned(), "fast".to_owned())];
        Box::pin(async { Ok(ResendReport { letters: 3, samples: 7, refused: 1, refusals, is_more: true }) })
    }
}

/// Two rules of a file, and the change that was ordered last; it answers with `refusal` where that is set.
#[derive(Default)]
pub(crate) struct FakeRules {
    pub(crate) by: Mutex<Option<Actor>>,
    pub(crate) ordered: Mutex<Option<RuleChange>>,
    pub(crate) refusal: Mutex<Option<RuleError>>,
}

impl RuleStore for FakeRules {
    fn listing(&self) -> RuleListing {
        let mut listing = RuleListing::default();
        let mut rules = vec![fleet::rule("cpu-busy"), fleet::rule("disk-full")];
        if let Some(RuleChange::Create(rule) | RuleChange::Update(rule)) = &*self.ordered.lock().unwrap() {
            listing.own = Arc::new(BTreeSet::from([rule.name.clone()]));
            rules.push(Arc::new(rule.clone()));
        }
        listing.set = Arc::new(RuleSet { version: 7, rules });
        listing
    }

    fn change(&self, change: RuleChange, by: Actor) -> Changed<'_> {
        *self.by.lock().unwrap() = Some(by);
        Box::pin(async move {
            if let Some(refusal) = self.refusal.lock().unwrap().clone() {
                return Err(refusal);
            }
            *self.ordered.lock().unwrap() = Some(change);
            Ok(self.rules())
        })
    }
}

/// Keeps what was recorded; fails where that is set.
#[derive(Default)]
pub(crate) struct FakeAudit {
    pub(crate) entries: Mutex<Vec<Arc<Entry>>>,
    pub(crate) fails: Mutex<bool>,
}

impl AuditLog for FakeAudit {
    fn record(&self, deed: Deed) -> Recorded<'_> {
        let failed = *self.fails.lock().unwrap();
        let mut entries = self.entries.lock().unwrap();
        let id = entries.len() as u64 + 1;
        entries.push(Arc::new(Entry { id, time: model::Timestamp::from_secs(super::NOW_S), deed }));
        Box::pin(async move { if failed { Err(AuditError("/secret".into())) } else { Ok(()) } })
    }

    fn entries(&self, before: Option<u64>, limit: usize) -> Vec<Arc<Entry>> {
        let entries = self.entries.lock().unwrap();
        let newest = entries.iter().rev().filter(|entry| before.is_none_or(|before| entry.id < before));
        newest.take(limit).cloned().collect()
    }
}

/// One silence in force, and the change that was ordered last; it answers with `refusal` where that is set.
#[derive(Default)]
pub(crate) struct FakeSilences {
    pub(crate) ordered: Mutex<Option<SilenceChange>>,
    pub(crate) refusal: Mutex<Option<SilenceError>>,
}

fn silence() -> Arc<model::Silence> {
    let now = model::Timestamp::from_secs(super::NOW_S);
    Arc::new(model::Silence {
        id: "s1".into(),
        matchers: model::silence::Matchers { machines: vec!["db-*".into()], ..Default::default() },
        starts_at: now,
        ends_at: now + Duration::from_secs(3_600),
        author: "ana".into(),
        comment: String::new(),
        created: now,
    })
}

impl SilenceStore for FakeSilences {
    fn silences(&self) -> Arc<Vec<Arc<model::Silence>>> {
        Arc::new(vec![silence()])
    }

    fn change(&self, change: SilenceChange, _by: Actor) -> SilenceChanged<'_> {
        Box::pin(async move {
            if let Some(refusal) = self.refusal.lock().unwrap().clone() {
                return Err(refusal);
            }
            *self.ordered.lock().unwrap() = Some(change);
            Ok(silence())
        })
    }
}

pub(crate) struct FakeStats;

impl HubStatsSource for FakeStats {
    fn stats(&self) -> HubStats {
        HubStats { samples_per_s: 12.0, ..HubStats::default() }
    }

    fn arrivals(&self, machine: &MachineId) -> ArrivalView {
        let watermark = (machine.as_str() == "db-1").then_some(1_763_700_000_000);
        ArrivalView { watermark, late: 3, duplicate: 2, beyond_horizon: 1, future: 4 }
    }

    fn unjudged(&self, rule: &str) -> u64 {
        if rule == "cpu-busy" { 3 } else { 0 }
    }

    fn synthetic(&self) -> Option<SyntheticView> {
        let stage = SyntheticStage {
            name: "live".to_owned(),
            count: 2,
            p50_ms: Some(1.5),
            curve: vec![(50.0, 1.5)],
            ..SyntheticStage::default()
        };
        Some(SyntheticView { every_ms: 1_000, sent: 2, stages: vec![stage], ..SyntheticView::default() })
    }

    fn pipeline(&self) -> PipelineView {
        PipelineView {
            complete_until: 1_763_700_000_000,
            samples_per_s: 12.0,
            frames_per_s: 0.2,
            stages: vec![StageView {
                name: "ingest".to_owned(),
                lag_ms: Some(1.5),
                totals: BTreeMap::from([("accepted".to_owned(), 42)]),
            }],
            queues: vec![QueueView {
                name: "intake".to_owned(),
                depth: 1,
                depth_max: 2,
                capacity: 1_024,
                sent: 42,
                shed: 0,
            }],
            graph: graph(),
        }
    }
}

fn graph() -> GraphFigures {
    let window = OperatorFigures {
        name: "window".to_owned(),
        scope: false,
        workers: vec![OperatorWorkerFigures { busy_share: Some(0.25), lag_ms: Some(1.5), ..Default::default() }],
    };
    let channel = ChannelFigures {
        source: "batch".to_owned(),
        target: "window".to_owned(),
        workers: vec![ChannelWorkerFigures { records: 42, ..Default::default() }],
        ..Default::default()
    };
    let arrangement = ArrangementFigures { name: "rules by metric".to_owned(), records: 3, ..Default::default() };
    GraphFigures {
        over_s: None,
        workers: vec![WorkerFigures::default()],
        operators: vec![window],
        channels: vec![channel],
        arrangements: vec![arrangement],
    }
}

/// Only `db-1` is connected; takes one command and is busy after that.
#[derive(Default)]
pub(crate) struct FakeControl {
    pub(crate) sent: Mutex<Option<CollectorCommand>>,
}

impl CollectorControl for FakeControl {
    fn command<'a>(
        &'a self,
        machine: &'a MachineId,
        command: CollectorCommand,
    ) -> Commanding<'a, Result<(), CommandError>> {
        Box::pin(async move {
            if !self.is_connected(machine).await {
                return Err(CommandError::NotConnected(machine.clone()));
            }
            match self.sent.lock().unwrap().replace(command) {
                None => Ok(()),
                Some(_) => Err(CommandError::Busy(machine.clone())),
            }
        })
    }

    fn is_connected<'a>(&'a self, machine: &'a MachineId) -> Commanding<'a, bool> {
        Box::pin(std::future::ready(machine.as_str() == "db-1"))
    }
}
