//! Servers: where the live services of a test run are, and a folder that belongs to one test.
//!
//! `scripts/with-servers.sh` starts the services and says where in two variables. A test that needs one fails without it: it is
//! built only with the feature `integration`, so whoever runs it asked for the service.

use tempfile::TempDir;

const POSTGRES_VARIABLE: &str = "TEST_POSTGRES_URL";
const TIMESCALE_VARIABLE: &str = "TIMESCALE_TEST_URL";
const REDIS_VARIABLE: &str = "TEST_REDIS_URL";

/// The run has no such service.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is not set; run the tests with `make integration`, or under `scripts/with-servers.sh COMMAND`")]
pub struct MissingServer {
    pub variable: &'static str,
}

/// A PostgreSQL 15 whose user may create databases. One server serves all tests of a run: each makes its own database.
///
/// # Errors
/// [`MissingServer`] outside of `with-servers.sh`.
pub fn postgres_url() -> Result<String, MissingServer> {
    address(POSTGRES_VARIABLE)
}

/// A server with TimescaleDB whose user may create schemas; none unless somebody names one. No script starts it: few machines have the extension.
pub fn timescale_url() -> Option<String> {
    address(TIMESCALE_VARIABLE).ok()
}

/// A Redis. One server serves all tests of a run: each puts its own prefix before its keys and channels.
///
/// # Errors
/// [`MissingServer`] outside of `with-servers.sh`.
pub fn redis_url() -> Result<String, MissingServer> {
    address(REDIS_VARIABLE)
}

/// An empty folder, gone when the value is dropped. Keep it in a variable for as long as anything uses the path.
///
/// # Errors
/// When the system's temporary folder cannot be written.
pub fn private_dir() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("sysmonstm-test-").tempdir()
}

fn address(variable: &'static str) -> Result<String, MissingServer> {
    #[expect(clippy::disallowed_methods, reason = "the test run's own environment, which no program reads")]
    std::env::var(variable).ok().filter(|url| !url.is_empty()).ok_or(MissingServer { variable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_server_says_how_to_get_one() {
        let missing = address("TEST_NO_SUCH_SERVER_URL").unwrap_err();
        assert!(missing.to_string().starts_with("TEST_NO_SUCH_SERVER_URL is not set; run the tests with"));
    }

    #[test]
    fn two_private_folders_are_two_and_leave_nothing_behind() {
        let (one, other) = (private_dir().unwrap(), private_dir().unwrap());
        let path = one.path().to_owned();
        assert_ne!(path, other.path());
        drop(one);
        assert!(!path.exists());
    }
}
