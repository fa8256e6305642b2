//! Sections: the settings as the parts of the hub take them, each value checked against its range.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use model::MachineId;
use runtime::config::Settings;
use runtime::telemetry::LogFormat;

use super::parse_address;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    /// The rules file that was asked for; without one `rules::Location` looks into the data folder.
    pub rules: Option<PathBuf>,
    pub http_address: SocketAddr,
    pub grpc_address: SocketAddr,
    pub log: LogConfig,
    pub ingest: IngestConfig,
    pub journal: JournalConfig,
    pub pipeline: PipelineConfig,
    pub history: HistoryConfig,
    pub web: WebConfig,
    pub collector: CollectorConfig,
    /// Services that are set but that this release does not use yet, by key.
    pub unused: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone)]
pub struct IngestConfig {
    pub batch_samples_max: usize,
    pub series_per_machine_max: usize,
    pub machines_max: usize,
    pub samples_per_s_max: usize,
    pub samples_burst: usize,
    pub future_max: Duration,
}

#[derive(Debug, Clone)]
pub struct JournalConfig {
    pub segment_bytes: u64,
    pub quota_bytes: u64,
    pub commit_wait: Duration,
}

#[derive(Debug, Clone)]
pub struct PipelineConfig {
    pub workers: usize,
    pub queue_records_max: usize,
    pub lateness: Duration,
    pub horizon: Duration,
    pub stale_intervals: u32,
    pub down_after: Duration,
}

#[derive(Debug, Clone)]
pub struct HistoryConfig {
    pub raw: Duration,
    pub minute: Duration,
    pub hour: Duration,
    pub queue_outputs_max: usize,
    pub spill_quota_bytes: u64,
}

#[derive(Debug, Clone)]
pub struct WebConfig {
    pub clients_max: usize,
}

#[derive(Debug, Clone)]
pub struct CollectorConfig {
    /// `None`: the host's name.
    pub machine_id: Option<MachineId>,
    pub aggregator_url: String,
    pub collection_interval: Duration,
    /// `name=value`, name and value not empty.
    pub tags: Vec<(String, String)>,
    pub spool_bytes: u64,
}

impl Config {
    /// Reads every section; what is wrong stays in the settings.
    pub fn read(settings: &mut Settings) -> Self {
        let config = Self {
            data_dir: settings.text("data_dir").into(),
            rules: settings.optional_text("rules").map(PathBuf::from),
            http_address: listen_address(settings, "http.address"),
            grpc_address: listen_address(settings, "grpc.address"),
            log: LogConfig::read(settings),
            ingest: IngestConfig::read(settings),
            journal: JournalConfig::read(settings),
            pipeline: PipelineConfig::read(settings),
            history: HistoryConfig::read(settings),
            web: WebConfig {
                clients_max: settings.count("web.clients_max", 1..=100_000),
            },
            collector: CollectorConfig::read(settings),
            unused: unused(settings),
        };
        config.check_across(settings);
        config
    }

    /// What only two values together show.
    fn check_across(&self, settings: &mut Settings) {
        if self.data_dir.as_os_str().is_empty() {
            settings.reject("data_dir", "is empty; name a folder such as ./data");
        }
        let ports_are_fixed = self.http_address.port() != 0;
        if ports_are_fixed && self.http_address == self.grpc_address {
            settings.reject("grpc.address", "is the same as http.address; give each its own port");
        }
        if self.journal.quota_bytes < 2 * self.journal.segment_bytes {
            settings.reject(
                "journal.quota",
                "is less than two segments; raise it or lower journal.segment",
            );
        }
        let HistoryConfig { raw, minute, hour, .. } = self.history;
        if minute < raw {
            settings.reject(
                "history.minute",
                "is shorter than history.raw; keep a coarser tier at least as long",
            );
        }
        if hour < minute {
            settings.reject(
                "history.hour",
                "is shorter than history.minute; keep a coarser tier at least as long",
            );
        }
        if raw < self.pipeline.horizon {
            settings.reject(
                "pipeline.horizon",
                "is longer than history.raw; a corrected window needs its samples",
            );
        }
        if self.pipeline.horizon < self.pipeline.lateness {
            settings.reject("pipeline.horizon", "is shorter than pipeline.lateness");
        }
    }
}

