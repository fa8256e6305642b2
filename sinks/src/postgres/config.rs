//! Where the database is, and the bounds of what is asked of it, with their reasons.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use model::query::Tier;
use runtime::config::mask_url;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// A server that does not answer a connection by then is away.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// After so long without an answer to what was sent, the network is taken to be cut.
const NETWORK_PATIENCE: Duration = Duration::from_secs(30);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

/// An address that cannot be used, and why. Never shows the address itself, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(String);

/// A database's address: `postgres://user:password@host:5432/database?sslmode=require`.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(super) config: Config,
    /// Whether the connection is encrypted, and the server's certificate checked.
    pub(super) is_encrypted: bool,
    /// The authority that signed the server's certificate; without one those of the system.
    pub(super) authority: Option<PathBuf>,
    shown: String,
}

impl PostgresUrl {
    /// Reads an address. `sslmode` is `disable` (the default) or `require`, `verify-ca`, `verify-full`, which all check the certificate;
    /// `sslrootcert` names a PEM file. Everything else is libpq's, such as `options` and `target_session_attrs`.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !is_url {
            return Err(InvalidUrl("is no address of a database; write postgres://user@host:5432/database".to_owned()));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut is_encrypted, mut authority, mut rest) = (false, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", mode)) => is_encrypted = is_encrypting(mode)?,
                Some(("sslrootcert", path)) => authority = Some(PathBuf::from(path)),
                _ => rest.push(pair),
            }
        }
        let plain = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        // The driver's message names the parameter and not its value.
        let mut config: Config = plain.parse().map_err(|error| InvalidUrl(format!("is no address: {error}")))?;
        if config.get_hosts().is_empty() {
            return Err(InvalidUrl("names no host; write postgres://user@host:5432/database".to_owned()));
        }
        config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
        config.connect_timeout(CONNECT_WITHIN).tcp_user_timeout(NETWORK_PATIENCE).keepalives_idle(KEEPALIVE_AFTER);
        if config.get_application_name().is_none() {
            config.application_name("sysmonstm");
        }
        Ok(Self { config, is_encrypted, authority, shown: mask_url(url) })
    }
}

/// The password is hidden.
impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The password is hidden.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn is_encrypting(mode: &str) -> Result<bool, InvalidUrl> {
    match mode {
        "disable" => Ok(false),
        "require" | "verify-ca" | "verify-full" => Ok(true),
        "allow" | "prefer" => Err(InvalidUrl(format!(
            "has sslmode={mode}, which may silently go without encryption; write sslmode=require or sslmode=disable"
        ))),
        _ => Err(InvalidUrl(format!("has sslmode={mode:.20}; write sslmode=require or sslmode=disable"))),
    }
}

#[derive(Debug, Clone)]
pub struct PostgresSettings {
    pub url: PostgresUrl,
    /// Whose cursor it is: the identity of the data folder, so that two hubs may share a database.
    pub hub: String,
    pub process: i32,
    pub raw_kept: Duration,
    pub minute_kept: Duration,
    pub hour_kept: Duration,
    pub alerts_kept: Duration,
    pub dead_letters_kept: Duration,
    /// A flood of refused samples must not fill the disk.
    pub dead_letters_max: u32,
    /// Connections that read, hence queries at once.
    pub readers: usize,
    /// A query ends with an error after this time, on the server too.
    pub query_within: Duration,
    /// A statement that writes ends after this time; a batch may take several.
    pub statement_within: Duration,
}

impl PostgresSettings {
    pub fn new(url: PostgresUrl, hub: impl Into<String>) -> Self {
        Self {
            url,
            hub: hub.into(),
            process: 0,
            raw_kept: DAY,
            minute_kept: 7 * DAY,
            hour_kept: 90 * DAY,
            alerts_kept: 90 * DAY,
            dead_letters_kept: 30 * DAY,
            dead_letters_max: 20_000,
            readers: 4,
            query_within: Duration::from_secs(5),
            statement_within: Duration::from_secs(60),
        }
    }

    pub(super) fn kept(&self, tier: Tier) -> Duration {
        match tier {
            Tier::Raw => self.raw_kept,
            Tier::Minute => self.minute_kept,
            Tier::Hour => self.hour_kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_it_asks_for_and_hides_its_password() {
        let url =
            PostgresUrl::parse("postgres://me:s3cret@db:5433/m?sslmode=verify-full&sslrootcert=/etc/ca.pem").unwrap();
        assert!(url.is_encrypted && url.authority.as_deref() == Some(std::path::Path::new("/etc/ca.pem")));
        assert_eq!((url.config.get_dbname(), url.config.get_ports()), (Some("m"), &[5433][..]));
        for shown in [url.to_string(), format!("{url:?}"), format!("{:?}", PostgresSettings::new(url, "h"))] {
            assert!(!shown.contains("s3cret") && shown.contains("postgres://me:***@db"), "{shown}");
        }
        assert!(!PostgresUrl::parse("postgresql://me@db/m").unwrap().is_encrypted);
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_with_advice_and_not_shown() {
        for (url, advice) in [
            ("mysql://me:s3cret@db", "write postgres://"),
            ("postgres://me:s3cret@db/m?sslmode=prefer", "write sslmode=require"),
            ("postgres://me:s3cret@db/m?sslmode=x", "write sslmode=require"),
            ("postgres://me:s3cret@db:99999/m", "is no address"),
            ("postgres://me:s3cret@db/m?nonsense=1", "is no address"),
            ("postgres:///m", "names no host"),
        ] {
            let problem = PostgresUrl::parse(url).unwrap_err().to_string();
            assert!(problem.contains(advice) && !problem.contains("s3cret"), "{problem}");
        }
    }
}
