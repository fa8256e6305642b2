//! Where Redis is, how it is spoken to, and for how long it is waited for.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsCertificates};

use super::keys::Keys;
use super::link::unavailable;
use crate::error::SinkError;

/// Redis refuses no length, but a person reads these keys.
const PREFIX_BYTES_MAX: usize = 64;

#[derive(Debug, Clone)]
pub struct RedisSettings {
    pub address: RedisAddress,
    pub keys: Keys,
    /// Certificates, PEM, of who signed the server's; none: the system's.
    pub ca_file: Option<PathBuf>,
    pub connect_within: Duration,
    /// For the answer to one pipeline, some hundred commands.
    pub answer_within: Duration,
}

/// One server, or some nodes of a cluster. Its text is never shown: it may hold a password.
#[derive(Clone)]
pub struct RedisAddress {
    pub(crate) nodes: Vec<ConnectionInfo>,
    pub(crate) is_cluster: bool,
    pub(crate) is_encrypted: bool,
}

impl RedisSettings {
    pub fn new(address: RedisAddress) -> Self {
        Self {
            address,
            keys: Keys::new(""),
            ca_file: None,
            connect_within: Duration::from_secs(3),
            answer_within: Duration::from_secs(5),
        }
    }

    pub(crate) fn certificates(&self, sink: &'static str) -> Result<Option<TlsCertificates>, SinkError> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let pem = std::fs::read(path).map_err(|error| SinkError::Broken {
            sink,
            action: "read redis.ca_file",
            advice: format!("check that {} is there and may be read", path.display()),
            source: error.into(),
        })?;
        Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
    }

    /// The server, or the first node.
    pub(crate) fn node(&self, sink: &'static str) -> Result<Client, SinkError> {
        let failed = |error| unavailable(sink, "read the address", error);
        let node = self.address.nodes[0].clone();
        match self.certificates(sink)?.filter(|_| self.address.is_encrypted) {
            Some(certificates) => Client::build_with_tls(node, certificates).map_err(failed),
            None => Client::open(node).map_err(failed),
        }
    }
}

impl RedisAddress {
    /// `redis://`, `rediss://` (TLS), `redis-cluster://` and `rediss-cluster://`, the latter two with one or more nodes separated by commas:
    /// `[user][:password@]host[:port][,host:port][/database]`.
    ///
    /// # Errors
    /// What to write instead, without the text itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "write redis://HOST:6379, rediss://HOST:6379 (TLS) or redis-cluster://HOST:6379,HOST:6379, \
                        with USER:PASSWORD@ before the host where the server asks for it";
        let (scheme, rest) = text.split_once("://").ok_or(expected)?;
        let (scheme, is_cluster) = match scheme {
            "redis" | "valkey" => ("redis", false),
            "rediss" | "valkeys" => ("rediss", false),
            "redis-cluster" => ("redis", true),
            "rediss-cluster" => ("rediss", true),
            _ => return Err(format!("{scheme}:// is nothing that Redis speaks; {expected}")),
        };
        if rest.contains('#') {
            return Err(
                "a # in it has no meaning (write %23 in a password); the server's certificate is always checked, \
                        by redis.ca_file where the system does not know it"
                    .to_owned(),
            );
        }
        let (login, hosts) = rest.rsplit_once('@').map_or(("", rest), |(login, hosts)| (login, hosts));
        let at = if login.is_empty() { "" } else { "@" };
        let (hosts, path) = hosts.split_at(hosts.find(['/', '?']).unwrap_or(hosts.len()));
        if !is_cluster && hosts.contains(',') {
            return Err("several hosts are a cluster's: write redis-cluster://".to_owned());
        }
        let node = |host: &str| -> Result<ConnectionInfo, String> {
            let info = format!("{scheme}://{login}{at}{host}{path}");
            // What the library says could hold a part of the text.
            let info = info.into_connection_info().map_err(|_error| expected.to_owned())?;
            let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            // The end of a pipeline does not wait for the answer to its beginning.
            let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
            Ok(info.set_redis_settings(redis.set_lib_name("sysmonstm", env!("CARGO_PKG_VERSION"))))
        };
        let nodes = hosts.split(',').map(node).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { nodes, is_cluster, is_encrypted: scheme == "rediss" })
    }
}

/// Checks a prefix of all keys and channels.
///
/// # Errors
/// What is allowed.
pub fn parse_prefix(text: &str) -> Result<Keys, String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.');
    if PREFIX_BYTES_MAX < text.len() || !text.bytes().all(is_fine) {
        return Err(format!("use up to {PREFIX_BYTES_MAX} of A-Z a-z 0-9 : - _ ."));
    }
    Ok(Keys::new(text))
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<String> = self.nodes.iter().map(|node| node.addr().to_string()).collect();
        let Self { is_cluster, is_encrypted, .. } = self;
        write!(f, "RedisAddress({}, cluster={is_cluster}, tls={is_encrypted})", nodes.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_address_is_read() {
        let cases = [
            ("redis://localhost", "RedisAddress(localhost:6379, cluster=false, tls=false)"),
            ("rediss://u:p%40@cache.example:6380/2", "RedisAddress(cache.example:6380, cluster=false, tls=true)"),
            ("redis-cluster://:p@a:1,b:2", "RedisAddress(a:1,b:2, cluster=true, tls=false)"),
            ("rediss-cluster://[::1]:7", "RedisAddress(::1:7, cluster=true, tls=true)"),
        ];
        for (text, shown) in cases {
            assert_eq!(format!("{:?}", RedisAddress::parse(text).unwrap()), shown, "{text}");
        }
        let address = RedisAddress::parse("redis-cluster://u:p%40@a:1,b:2").unwrap();
        for node in &address.nodes {
            let redis = node.redis_settings();
            assert_eq!((redis.username(), redis.password()), (Some("u"), Some("p@")));
            assert_eq!(redis.protocol(), ProtocolVersion::RESP3);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for text in [
            "",
            "localhost:6379",
            "http://u:hunter2@a",
            "redis://u:hunter2@",
            "redis://:hunter2@a,b",
            "redis://:hunter2@a/x",
            "rediss://:hunter2@a#insecure",
        ] {
            let problem = RedisAddress::parse(text).unwrap_err();
            assert!(!problem.contains("hunter2") && problem.contains("redis"), "{text}: {problem}");
        }
        assert!(parse_prefix("eu:1").is_ok() && parse_prefix("a b").is_err() && parse_prefix("{a}").is_err());
    }
}
