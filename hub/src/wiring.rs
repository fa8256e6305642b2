//! Wiring: the whole system on one page. Stages meet here, through queues of `model` types, and nowhere else.
//!
//! Start, each on what the line before gives: ports (which answer from then on that the hub starts), rules, journal and history, hot
//! store, graph, sinks, replay, sequencer, gRPC, web, this machine's collector. Stop, in flow order, so that what was accepted comes out at the other end: collector, gRPC with its last
//! acknowledgements, sequencer, graph, sinks, web. A part that ends by itself ends the hub.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::edge::publish::PublisherHandle;
use ::synthetic::probe::{Book, Exits};
use anyhow::{Context, Result};
use ingest::{CollectorConfig, Collectors, Foundations, Ingest, Peers, Replayed, Services};
use journal::Journal;
use model::audit::AuditLog;
use model::command::{CollectorControl, RuleStore, SilenceStore};
use model::query::{Health, History, HotState};
use model::rule::RuleSet;
use model::silence::SilenceSet;
use model::{LogicalTime, Record};
use pipeline::Sockets;
use runtime::clock::SharedClock;
use runtime::drain::TaskEnd;
use runtime::metrics::Registry;
use runtime::queue::QueueStats;
use sinks::memory::HotStore;
use sinks::postgres::PostgresHistory;
use sinks::status::DriverHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};
use web::{AppState, SettingView};

use crate::base::Base;
use crate::buses::BusHandles;
use crate::cluster::{AllCollectors, Cluster, Doors, Heard, Remote};
use crate::config::Config;
use crate::dead_letters::Office;
use crate::figures::{Figures, Rates};
use crate::graph::Graph;
use crate::keeping::Keeping;
use crate::outflow::{self, Outflow};
use crate::part::Part;
use crate::program::VERSION;
use crate::rules::Watcher;
use crate::silences::Keeper;
use crate::starting::Starting;
use crate::stores::Stores;
use crate::{edge, health, listen, synthetic, upkeep};

/// A drain as a whole; a supervisor kills soon after.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Of that, what collectors may take to hear their last acknowledgement, so that enough is left for the stores.
const SENDERS_WITHIN: Duration = Duration::from_secs(3);
/// What the graph may take until the last of it is through: some heartbeats.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);
/// And what browsers may take to leave.
const BROWSERS_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The hub and this machine's collector.
    Up,
    Hub,
}

/// Why a hub is to stop by itself.
#[derive(Debug)]
pub enum Ending {
    /// A part of it has ended, which none does.
    Fault(TaskEnd),
    /// Another process of its cluster stops, in peace.
    CalledOff(String),
}

/// A running hub.
pub struct Hub {
    pub http_address: SocketAddr,
    pub grpc_address: SocketAddr,
    collector: Part,
    synthetic: Part,
    grpc: Part,
    upkeep: Part,
    ingest: Arc<Ingest>,
    graph: Graph,
    sinks: Part,
    web: Part,
    cluster: Option<Cluster>,
}

/// What the parts that face the outside share.
struct Inside {
    hot: Arc<HotStore>,
    history: Arc<dyn History>,
    /// Of the history.
    driver: DriverHandle,
    /// Of the store in the data folder, where the history is on a server, and what the server is.
    state: Option<(DriverHandle, PostgresHistory)>,
    buses: Vec<BusHandles>,
    rules: Arc<dyn RuleStore>,
    silences: Arc<dyn SilenceStore>,
    audit: Arc<dyn AuditLog>,
    ingest: Arc<Ingest>,
    collectors: Arc<Collectors>,
    /// Those of this process and of the others.
    control: Arc<dyn CollectorControl>,
    /// Dead letters of which the journal says that they were sent again, newest first.
    resent: Vec<String>,
}

/// What is opened before anything runs.
struct Opened {
    cluster: Option<Cluster>,
    keeping: Keeping,
    sockets: Sockets,
    stores: Stores,
}

