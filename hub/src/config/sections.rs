//! Sections: the settings as the parts of the hub take them, each value checked against its range.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use collector::AllowList;
use model::{Catalogue, Labels, MachineId};
use runtime::config::{Listed, Settings};
use runtime::telemetry::LogFormat;
use sinks::bus::kafka::KafkaSettings;
use sinks::driver::DriverSettings;
use sinks::postgres::{PostgresSettings, PostgresUrl};
use sinks::redis::{RedisAddress, RedisSettings, parse_prefix};
use sinks::spill::SpillSettings;
use sinks::sqlite::SqliteSettings;
use web::{HostPolicy, WebSettings};

use super::{ClusterConfig, parse_address};

const SECOND: Duration = Duration::from_secs(1);
/// Between two seals of a process of a cluster to which nothing comes: what it adds to the latency of the others at most.
const QUIET: Duration = Duration::from_millis(20);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
pub(super) const MIB: u64 = 1 << 20;
pub(super) const TIB: u64 = 1 << 40;

/// Everything a hub is built from.
#[derive(Debug, Clone)]
pub struct Config {
    /// Every effective setting with its source, secrets masked: for people to read.
    pub listed: Vec<Listed>,
    pub data_dir: PathBuf,
    /// Whether other machines may connect although there is neither TLS nor a login.
    pub insecure: bool,
    /// The rules file that was asked for; without one `rules::Location` looks into the data folder.
    pub rules: Option<PathBuf>,
    pub http_address: SocketAddr,
    pub grpc_address: SocketAddr,
    pub log: LogConfig,
    pub ingest: ingest::Settings,
    pub journal: journal::Options,
    /// What only a start knows (the alerts that fire, where the replay ends) is still to be filled in.
    pub pipeline: pipeline::Settings,
    pub stuck_after: Duration,
    /// Zero lets each collector keep its own.
    pub collectors_interval: Duration,
    pub history: HistoryConfig,
    /// None: Redis is not used.
    pub redis: Option<RedisConfig>,
    /// None: Kafka is not used.
    pub kafka: Option<KafkaConfig>,
    pub web: WebSettings,
    /// None: this process runs the graph alone.
    pub cluster: Option<ClusterConfig>,
    /// None: nothing is published.
    pub edge: Option<edge::publish::Settings>,
    /// Between two synthetic transactions; none while they are off.
    pub synthetic_every: Option<Duration>,
    /// Its hub is not known yet: it is this one.
    pub collector: collector::Settings,
    /// Keys that are set but that this program does not use.
    pub unused: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone)]
pub struct HistoryConfig {
    /// Off, samples and windows are kept nowhere; alerts, presence and dead letters are, since a start must know them.
    pub is_on: bool,
    pub store: SqliteSettings,
    pub driver: DriverSettings,
    pub spill: SpillSettings,
    pub queue_messages_max: usize,
    /// Where the history itself is, when not in the data folder.
    pub server: Option<ServerConfig>,
}

#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Whose it is only the data folder knows.
    pub settings: PostgresSettings,
    pub spill: SpillSettings,
}

#[derive(Debug, Clone)]
pub struct RedisConfig {
    pub server: Arc<RedisSettings>,
    pub outbox: OutboxConfig,
}

#[derive(Debug, Clone)]
pub struct KafkaConfig {
    pub cluster: Arc<KafkaSettings>,
    pub outbox: OutboxConfig,
}

/// Where a bus' alerts wait.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// Has the outbox' cursor and its spill.
    pub dir: PathBuf,
    pub quota_bytes: u64,
}

