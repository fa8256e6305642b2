//! Config: the settings of every command, read once. A flag beats the environment, which beats the file, which beats `default.toml`.
//!
//! `default.toml` names every key; what a value means is in `sections`. All problems of all layers are reported together.

mod address;
mod cluster;
mod edge;
mod kafka;
mod names;
mod sections;

use std::path::PathBuf;

use runtime::config::{EnvNames, Layers, Problems, Settings};

pub use address::parse_address;
pub use cluster::ClusterConfig;
pub use sections::{Config, HistoryConfig, KafkaConfig, LogConfig, OutboxConfig, RedisConfig, ServerConfig};

/// Every key with its default; also what `config print` of an untouched hub shows.
pub const DEFAULTS: &str = include_str!("../../default.toml");

/// Keys without a default: other programs that the hub talks to, and the address of the hub, which only a collector of its own needs.
pub const OPTIONAL: &[&str] =
    &["redis.url", "kafka.url", "timescale.url", "edge.url", "edge.token", "collector.aggregator_url"];

/// The variable that names the settings file; the flag `--config` beats it.
const FILE_VARIABLE: &str = "HUB_CONFIG";

/// Where settings come from, apart from the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    pub variables: Vec<(String, String)>,
    /// Flag as typed, key, text.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// The process' environment, without what is not text.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    let pairs = std::env::vars_os();
    pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

impl Sources {
    /// All layers, one over the other. Their problems are inside and come out with `Settings::finish`.
    ///
    /// # Errors
    /// When `default.toml` itself is broken.
    pub fn settings(&self) -> Result<Settings, Problems> {
        let mut layers = Layers::new(DEFAULTS, OPTIONAL)?;
        if let Some(path) = self.file_path() {
            layers.read_file(&path);
        }
        let known = Layers::new(DEFAULTS, OPTIONAL)?.settings();
        let names = names::of_keys(known.keys());
        let pairs: Vec<(&str, &str)> = names.iter().map(|(name, key)| (name.as_str(), *key)).collect();
        let env = EnvNames { pairs: &pairs, prefixes: names::PREFIXES };
        let variables = self.variables.iter().filter(|(name, _)| names::is_setting(name));
        layers.env(env, variables.cloned());
        for (flag, key, text) in &self.flags {
            layers.flag(flag, key, text);
        }
        Ok(layers.settings())
    }

    /// The validated settings.
    ///
    /// # Errors
    /// Every problem of every layer and every value.
    pub fn load(&self) -> Result<Config, Problems> {
        let mut settings = self.settings()?;
        let config = Config::read(&mut settings);
        settings.finish()?;
        Ok(config)
    }

    /// A flag that stands before the command, which a command with settings of its own takes over.
    pub(crate) fn flag(&self, key: &str) -> Option<String> {
        let found = self.flags.iter().find(|(_, known, _)| *known == key);
        found.map(|(_, _, text)| text.clone())
    }

