//! Where Kafka is, how events are named there, and for how long it is waited for.

use std::time::Duration;

use crate::bus::Topic;

const PREFIX_BYTES_MAX: usize = 64;

#[derive(Debug, Clone)]
pub struct KafkaSettings {
    pub address: KafkaAddress,
    /// Before each topic's name, for several hubs on one cluster.
    pub prefix: String,
    /// For a call: events taken, a subscription made.
    pub answer_within: Duration,
}

/// Some brokers of a cluster; they name the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaAddress(String);

impl KafkaSettings {
    pub fn new(address: KafkaAddress) -> Self {
        Self { address, prefix: String::new(), answer_within: Duration::from_secs(10) }
    }

    /// A topic's name on the cluster.
    pub fn topic(&self, topic: Topic) -> String {
        format!("{}{topic}", self.prefix)
    }
}

impl KafkaAddress {
    /// As clients take it: `host:port,host:port`.
    pub fn brokers(&self) -> &str {
        &self.0
    }

    /// `kafka://HOST:9092`, with more brokers separated by commas.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "write kafka://HOST:9092, with more brokers separated by commas";
        let (scheme, rest) = text.split_once("://").ok_or(expected)?;
        if scheme != "kafka" {
            return Err(format!("{scheme}:// is not spoken here (Kafka without TLS and login is); {expected}"));
        }
        if rest.contains('@') {
            return Err(format!("Kafka with a login is not spoken here; {expected}"));
        }
        let is_fine = |broker: &str| {
            let (host, port) = broker.rsplit_once(':').unwrap_or((broker, "9092"));
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:[]".contains(c))
                && port.parse::<u16>().is_ok()
        };
        let hosts = rest.trim_end_matches('/');
        if hosts.split(',').all(is_fine) { Ok(Self(hosts.to_owned())) } else { Err(expected.to_owned()) }
    }
}

/// A prefix of topics' names.
///
/// # Errors
/// When Kafka would refuse it.
pub fn parse_prefix(text: &str) -> Result<String, String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.len() <= PREFIX_BYTES_MAX && text.chars().all(is_fine) {
        Ok(text.to_owned())
    } else {
        Err(format!("use up to {PREFIX_BYTES_MAX} of A-Z a-z 0-9 . _ -"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_broker_or_more() {
        for (text, expected) in [
            ("kafka://localhost:9092", Some("localhost:9092")),
            ("kafka://a:9092,b.example:9093/", Some("a:9092,b.example:9093")),
            ("kafka://a", Some("a")),
            ("kafka://", None),
            ("kafka://a:x", None),
            ("kafka://me:s3cret@a:9092", None),
            ("kafkas://a:9092", None),
            ("a:9092", None),
        ] {
            let parsed = KafkaAddress::parse(text);
            assert_eq!(parsed.as_ref().ok().map(|address| address.0.as_str()), expected, "{text}");
            assert!(
                parsed.is_ok() || parsed.is_err_and(|said| said.contains("kafka://HOST") && !said.contains("s3cret"))
            );
        }
        assert!(parse_prefix("eu.").is_ok() && parse_prefix("eu:").is_err());
    }
}