impl Config {
    /// Reads every section; what is wrong stays in the settings.
    pub fn read(settings: &mut Settings) -> Self {
        let data_dir = PathBuf::from(settings.text("data_dir"));
        let history = history(settings, &data_dir);
        let ingest = ingest(settings, history.store.raw_kept);
        let http_address = listen_address(settings, "http.address");
        let mut config = Self {
            listed: settings.listed(),
            insecure: settings.flag("insecure"),
            rules: settings.optional_text("rules").map(PathBuf::from),
            http_address,
            grpc_address: listen_address(settings, "grpc.address"),
            log: log(settings),
            journal: journal::Options {
                segment_bytes: settings.size_bytes("journal.segment", 64 * 1_024..=4_096 * MIB),
                quota_bytes: settings.size_bytes("journal.quota", 2 * MIB..=64 * TIB),
                ..journal::Options::new(data_dir.join("journal"))
            },
            pipeline: pipeline(settings, ingest.limits.series_per_machine_max),
            stuck_after: settings.duration("pipeline.stuck_after", 10 * SECOND..=HOUR),
            collectors_interval: settings.duration("ingest.collectors_interval", Duration::ZERO..=HOUR),
            redis: redis(settings, &data_dir),
            kafka: super::kafka::kafka(settings, &data_dir),
            web: web(settings, http_address),
            cluster: super::cluster::cluster(settings),
            edge: super::edge::edge(settings),
            synthetic_every: synthetic(settings),
            collector: collector(settings, &data_dir),
            unused: unused(settings),
            ingest,
            history,
            data_dir,
        };
        config.check_across(settings);
        config.take_place(settings);
        config
    }

    /// What is different when the graph is one over several processes.
    fn take_place(&mut self, settings: &mut Settings) {
        let Some(cluster) = &self.cluster else { return };
        (self.pipeline.process, self.pipeline.processes) = (cluster.process, cluster.hosts.len());
        if cluster.process != 0 {
            // Its machines have one name in a fleet, and one place.
            self.synthetic_every = None;
        }
        // Everything waits until the quietest process has sealed its time.
        (self.ingest.sequencer.quiet, self.ingest.sequencer.idle) = (QUIET, QUIET);
        if self.history.is_on && self.history.server.is_none() {
            let advice = "keeps the history in one data folder, and a cluster has several: name a database with \
                          TIMESCALE_URL, or set history.enabled to false";
            settings.reject("history.enabled", advice);
        }
    }

    /// What only two values together show.
    fn check_across(&self, settings: &mut Settings) {
        if self.data_dir.as_os_str().is_empty() {
            settings.reject("data_dir", "is empty; name a folder such as ./data");
        }
        let port_is_fixed = self.http_address.port() != 0;
        if port_is_fixed && self.http_address == self.grpc_address {
            settings.reject("grpc.address", "is the same as http.address; give each its own port");
        }
        if self.journal.quota_bytes / 2 < self.journal.segment_bytes {
            let advice = "is less than two segments; raise it or lower journal.segment";
            settings.reject("journal.quota", advice);
        }
        if !self.history.is_on && self.history.server.is_some() {
            settings
                .reject("history.enabled", "is false, but timescale.url says where to keep it; leave one of them out");
        }
        let SqliteSettings { raw_kept, minute_kept, hour_kept, .. } = self.history.store;
        if minute_kept < raw_kept {
            settings.reject("history.minute", "is shorter than history.raw; keep a coarser tier at least as long");
        }
        if hour_kept < minute_kept {
            settings.reject("history.hour", "is shorter than history.minute; keep a coarser tier at least as long");
        }
        let window = &self.pipeline.window;
        if raw_kept < window.horizon {
            let advice = "is longer than history.raw; a corrected window needs its samples";
            settings.reject("pipeline.horizon", advice);
        }
        if window.horizon < window.lateness {
            settings.reject("pipeline.horizon", "is shorter than pipeline.lateness");
        }
    }
}

fn log(settings: &mut Settings) -> LogConfig {
    let format = |name: &str| LogFormat::parse(name).ok_or("expected auto, json or text");
    LogConfig { level: settings.text("log.level"), format: settings.parsed("log.format", format).unwrap_or_default() }
}

fn ingest(settings: &mut Settings, raw_kept: Duration) -> ingest::Settings {
    ingest::Settings {
        limits: ingest::Limits {
            series_per_machine_max: settings.count("ingest.series_per_machine_max", 1..=100_000),
            series_max: settings.count("ingest.series_max", 1..=1_000_000_000),
            machines_max: settings.count("ingest.machines_max", 1..=1_000_000),
            ahead_max: settings.duration("ingest.future_max", SECOND..=HOUR),
            // What the raw tier no longer keeps is refused at the door.
            behind_max: raw_kept,
            samples_per_second_max: whole(settings, "ingest.samples_per_s_max", 1_000_000_000),
            burst_samples_max: whole(settings, "ingest.samples_burst", 1_000_000_000),
        },
        sequencer: ingest::SequencerSettings {
            intake_bytes_max: bytes(settings, "ingest.intake_max", MIB..=64 * 1_024 * MIB),
            ..ingest::SequencerSettings::default()
        },
        streams: ingest::StreamSettings {
            message_bytes_max: bytes(settings, "ingest.message_max", 64 * 1_024..=64 * MIB),
            reflection: settings.flag("grpc.reflection"),
            ..ingest::StreamSettings::default()
        },
    }
}