impl Opened {
    /// In a cluster, when all processes have opened theirs and agree on where to begin.
    async fn of(base: &Base) -> Result<Self> {
        let mut stores = Stores::open(base).await?;
        let (cluster, sockets) = Cluster::join(base).await?.unzip();
        let keeping = Keeping::of(base, cluster.as_ref())?;
        if let Some(cluster) = &cluster {
            stores.agree(base, cluster, keeping.now().as_ref()).await?;
        }
        Ok(Self { cluster, keeping, sockets: sockets.unwrap_or_default(), stores })
    }
}

impl Inside {
    /// What the other processes of a cluster may ask for.
    fn doors(&self) -> Doors {
        let kept = (Arc::clone(&self.rules), Arc::clone(&self.silences), Arc::clone(&self.audit));
        Doors::new(&self.ingest, &self.collectors, kept)
    }
}

impl Hub {
    /// # Errors
    /// What cannot be opened, read or bound, and what to do about it.
    pub async fn start(config: Config, role: Role, clock: SharedClock) -> Result<Self> {
        let base = Base { config: bounded(config), clock, registry: Registry::new() };
        let http = listen::on(base.config.http_address, "http.address").await?;
        let grpc = listen::on(base.config.grpc_address, "grpc.address").await?;
        let (http_address, grpc_address) = (http.local_addr()?, grpc.local_addr()?);
        info!(dashboard = health::url_of(http_address, "/"), grpc = %grpc_address, "hub listens");
        let (starting, http, grpc) = Starting::begin(&base, http, grpc)?;
        let Opened { mut cluster, mut keeping, sockets, stores } = Opened::of(&base).await?;
        let (recovery, t_floor) = (stores.recovery, stores.t_floor);
        let hot = outflow::hot_store(&base, &stores);
        let (graph, outlets) = Graph::start(&base, &stores, sockets)?;
        let queues = outlets.stats();
        let owed_state = stores.owed_to_state(cluster.as_ref());
        let (outflow, journal) = Outflow::start(&base, (stores, outlets), hot, (owed_state, &keeping));
        let watchdog = start_watchdog(&base, &graph);
        let replayed = graph.replay(journal, recovery.from_t, &starting.progress).await?;
        let newest_t = replayed.1.newest_t;
        let resent = replayed.1.state.resent().rev().map(str::to_owned).collect();
        let keep_from = Arc::new(AtomicU64::new(0));
        let others = cluster.as_ref().map(Cluster::remote);
        let news = keeping.silences_news(replayed.1.state.silences().map(AsRef::as_ref));
        let ingest = Arc::new(start_ingest(&base, replayed, t_floor, &graph, (&keep_from, others.clone()))?);
        if keeping.own.is_some() {
            publish(&ingest, keeping.rules.rules(), news).await?;
        }
        let figures = figures(&base, &graph, &outflow.driver, &ingest, queues);
        let collectors = Arc::new(Collectors::new(base.config.ingest.limits.machines_max, ingest.meters().clone()));
        let Keeping { rules, silences, audit, own, kept } = keeping;
        let control = control(&collectors, others);
        let Outflow { sinks, hot, history, driver, state, buses } = outflow;
        let inside =
            Inside { hot, history, driver, state, buses, rules, silences, audit, ingest, collectors, control, resent };
        if let Some(cluster) = &mut cluster {
            cluster.open(inside.doors(), kept);
        }
        let heard = cluster.as_ref().map(Cluster::heard);
        let upkeep = start_upkeep(&base, &inside, &graph, (watchdog, own, keep_from, heard));
        if let Some(newest_t) = newest_t {
            // Until then a machine could be unknown to a hub that says it is ready. Not before the sequencer runs: new series wait for
            // its next seal (ADR 0008).
            inside.hot.caught_up(newest_t).await;
        }
        inside.buses.iter().for_each(|bus| bus.news.open());
        if let Some(cluster) = &cluster {
            cluster.ready().await?;
        }
        starting.end().await;
        let grpc = start_grpc(&base, &inside, grpc);
        let book = figures.synthetic.clone();
        let place = cluster.as_ref().map(Cluster::health);
        let web = start_web(&base, &inside, (figures, place), http);
        let synthetic = start_synthetic(&base, &inside, book, (grpc_address, http_address));
        let collector = start_collector(&base, role, grpc_address);
        let ingest = inside.ingest;
        Ok(Self { http_address, grpc_address, collector, synthetic, grpc, upkeep, ingest, graph, sinks, web, cluster })
    }

