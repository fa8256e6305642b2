//! Config: what a collector runs with, from defaults, environment and flags. All that is wrong is reported at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use model::{Labels, MachineId};
use runtime::config::{EnvNames, Layers, Problems};
use runtime::telemetry::LogFormat;

use crate::control::AllowList;
use crate::remote::INTERVALS;
use crate::sources::host;

pub const DEFAULT_PORT: u16 = 50_051;
/// A spool below this would drop whole hours at a time.
const SPOOL_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;
pub const SPOOL_BYTES_DEFAULT: u64 = 64 << 20;
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);

const ENV: &[(&str, &str)] = &[
    ("COLLECTOR_MACHINE_ID", "machine_id"),
    ("MACHINE_ID", "machine_id"),
    ("COLLECTOR_AGGREGATOR_URL", "aggregator_url"),
    ("AGGREGATOR_URL", "aggregator_url"),
    ("COLLECTOR_COLLECTION_INTERVAL", "collection_interval"),
    ("COLLECTOR_TAGS", "tags"),
    ("COLLECTOR_SPOOL_DIR", "spool_dir"),
    ("COLLECTOR_SPOOL_BYTES", "spool_bytes"),
    ("COLLECTOR_ALLOW", "allow"),
    ("LOG_LEVEL", "log_level"),
    ("LOG_FORMAT", "log_format"),
];

/// What a collector runs with.
#[derive(Debug, Clone)]
pub struct Settings {
    pub machine: MachineId,
    /// `host:port`.
    pub hub_address: String,
    pub interval: Duration,
    pub tags: BTreeMap<String, String>,
    /// `None`: what is not acknowledged waits in memory only, and a restart is a new session.
    pub spool_dir: Option<PathBuf>,
    pub spool_bytes: u64,
    pub allow: AllowList,
}

/// How a program of its own logs.
#[derive(Debug, Clone)]
pub struct LogSettings {
    pub level: String,
    pub format: LogFormat,
}

impl Settings {
    /// The defaults, for a collector that runs inside another program.
    pub fn new(machine: MachineId, hub_address: impl Into<String>) -> Self {
        Self {
            machine,
            hub_address: hub_address.into(),
            interval: INTERVAL_DEFAULT,
            tags: BTreeMap::new(),
            spool_dir: None,
            spool_bytes: SPOOL_BYTES_DEFAULT,
            allow: AllowList::all(),
        }
    }

    /// Reads the environment and the flags (`--name`, key, text), lowest first.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(
        variables: impl IntoIterator<Item = (String, String)>,
        flags: &[(&str, &str, String)],
    ) -> Result<(Self, LogSettings), Problems> {
        let mut layers = Layers::new(include_str!("default.toml"), &[])?;
        let names = EnvNames { pairs: ENV, prefixes: &["COLLECTOR_"] };
        layers.env(names, variables.into_iter().filter(|(name, _)| !is_of_kubernetes(name)));
        for (name, key, text) in flags {
            layers.flag(name, key, text);
        }
        let mut read = layers.settings();
        let machine = match read.optional_text("machine_id") {
            Some(_) => read.parsed("machine_id", MachineId::parse),
            None => Some(this_machine()),
        };
        let hub_address = read.parsed("aggregator_url", hub_address);
        let tags = match read.optional_text("tags") {
            Some(_) => read.parsed("tags", tags),
            None => Some(BTreeMap::new()),
        };
        let allow = match read.optional_text("allow") {
            Some(_) => read.parsed("allow", AllowList::parse),
            None => AllowList::parse("").ok(),
        };
        let settings = Self {
            interval: read.duration("collection_interval", INTERVALS),
            spool_dir: read.optional_text("spool_dir").map(PathBuf::from),
            spool_bytes: read.size_bytes("spool_bytes", SPOOL_BYTES),
            tags: tags.unwrap_or_default(),
            // What stands in for a bad value is never used: `finish` refuses the whole.
            allow: allow.unwrap_or_else(AllowList::all),
            ..Self::new(machine.unwrap_or_else(this_machine), hub_address.unwrap_or_default())
        };
        let format = |name: &str| LogFormat::parse(name).ok_or("use auto, json or text");
        let log = LogSettings {
            level: read.text("log_level"),
            format: read.parsed("log_format", format).unwrap_or_default(),
        };
        read.finish()?;
        Ok((settings, log))
    }
}

/// This machine's host name, made into a lawful id; `unnamed` where it has none.
pub fn this_machine() -> MachineId {
    let name = host::host_name().unwrap_or_default();
    lawful(&name).unwrap_or_else(|| MachineId::parse("unnamed").expect("a plain word is lawful"))
}

/// What a machine id cannot hold becomes a hyphen.
fn lawful(name: &str) -> Option<MachineId> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "._:-".contains(c) { c } else { '-' }
    };
    let name: String = name.trim().chars().map(plain).take(model::ids::MACHINE_ID_BYTES_MAX).collect();
    MachineId::parse(name.trim_start_matches(['.', '_', ':', '-'])).ok()
}

/// Kubernetes gives every pod the addresses of services; of one named `collector` they start as our settings do.
fn is_of_kubernetes(variable: &str) -> bool {
    ["COLLECTOR_SERVICE_", "COLLECTOR_PORT"].iter().any(|prefix| variable.starts_with(prefix))
}

