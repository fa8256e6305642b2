//! Config: what an edge runs with, from defaults, environment and flags. All that is wrong is reported at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use runtime::config::{EnvNames, Layers, Problems, Settings};
use runtime::telemetry::LogFormat;

use crate::relay::{self, CrowdLimits, Network, TokenHash};

/// Every key with its default.
pub const DEFAULTS: &str = include_str!("default.toml");

/// What belongs to the hub, which may share an environment with the edge.
const OF_THE_HUB: &[&str] = &["EDGE_URL"];

/// What an edge runs with.
#[derive(Debug, Clone)]
pub struct Config {
    pub http_address: SocketAddr,
    pub relay: relay::Settings,
    pub log_level: String,
    pub log_format: LogFormat,
}

impl Config {
    /// Reads the environment and the flags (`--name`, key, text), lowest first.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(
        variables: impl IntoIterator<Item = (String, String)>,
        flags: &[(&str, &str, String)],
    ) -> Result<Self, Problems> {
        let mut layers = Layers::new(DEFAULTS, &[])?;
        let known = Layers::new(DEFAULTS, &[])?.settings();
        let names: Vec<(String, &str)> = known.keys().map(|key| (variable_of(key), key)).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|(name, key)| (name.as_str(), *key)).collect();
        let ours = variables.into_iter().filter(|(name, _)| is_setting(name));
        layers.env(EnvNames { pairs: &pairs, prefixes: &["EDGE_"] }, ours);
        for (name, key, text) in flags {
            layers.flag(name, key, text);
        }
        let mut settings = layers.settings();
        let config = Self::of(&mut settings);
        settings.finish()?;
        // What stands in for a bad value is never used: `finish` refuses the whole.
        Ok(config.expect("settings without problems make a configuration"))
    }

    fn of(settings: &mut Settings) -> Option<Self> {
        let http_address = address(settings);
        let token = token(settings);
        let limits = CrowdLimits {
            viewers_max: settings.count("viewers_max", 1..=1_000_000),
            viewers_per_address_max: settings.count("viewers_per_address_max", 1..=1_000_000),
            connections_per_address_max: settings.count("connections_per_address_max", 1..=100_000),
            requests_per_s: whole(settings, "requests_per_s"),
            requests_burst: whole(settings, "requests_burst"),
        };
        let trusted_proxies = proxies(settings);
        let log_level = settings.text("log_level");
        let format = |name: &str| LogFormat::parse(name).ok_or("use auto, json or text");
        let log_format = settings.parsed("log_format", format).unwrap_or_default();
        let relay = relay::Settings { token: token?, limits, trusted_proxies };
        Some(Self { http_address: http_address?, relay, log_level, log_format })
    }
}

fn variable_of(key: &str) -> String {
    let name = key.to_ascii_uppercase();
    if key.starts_with("log_") { name } else { format!("EDGE_{name}") }
}

/// Kubernetes gives every pod the addresses of services; of one named `edge` they start as our settings do.
fn is_setting(variable: &str) -> bool {
    let is_of_the_hub = OF_THE_HUB.iter().any(|name| variable.strip_suffix("_FILE").unwrap_or(variable) == *name);
    !is_of_the_hub && !["EDGE_SERVICE_", "EDGE_PORT"].iter().any(|prefix| variable.starts_with(prefix))
}

/// An address that other machines can reach is refused until somebody says that this is meant.
fn address(settings: &mut Settings) -> Option<SocketAddr> {
    let is_insecure = settings.flag("insecure");
    let address = settings.parsed("http_address", parse_address)?;
    if !address.ip().is_loopback() && !is_insecure {
        let message = format!(
            "is {address}, which other machines can reach, and an edge has no TLS of its own; listen on 127.0.0.1 behind a proxy that has \
             it, or accept the risk with --insecure"
        );
        settings.reject("http_address", message);
    }
    Some(address)
}

/// As the hub's addresses are written: no names, except for this machine.
fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    let expected = "expected an IP address and a port, like 127.0.0.1:8080, [::1]:8080 or localhost:8080";
    match text.strip_prefix("localhost:") {
        Some(port) => {
            let port = port.parse().map_err(|_error| expected)?;
            Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        }
        None => text.parse().map_err(|_error| expected),
    }
}

/// Never shown, not even where it is wrong.
fn token(settings: &mut Settings) -> Option<TokenHash> {
    let Some(token) = settings.optional_text("token") else {
        settings.reject("token", "is not set; give the hub and the edge the same EDGE_TOKEN or EDGE_TOKEN_FILE");
        return None;
    };
    match TokenHash::of(&token) {
        Ok(hash) => Some(hash),
        Err(problem) => {
            settings.reject("token", problem);
            None
        }
    }
}

fn proxies(settings: &mut Settings) -> Vec<Network> {
    let mut networks = Vec::new();
    for text in settings.texts("trusted_proxies") {
        match Network::parse(&text) {
            Ok(network) => networks.push(network),
            Err(problem) => settings.reject("trusted_proxies", problem),
        }
    }
    networks
}

fn whole(settings: &mut Settings, key: &str) -> u32 {
    u32::try_from(settings.count(key, 1..=1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const TOKEN: (&str, &str) = ("EDGE_TOKEN", "0123456789abcdef");

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Config::read(variables, &[]).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_edge_needs_a_token_and_has_defaults_for_the_rest() {
        let config =
            read(&[TOKEN, ("EDGE_URL", "wss://edge"), ("EDGE_PORT", "tcp://10.0.0.1:80"), ("PATH", "/bin")]).unwrap();
        assert_eq!(config.http_address.to_string(), "127.0.0.1:8080");
        assert_eq!(config.relay.limits, CrowdLimits::default());
        assert!(read(&[]).unwrap_err().contains("token is not set; give the hub and the edge the same EDGE_TOKEN"));
    }

    #[test]
    fn other_machines_may_connect_only_when_somebody_says_so() {
        let open = ("EDGE_HTTP_ADDRESS", "0.0.0.0:80");
        assert!(read(&[TOKEN, open]).unwrap_err().contains("accept the risk with --insecure"));
        read(&[TOKEN, open, ("EDGE_INSECURE", "true")]).unwrap();
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_and_the_token_never() {
        let problems = read(&[
            ("EDGE_TOKEN", "hunter2"),
            ("EDGE_HTTP_ADDRESS", "edge:80"),
            ("EDGE_VIEWERS_MAX", "0"),
            ("EDGE_TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
            ("EDGE_VIEWER_MAX", "1"),
            ("LOG_FORMAT", "yaml"),
        ])
        .unwrap_err();
        assert!(!problems.contains("hunter2"));
        expect![[r#"
            6 problems with the settings
              environment EDGE_VIEWER_MAX: unknown variable; did you mean "EDGE_VIEWERS_MAX"?
              environment EDGE_HTTP_ADDRESS: http_address is "edge:80": expected an IP address and a port, like 127.0.0.1:8080, [::1]:8080 or localhost:8080
              environment EDGE_TOKEN: token has 7 characters; use at least 16 that nobody can guess, such as those of `openssl rand -hex 32`
              environment EDGE_VIEWERS_MAX: viewers_max is 0, not a whole number from 1 to 1000000
              environment EDGE_TRUSTED_PROXIES: trusted_proxies "proxy" is no address and no network; write 10.0.0.7, 10.0.0.0/8 or fd00::/8
              environment LOG_FORMAT: log_format is "yaml": use auto, json or text"#]].assert_eq(&problems);
    }
}