    /// Ends when the hub is to stop by itself. Cancel safe.
    pub async fn ended(&mut self) -> Ending {
        let cluster = async {
            match &mut self.cluster {
                Some(cluster) => cluster.ended().await,
                None => pending().await,
            }
        };
        let fault = tokio::select! {
            ending = cluster => return ending,
            end = self.collector.ended() => end,
            end = self.synthetic.ended() => end,
            end = self.grpc.ended() => end,
            end = self.upkeep.ended() => end,
            end = self.sinks.ended() => end,
            end = self.web.ended() => end,
        };
        Ending::Fault(fault)
    }

    /// Finishes what is in flight, in flow order; false when a part had to be cut off. What was acknowledged is safe either way.
    pub async fn stop(self) -> bool {
        let deadline = Instant::now() + STOP_WITHIN;
        let left = || deadline.saturating_duration_since(Instant::now());
        if let Some(cluster) = &self.cluster {
            cluster.stopping(&format!("process {} stops", cluster.process));
        }
        let mut all_ended = self.synthetic.stop(SENDERS_WITHIN).await;
        all_ended &= self.collector.stop(SENDERS_WITHIN).await;
        all_ended &= self.grpc.stop(SENDERS_WITHIN + Duration::from_millis(500)).await;
        all_ended &= self.graph.settle(SETTLE_WITHIN).await;
        all_ended &= self.upkeep.stop(left()).await;
        match Arc::into_inner(self.ingest) {
            Some(ingest) => all_ended &= ingest.stop(left()).await,
            None => {
                warn!("a stream still holds the sequencer, which is cut off");
                all_ended = false;
            }
        }
        all_ended &= self.graph.stop(left()).await;
        all_ended &= self.sinks.stop(left()).await;
        if let Some(cluster) = self.cluster {
            all_ended &= cluster.stop(left()).await;
        }
        all_ended & self.web.stop(left().max(BROWSERS_WITHIN)).await
    }
}

/// The drains of the parts, fitted into the hub's.
fn bounded(mut config: Config) -> Config {
    config.ingest.streams.drain_within = SENDERS_WITHIN;
    config.web.drain_timeout = BROWSERS_WITHIN;
    config.history.driver.flush_within = SENDERS_WITHIN;
    config
}

fn start_ingest(
    base: &Base,
    (journal, replayed): (Journal, Replayed),
    t_floor: LogicalTime,
    graph: &Graph,
    (keep_from, others): (&Arc<AtomicU64>, Option<Remote>),
) -> Result<Ingest> {
    let foundations = Foundations {
        journal,
        replayed,
        t_floor,
        dataflow: Arc::clone(&graph.handle) as Arc<dyn model::Dataflow>,
        keep_from: Arc::clone(keep_from),
        clock: base.clock(),
        registry: base.registry.clone(),
        settings: base.config.ingest.clone(),
        peers: others.map(|others| Arc::new(others) as Arc<dyn Peers>),
    };
    Ingest::start(foundations).context("start the sequencer")
}

/// The collectors of this process, and of the others where there are any.
fn control(own: &Arc<Collectors>, others: Option<Remote>) -> Arc<dyn CollectorControl> {
    let own = Arc::clone(own);
    match others {
        Some(others) => Arc::new(AllCollectors { own, others }),
        None => own,
    }
}

/// Puts the rules into the journal, even where they are what it ends with: from here on the graph knows which alerts have a rule no more.
/// And silences, where there is news of them.
async fn publish(ingest: &Ingest, rules: Arc<RuleSet>, silences: Option<Arc<SilenceSet>>) -> Result<()> {
    let published = ingest.intake().record(Record::Rules(rules)).await;
    published.context("put the rules into the journal")?;
    if let Some(set) = silences {
        let published = ingest.intake().record(Record::Silences(set)).await;
        published.context("put the silences into the journal")?;
    }
    Ok(())
}