fn pipeline(settings: &mut Settings, series_per_machine_max: usize) -> pipeline::Settings {
    let workers = settings.count("pipeline.workers", 1..=256);
    let defaults = pipeline::Settings::new(workers, Catalogue::standard());
    pipeline::Settings {
        series_per_machine_max,
        bindings_max: settings.count("pipeline.bindings_max", 1_000..=1_000_000_000),
        queue_records_max: settings.count("pipeline.queue_records_max", 16..=1_000_000),
        window: pipeline::WindowSettings {
            lateness: settings.duration("pipeline.lateness", Duration::ZERO..=HOUR),
            horizon: settings.duration("pipeline.horizon", SECOND..=DAY),
            ..defaults.window.clone()
        },
        presence: pipeline::PresenceSettings {
            stale_intervals: whole(settings, "pipeline.stale_intervals", 1_000),
            down_after: settings.duration("pipeline.down_after", SECOND..=DAY),
            ..defaults.presence.clone()
        },
        fleet: pipeline::FleetSettings {
            is_on: settings.flag("fleet.enabled"),
            metrics_max: settings.count("fleet.metrics_max", 1..=10_000),
            tags: pipeline::TagLimits {
                names_max: settings.count("fleet.tag_names_max", 1..=1_000),
                values_max: settings.count("fleet.tag_values_max", 1..=100_000),
                tags_max: settings.count("fleet.tags_max", 1..=100_000),
            },
            ..defaults.fleet.clone()
        },
        ..defaults
    }
}

fn history(settings: &mut Settings, data_dir: &Path) -> HistoryConfig {
    let store = SqliteSettings {
        raw_kept: settings.duration("history.raw", HOUR..=10 * YEAR),
        minute_kept: settings.duration("history.minute", HOUR..=20 * YEAR),
        hour_kept: settings.duration("history.hour", HOUR..=50 * YEAR),
        alerts_kept: settings.duration("history.alerts", HOUR..=50 * YEAR),
        synthetic_kept: settings.duration("history.synthetic", HOUR..=YEAR),
        dead_letters_kept: settings.duration("history.dead_letters", HOUR..=50 * YEAR),
        ..SqliteSettings::new(data_dir)
    };
    HistoryConfig {
        is_on: settings.flag("history.enabled"),
        server: server(settings, data_dir, &store),
        store,
        driver: DriverSettings {
            memory_bytes_max: bytes(settings, "history.memory_max", MIB..=64 * 1_024 * MIB),
            ..DriverSettings::default()
        },
        spill: SpillSettings {
            dir: data_dir.join("spill"),
            quota_bytes: settings.size_bytes("history.spill_quota", MIB..=64 * TIB),
        },
        queue_messages_max: settings.count("history.queue_messages_max", 16..=1_000_000),
    }
}

/// It keeps what the store in the data folder would keep, as long.
fn server(settings: &mut Settings, data_dir: &Path, store: &SqliteSettings) -> Option<ServerConfig> {
    let readers = settings.count("timescale.readers", 1..=64);
    let statement_within = settings.duration("timescale.statement_timeout", SECOND..=HOUR);
    settings.optional_text("timescale.url")?;
    let url = settings.parsed("timescale.url", PostgresUrl::parse)?;
    let SqliteSettings { raw_kept, minute_kept, hour_kept, alerts_kept, dead_letters_kept, .. } = *store;
    Some(ServerConfig {
        settings: PostgresSettings {
            raw_kept,
            minute_kept,
            hour_kept,
            alerts_kept,
            dead_letters_kept,
            readers,
            statement_within,
            ..PostgresSettings::new(url, "")
        },
        spill: SpillSettings {
            dir: data_dir.join("spill-server"),
            quota_bytes: settings.size_bytes("history.spill_quota", MIB..=64 * TIB),
        },
    })
}