    fn file_path(&self) -> Option<PathBuf> {
        let variable = || self.variables.iter().find(|(name, _)| name == FILE_VARIABLE);
        self.file.clone().or_else(|| variable().map(|(_, path)| path.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(variables: &[(&str, &str)], flags: &[(&'static str, &'static str, &str)]) -> Sources {
        let owned = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Sources {
            file: None,
            variables: owned.collect(),
            flags: flags.iter().map(|(flag, key, text)| (*flag, *key, (*text).to_owned())).collect(),
        }
    }

    fn problems_of(sources: &Sources) -> String {
        sources.load().expect_err("the settings have problems").to_string()
    }

    #[test]
    fn the_defaults_are_valid_and_every_key_is_read() {
        let config = sources(&[], &[]).load().unwrap();
        assert_eq!(config.http_address.to_string(), "127.0.0.1:8000");
        assert_eq!(config.rules, None);
        // A key that nobody reads could be set and would do nothing.
        let code = concat!(
            include_str!("sections.rs"),
            include_str!("edge.rs"),
            include_str!("kafka.rs"),
            include_str!("cluster.rs")
        );
        for key in sources(&[], &[]).settings().unwrap().keys() {
            assert!(code.contains(&format!("\"{key}\"")), "{key} is in default.toml and read nowhere");
        }
    }

    #[test]
    fn the_seeds_names_and_the_rule_s_names_both_work_and_the_rule_s_wins() {
        let config = sources(&[("MACHINE_ID", "old"), ("COLLECTOR_COLLECTION_INTERVAL", "10")], &[]).load().unwrap();
        assert_eq!(config.collector.machine.as_str(), "old");
        assert_eq!(config.collector.interval.as_secs(), 10);
        let both = [("MACHINE_ID", "old"), ("COLLECTOR_MACHINE_ID", "new"), ("HUB_JOURNAL_QUOTA", "1GiB")];
        let config = sources(&both, &[("--data-dir", "data_dir", "/d")]).load().unwrap();
        assert_eq!(config.collector.machine.as_str(), "new");
        assert_eq!(config.journal.quota_bytes, 1 << 30);
        assert_eq!(config.journal.dir.to_str(), Some("/d/journal"));
    }

    #[test]
    fn the_services_are_described_only_when_asked_for() {
        let described = |variables| sources(variables, &[]).load().unwrap().ingest.streams.reflection;
        assert!(!described(&[]));
        assert!(described(&[("HUB_GRPC_REFLECTION", "true")]));
    }

    #[test]
    fn a_cluster_s_service_addresses_are_not_taken_for_settings() {
        let cluster = [("HUB_PORT", "tcp://10.0.0.1:80"), ("HUB_SERVICE_HOST", "10.0.0.1"), ("HUB_PORT_80_TCP", "x")];
        sources(&cluster, &[]).load().unwrap();
        let text = problems_of(&sources(&[("HUB_DATADIR", "/d")], &[]));
        assert!(text.contains("did you mean \"HUB_DATA_DIR\"?"), "{text}");
    }

    #[test]
    fn values_that_contradict_each_other_are_problems() {
        let cases: [(&'static str, &str, &str); 7] = [
            ("data_dir", "", "data_dir is empty"),
            ("grpc.address", "127.0.0.1:8000", "the same as http.address"),
            ("journal.quota", "100MiB", "less than two segments"),
            ("history.minute", "1h", "history.minute is shorter than history.raw"),
            ("history.hour", "2d", "history.hour is shorter than history.minute"),
            ("pipeline.horizon", "2s", "shorter than pipeline.lateness"),
            ("collector.tags", "db", "write tags as name=value"),
        ];
        for (key, text, problem) in cases {
            let found = problems_of(&sources(&[], &[("--x", key, text)]));
            assert!(found.contains(problem), "{key}={text}: {found}");
        }
    }

    #[test]
    fn history_is_not_off_and_on_a_server_at_once() {
        let off = ("--x", "history.enabled", "false");
        sources(&[], &[off]).load().unwrap();
        let server = ("--y", "timescale.url", "postgres://u@localhost/d");
        assert!(problems_of(&sources(&[], &[off, server])).contains("leave one of them out"));
    }

    #[test]
    fn other_machines_may_connect_only_when_somebody_says_so() {
        let open = ("--grpc-address", "grpc.address", "0.0.0.0:50051");
        assert!(problems_of(&sources(&[], &[open])).contains("accept the risk with --insecure"));
        sources(&[], &[open, ("--insecure", "insecure", "true")]).load().unwrap();
    }

    #[test]
    fn what_has_no_meaning_here_is_known_by_name() {
        let config = sources(&[("AGGREGATOR_URL", "hub:50051")], &[]).load().unwrap();
        assert_eq!(config.unused, ["collector.aggregator_url"]);
    }

    #[test]
    fn an_edge_needs_a_token_an_allow_list_and_encryption() {
        assert!(sources(&[("EDGE_TOKEN", "of-the-edge-next-door")], &[]).load().unwrap().edge.is_none());
        let token = ("EDGE_TOKEN", "0123456789abcdef");
        let (url, machines) = (("EDGE_URL", "wss://status.example"), ("HUB_EDGE_MACHINES", "web-*,db-1"));
        let config = sources(&[url, token, machines, ("HUB_EDGE_NAMES", "web-*=Web")], &[]).load().unwrap();
        assert!(config.unused.is_empty());
        let shown = format!("{:?}", config.edge.unwrap());
        assert!(shown.contains("status.example") && !shown.contains("0123456789"), "{shown}");
        assert!(problems_of(&sources(&[url, machines], &[])).contains("edge.token is not"));
        assert!(problems_of(&sources(&[url, token], &[])).contains("edge.machines is empty"));
        let short = problems_of(&sources(&[url, ("EDGE_TOKEN", "hunter2"), machines], &[]));
        assert!(short.contains("at least 16") && !short.contains("hunter2"), "{short}");
        let open = [("EDGE_URL", "ws://status.example"), token, machines];
        assert!(problems_of(&sources(&open, &[])).contains("without encryption"));
        let print = sources(&[url, token], &[]).settings().unwrap().print();
        assert!(!print.contains("0123456789"), "{print}");
    }

    #[test]
    fn redis_is_used_when_its_url_is_set_and_a_wrong_one_is_refused_without_its_password() {
        assert!(sources(&[], &[]).load().unwrap().redis.is_none());
        let url = "rediss://hub:hunter2@cache:7000";
        let config = sources(&[("REDIS_URL", url), ("HUB_REDIS_PREFIX", "eu:")], &[]).load().unwrap();
        assert!(config.unused.is_empty());
        let shown = format!("{:?}", config.redis.unwrap());
        assert!(shown.contains("cache:7000") && !shown.contains("hunter2"), "{shown}");
        let print = sources(&[("REDIS_URL", url)], &[]).settings().unwrap().print();
        assert!(print.contains("rediss://hub:***@cache:7000"), "{print}");
        let problems = problems_of(&sources(&[("REDIS_URL", "http://:hunter2@cache")], &[]));
        assert!(problems.contains("redis://HOST:6379") && !problems.contains("hunter2"), "{problems}");
    }
    #[test]
    fn kafka_takes_a_program_that_was_built_with_it() {
        assert!(sources(&[], &[]).load().unwrap().kafka.is_none());
        let variables = [("KAFKA_URL", "kafka://a:9092,b:9092"), ("HUB_KAFKA_PREFIX", "eu.")];
        if cfg!(feature = "kafka") {
            let config = sources(&variables, &[]).load().unwrap();
            assert!(config.unused.is_empty());
            let kafka = config.kafka.unwrap();
            assert_eq!(kafka.cluster.address.brokers(), "a:9092,b:9092");
            assert_eq!(kafka.cluster.topic(sinks::bus::Topic::Presence), "eu.presence");
        } else {
            let problems = problems_of(&sources(&variables, &[]));
            assert!(problems.contains("--features kafka") && problems.contains("KAFKA_URL"), "{problems}");
        }
        let problems = problems_of(&sources(&[("KAFKA_URL", "kafka://me:hunter2@a")], &[]));
        assert!(problems.contains("kafka://HOST:9092") && !problems.contains("hunter2"), "{problems}");
    }
}