fn figures(
    base: &Base,
    graph: &Graph,
    driver: &DriverHandle,
    ingest: &Ingest,
    queues: Vec<QueueStats>,
) -> Arc<Figures> {
    let figures = Arc::new(Figures {
        graph: Arc::clone(&graph.handle),
        history: driver.clone(),
        meters: ingest.meters().clone(),
        sink_queues: queues,
        clock: base.clock(),
        lateness: base.config.pipeline.window.lateness,
        rates: Mutex::new(Rates::default()),
        looks: Mutex::default(),
        synthetic: base
            .config
            .synthetic_every
            .map(|every| Arc::new(Book::new(every, |stage| synthetic::has(&base.config, stage), &base.registry))),
    });
    figures.export(&base.registry);
    figures
}

/// Before the replay, which can be stuck like any other work.
fn start_watchdog(base: &Base, graph: &Graph) -> Part {
    let mut upkeep = Part::default();
    let (handle, patience) = (Arc::clone(&graph.handle), base.config.stuck_after);
    upkeep.spawn("watchdog", upkeep::watch_graph(handle, base.clock(), patience, upkeep.token()));
    upkeep
}

/// The watchdog's part; who keeps rules and silences; what the journal keeps, and the others who need it.
type UpkeepOf = (Part, Option<(Watcher, Keeper)>, Arc<AtomicU64>, Option<Arc<Heard>>);

fn start_upkeep(base: &Base, inside: &Inside, graph: &Graph, kept: UpkeepOf) -> Part {
    let (mut upkeep, own, keep_from, heard) = kept;
    if let Some((watcher, keeper)) = own {
        start_keeping(inside, &mut upkeep, (watcher, keeper));
    }
    let handle = Arc::clone(&graph.handle);
    let mut drivers = vec![inside.driver.clone()];
    drivers.extend(inside.state.iter().map(|(driver, _)| driver.clone()));
    drivers.extend(inside.buses.iter().map(|bus| bus.alerts.clone()));
    let keeping = upkeep::keep_journal(keep_from, drivers, handle, (base.reach(), heard), upkeep.token());
    upkeep.spawn("journal retention", keeping);
    upkeep
}

fn start_keeping(inside: &Inside, upkeep: &mut Part, (watcher, keeper): (Watcher, Keeper)) {
    let intake = inside.ingest.intake();
    let publish = move |rules| {
        let intake = intake.clone();
        async move { Ok(intake.record(Record::Rules(rules)).await?) }
    };
    upkeep.spawn("rules", watcher.run(publish, upkeep.token()));
    let intake = inside.ingest.intake();
    let publish = move |silences| {
        let intake = intake.clone();
        async move { Ok(intake.record(Record::Silences(silences)).await?) }
    };
    upkeep.spawn("silences", keeper.run(publish, upkeep.token()));
}

/// What collectors are told. Version 0 is nothing; otherwise it rises from start to start, so that a changed setting reaches them.
fn collector_config(base: &Base) -> CollectorConfig {
    let interval_ms = u32::try_from(base.config.collectors_interval.as_millis()).unwrap_or(u32::MAX);
    let started_ms = u64::try_from(base.clock.now_us() / 1_000).unwrap_or(1);
    CollectorConfig { version: if interval_ms == 0 { 0 } else { started_ms }, interval_ms }
}

fn start_grpc(base: &Base, inside: &Inside, listener: TcpListener) -> Part {
    let mut grpc = Part::default();
    let ingest = Arc::clone(&inside.ingest);
    // The sender keeps the collectors' watch open.
    let (configs, config) = watch::channel(collector_config(base));
    let services = Services {
        hot: Arc::clone(&inside.hot) as Arc<dyn HotState>,
        rules: Arc::clone(&inside.rules),
        config,
        collectors: Arc::clone(&inside.collectors),
    };
    let drain = grpc.token();
    grpc.spawn("grpc", async move {
        let served = ingest::serve(listener, &ingest, services, drain).await;
        drop(configs);
        Ok(served?)
    });
    grpc
}