fn redis(settings: &mut Settings, data_dir: &Path) -> Option<RedisConfig> {
    let keys = match settings.optional_text("redis.prefix") {
        Some(_) => settings.parsed("redis.prefix", parse_prefix),
        None => None,
    };
    let ca_file = settings.optional_text("redis.ca_file").map(PathBuf::from);
    let quota_bytes = settings.size_bytes("redis.outbox_quota", MIB..=TIB);
    let address = match RedisAddress::parse(&settings.optional_text("redis.url")?) {
        Ok(address) => address,
        // Without the value, which may hold a password.
        Err(problem) => {
            settings.reject("redis.url", format!("cannot be used: {problem}"));
            return None;
        }
    };
    let server = RedisSettings::new(address);
    let server = RedisSettings { keys: keys.unwrap_or_else(|| server.keys.clone()), ca_file, ..server };
    let outbox = OutboxConfig { dir: data_dir.join("outbox-redis"), quota_bytes };
    Some(RedisConfig { server: Arc::new(server), outbox })
}

fn web(settings: &mut Settings, address: SocketAddr) -> WebSettings {
    WebSettings {
        clients_max: settings.count("web.clients_max", 1..=1_000_000),
        history_queries_max: settings.count("web.history_queries_max", 1..=1_000),
        request_timeout: settings.duration("web.request_timeout", SECOND..=HOUR),
        hosts: HostPolicy::for_address(address.ip(), &settings.texts("web.hosts")),
        ..WebSettings::default()
    }
}

fn synthetic(settings: &mut Settings) -> Option<Duration> {
    let every = settings.duration("synthetic.every", Duration::from_millis(10)..=HOUR);
    settings.flag("synthetic.enabled").then_some(every)
}

fn collector(settings: &mut Settings, data_dir: &Path) -> collector::Settings {
    let machine = match settings.optional_text("collector.machine_id") {
        Some(_) => settings.parsed("collector.machine_id", MachineId::parse),
        None => None,
    };
    let allow = match settings.optional_text("collector.allow") {
        Some(_) => settings.parsed("collector.allow", AllowList::parse),
        None => AllowList::parse("").ok(),
    };
    let spool_dir = settings.optional_text("collector.spool_dir").map(PathBuf::from);
    let machine = machine.unwrap_or_else(collector::config::this_machine);
    collector::Settings {
        interval: settings.duration("collector.collection_interval", SECOND..=HOUR),
        tags: tags(settings),
        spool_dir: Some(spool_dir.unwrap_or_else(|| data_dir.join("spool"))),
        spool_bytes: settings.size_bytes("collector.spool_bytes", MIB..=TIB),
        allow: allow.unwrap_or_else(AllowList::all),
        ..collector::Settings::new(machine, "")
    }
}

/// An address that other machines can reach is refused until somebody says that this is meant.
fn listen_address(settings: &mut Settings, key: &str) -> SocketAddr {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = settings.parsed(key, parse_address).unwrap_or(nowhere);
    let is_insecure = settings.flag("insecure");
    if !address.ip().is_loopback() && !is_insecure {
        let message = format!(
            "is {address}, which other machines can reach, and there is neither TLS nor a login yet; \
             listen on 127.0.0.1, or accept the risk with --insecure"
        );
        settings.reject(key, message);
    }
    address
}

fn tags(settings: &mut Settings) -> BTreeMap<String, String> {
    let key = "collector.tags";
    let mut tags = BTreeMap::new();
    for item in settings.texts(key) {
        match item.split_once('=') {
            Some((name, value)) => {
                tags.insert(name.trim().to_owned(), value.trim().to_owned());
            }
            None => settings.reject(key, format!("has {item:?}; write tags as name=value, like role=db,site=eu")),
        }
    }
    let pairs = tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    if let Err(error) = Labels::parse(pairs) {
        settings.reject(key, error);
    }
    tags
}

/// What has no meaning inside `sysmonstm up`.
fn unused(settings: &mut Settings) -> Vec<&'static str> {
    let mut unused = vec!["collector.aggregator_url"];
    unused.retain(|key| settings.optional_text(key).is_some());
    unused
}

fn whole(settings: &mut Settings, key: &str, most: u32) -> u32 {
    let count = settings.count(key, 1..=most as usize);
    u32::try_from(count).unwrap_or(most)
}

fn bytes(settings: &mut Settings, key: &str, range: std::ops::RangeInclusive<u64>) -> usize {
    usize::try_from(settings.size_bytes(key, range)).unwrap_or(usize::MAX)
}