impl LogConfig {
    fn read(settings: &mut Settings) -> Self {
        let format = |name: &str| LogFormat::parse(name).ok_or("expected auto, json or text");
        Self {
            level: settings.text("log.level"),
            format: settings.parsed("log.format", format).unwrap_or_default(),
        }
    }
}

impl IngestConfig {
    fn read(settings: &mut Settings) -> Self {
        Self {
            batch_samples_max: settings.count("ingest.batch_samples_max", 1..=100_000),
            series_per_machine_max: settings.count("ingest.series_per_machine_max", 1..=100_000),
            machines_max: settings.count("ingest.machines_max", 1..=1_000_000),
            samples_per_s_max: settings.count("ingest.samples_per_s_max", 1..=100_000_000),
            samples_burst: settings.count("ingest.samples_burst", 1..=1_000_000_000),
            future_max: settings.duration("ingest.future_max", SECOND..=HOUR),
        }
    }
}

impl JournalConfig {
    fn read(settings: &mut Settings) -> Self {
        Self {
            segment_bytes: settings.size_bytes("journal.segment", MIB..=4_096 * MIB),
            quota_bytes: settings.size_bytes("journal.quota", 2 * MIB..=64 * TIB),
            commit_wait: settings.duration("journal.commit_wait", Duration::ZERO..=SECOND),
        }
    }
}

impl PipelineConfig {
    fn read(settings: &mut Settings) -> Self {
        let stale_intervals = settings.count("pipeline.stale_intervals", 1..=1_000);
        Self {
            workers: settings.count("pipeline.workers", 1..=256),
            queue_records_max: settings.count("pipeline.queue_records_max", 16..=1_000_000),
            lateness: settings.duration("pipeline.lateness", Duration::ZERO..=HOUR),
            horizon: settings.duration("pipeline.horizon", SECOND..=DAY),
            stale_intervals: u32::try_from(stale_intervals).unwrap_or(u32::MAX),
            down_after: settings.duration("pipeline.down_after", SECOND..=DAY),
        }
    }
}

impl HistoryConfig {
    fn read(settings: &mut Settings) -> Self {
        Self {
            raw: settings.duration("history.raw", HOUR..=10 * YEAR),
            minute: settings.duration("history.minute", HOUR..=20 * YEAR),
            hour: settings.duration("history.hour", HOUR..=50 * YEAR),
            queue_outputs_max: settings.count("history.queue_outputs_max", 16..=1_000_000),
            spill_quota_bytes: settings.size_bytes("history.spill_quota", MIB..=64 * TIB),
        }
    }
}

impl CollectorConfig {
    fn read(settings: &mut Settings) -> Self {
        let machine_id = match settings.optional_text("collector.machine_id") {
            Some(_) => settings.parsed("collector.machine_id", MachineId::parse),
            None => None,
        };
        Self {
            machine_id,
            aggregator_url: settings.text("collector.aggregator_url"),
            collection_interval: settings.duration("collector.collection_interval", SECOND..=HOUR),
            tags: tags(settings),
            spool_bytes: settings.size_bytes("collector.spool", MIB..=TIB),
        }
    }
}

/// An address that other machines can reach is refused until somebody says that this is meant.
fn listen_address(settings: &mut Settings, key: &str) -> SocketAddr {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = settings.parsed(key, parse_address).unwrap_or(nowhere);
    let is_insecure = settings.flag("insecure");
    if !address.ip().is_loopback() && !is_insecure {
        settings.reject(
            key,
            format!(
                "is {address}, which other machines can reach, and there is neither TLS nor a login yet; \
                 listen on 127.0.0.1, or accept the risk with --insecure"
            ),
        );
    }
    address
}

fn tags(settings: &mut Settings) -> Vec<(String, String)> {
    let key = "collector.tags";
    let mut tags: Vec<(String, String)> = Vec::new();
    for item in settings.texts(key) {
        match item.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                tags.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            Some(_) | None => settings.reject(
                key,
                format!("has {item:?}; write tags as name=value, like role=db,site=eu"),
            ),
        }
    }
    if model::machine::TAGS_MAX < tags.len() {
        settings.reject(
            key,
            format!(
                "has {} tags; a machine has at most {}",
                tags.len(),
                model::machine::TAGS_MAX
            ),
        );
    }
    tags
}

fn unused(settings: &mut Settings) -> Vec<&'static str> {
    let keys = super::OPTIONAL.iter().copied();
    keys.filter(|key| settings.optional_text(key).is_some()).collect()
}