fn start_web(
    base: &Base,
    inside: &Inside,
    (figures, place): (Arc<Figures>, Option<Health>),
    listener: TcpListener,
) -> Part {
    let mut web = Part::default();
    // One process publishes what all of them know.
    let is_publisher = base.config.pipeline.process == 0;
    let published = if is_publisher { edge::start(base, &mut web, (&inside.hot, &inside.history)) } else { None };
    let (journal, hot, driver) = (inside.ingest.state(), Arc::clone(&inside.hot), inside.driver.clone());
    let (state, buses) = (inside.state.clone(), inside.buses.clone());
    let readiness = move || -> Vec<Health> {
        let mut health = vec![journal.health(), hot.health(), driver.health()];
        if let Some((state, server)) = &state {
            health[2].detail = server.server();
            health.push(state.health());
        }
        health.extend(buses.iter().flat_map(|bus| [bus.news.health(), bus.alerts.health()]));
        health.extend(published.iter().map(PublisherHandle::health));
        health.extend(place.clone());
        health
    };
    let state = AppState {
        hot: Arc::clone(&inside.hot) as Arc<dyn HotState>,
        hot_versions: inside.hot.subscribe(),
        history: Arc::clone(&inside.history),
        rules: Arc::clone(&inside.rules),
        silences: Arc::clone(&inside.silences),
        audit: Arc::clone(&inside.audit),
        config: Arc::new(settings_shown(&base.config)),
        control: Arc::clone(&inside.control),
        dead_letters: office(base, inside),
        clock: base.clock(),
        metrics: base.registry.clone(),
        readiness: Arc::new(readiness),
        stats: figures,
        version: VERSION,
        settings: base.config.web.clone(),
    };
    let drain = web.token();
    web.spawn("web", async move {
        web::serve(listener, state, drain).await;
        Ok(())
    });
    web
}

fn office(base: &Base, inside: &Inside) -> Arc<Office> {
    let server = inside.state.as_ref().map(|(_, server)| server.clone());
    let office = Office::new(Arc::clone(&inside.history), server, inside.ingest.resender(), &base.registry);
    Arc::new(office.knowing(&inside.resent))
}

/// The settings as the web shows them.
fn settings_shown(config: &Config) -> Vec<SettingView> {
    let listed = config.listed.iter().cloned();
    listed.map(|one| SettingView { key: one.key, value: one.value, source: one.source }).collect()
}

/// Transactions on the hub's own ports, followed to its exits.
fn start_synthetic(
    base: &Base,
    inside: &Inside,
    book: Option<Arc<Book>>,
    (grpc, http): (SocketAddr, SocketAddr),
) -> Part {
    let mut part = Part::default();
    if base.config.pipeline.process != 0 {
        // Its rule and its machine are process 0's.
        return part;
    }
    let rules = Arc::clone(&inside.rules);
    let (Some(book), Some(every)) = (book, base.config.synthetic_every) else {
        let drain = part.token();
        part.spawn("synthetic", async move {
            synthetic::keep_rule(rules.as_ref(), false).await;
            drain.draining().await;
            Ok(())
        });
        return part;
    };
    let exits = Exits {
        hot: Arc::clone(&inside.hot) as Arc<dyn HotState>,
        versions: inside.hot.subscribe(),
        history: Arc::clone(&inside.history),
        stored: synthetic::stored(inside.driver.clone()),
        bus: synthetic::bus(&base.config, &base.registry),
    };
    let settings = synthetic::settings(every, grpc, http);
    part.spawn("synthetic", synthetic::run(settings, (book, exits), rules, base.clock(), part.token()));
    part
}

fn start_collector(base: &Base, role: Role, hub: SocketAddr) -> Part {
    let mut part = Part::default();
    if role == Role::Up {
        let settings =
            collector::Settings { hub_address: health::own_address(hub).to_string(), ..base.config.collector.clone() };
        let (clock, registry, drain) = (base.clock(), base.registry.clone(), part.token());
        part.spawn("collector", async move { Ok(collector::run(settings, clock, registry, drain).await?) });
    }
    part
}