/// `host`, `host:port`, `http://host:port/`, `[::1]:50051`.
fn hub_address(url: &str) -> Result<String, &'static str> {
    let address = match url.trim().split_once("://") {
        None => url.trim(),
        Some(("http" | "grpc", address)) => address,
        Some(("https" | "grpcs", _)) => {
            return Err("TLS to the hub is not built in yet; use http:// on a private network");
        }
        Some(_) => return Err("use host:port or http://host:port"),
    };
    let address = address.strip_suffix('/').unwrap_or(address);
    let lawful = |c: char| c.is_ascii_alphanumeric() || ".-_:[]%".contains(c);
    if address.is_empty() || !address.chars().all(lawful) {
        return Err("use host:port or http://host:port");
    }
    // The colons of an IPv6 address are inside brackets.
    let after_host = address.rsplit_once(']').map_or(address, |(_, rest)| rest);
    match after_host.rsplit_once(':') {
        None => Ok(format!("{address}:{DEFAULT_PORT}")),
        Some((host, _)) if host.contains(':') => Err("put an IPv6 address in brackets: [::1]:50051"),
        Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(address.to_owned()),
        Some(_) => Err("the port is a number from 1 to 65535"),
    }
}

/// `name=value` separated by commas, by the rules of labels.
fn tags(list: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = Vec::new();
    for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not name=value"))?;
        pairs.push((name.trim(), value.trim()));
    }
    Labels::parse(pairs.iter().copied()).map_err(|error| error.to_string())?;
    Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Settings::read(variables, &[]).map(|(settings, _)| settings).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_names_of_old_keep_working_and_the_long_ones_win() {
        let settings = read(&[
            ("MACHINE_ID", "old"),
            ("COLLECTOR_MACHINE_ID", "db-1"),
            ("AGGREGATOR_URL", "http://hub.example/"),
            ("COLLECTOR_COLLECTION_INTERVAL", "10"),
            ("COLLECTOR_TAGS", "role=db, site=eu"),
            ("COLLECTOR_ALLOW", ""),
            ("COLLECTOR_SERVICE_HOST", "10.0.0.1"),
            ("PATH", "/bin"),
        ])
        .unwrap();
        assert_eq!((settings.machine.as_str(), settings.hub_address.as_str()), ("db-1", "hub.example:50051"));
        assert_eq!(settings.interval, Duration::from_secs(10));
        assert_eq!(settings.tags.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>(), ["role=db", "site=eu"]);
        assert_eq!(settings.allow, AllowList::parse("").unwrap());
    }

    #[test]
    fn the_defaults_are_those_of_a_collector_inside_another_program() {
        let (read, inside) = (read(&[]).unwrap(), Settings::new(this_machine(), "localhost:50051"));
        assert_eq!(format!("{read:?}"), format!("{inside:?}"));
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let problems = read(&[
            ("COLLECTOR_MACHINE_ID", "a b"),
            ("COLLECTOR_AGGREGATOR_URL", "https://hub"),
            ("COLLECTOR_COLLECTION_INTERVAL", "100ms"),
            ("COLLECTOR_TAGS", "role"),
            ("COLLECTOR_SPOOL_BYTES", "1KiB"),
            ("COLLECTOR_ALLOW", "shell"),
            ("COLLECTOR_SPOL_DIR", "/x"),
            ("LOG_FORMAT", "yaml"),
        ])
        .unwrap_err();
        expect![[r#"
            8 problems with the settings
              environment COLLECTOR_SPOL_DIR: unknown variable; did you mean "COLLECTOR_SPOOL_DIR"?
              environment COLLECTOR_MACHINE_ID: machine_id is "a b": machine id "a b" is not valid: use 1 to 128 of A-Z a-z 0-9 . _ : - and start with a letter or digit
              environment COLLECTOR_AGGREGATOR_URL: aggregator_url is "https://hub": TLS to the hub is not built in yet; use http:// on a private network
              environment COLLECTOR_TAGS: tags is "role": "role" is not name=value
              environment COLLECTOR_ALLOW: allow is "shell": "shell" is none of pause, resume, collect_now, resend_layout, focus
              environment COLLECTOR_COLLECTION_INTERVAL: collection_interval is 100ms, not from 1s to 1h
              environment COLLECTOR_SPOOL_BYTES: spool_bytes is 1KiB, not from 1MiB to 1TiB
              environment LOG_FORMAT: log_format is "yaml": use auto, json or text"#]].assert_eq(&problems);
    }

    #[test]
    fn an_address_may_come_as_people_write_it() {
        for (given, address) in [
            ("hub", "hub:50051"),
            ("hub:1", "hub:1"),
            ("http://10.0.0.7:50051/", "10.0.0.7:50051"),
            ("[::1]", "[::1]:50051"),
            ("grpc://[fe80::1]:7", "[fe80::1]:7"),
        ] {
            assert_eq!(hub_address(given).as_deref(), Ok(address));
        }
        for bad in ["", "http://", "hub:", "hub:x", "hub:0", "::1", "a b", "ftp://hub", "hub/path", "user@hub"] {
            assert!(hub_address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn any_host_name_becomes_a_lawful_machine_id() {
        for (name, id) in [("web-1\n", "web-1"), ("my host", "my-host"), ("_x", "x"), ("büro", "b-ro")] {
            assert_eq!(lawful(name).unwrap().as_str(), id);
        }
        assert_eq!(lawful(&"x".repeat(500)).unwrap().as_str().len(), 128);
        assert!(lawful("...").is_none() && lawful("").is_none());
    }
}
