//! Request: what a client may say over the socket. Only `subscribe`, so far.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{Labels, MachineId, SeriesKey};

use super::board::Scope;
use super::message::Detail;

/// Bytes of one client message.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Machines that one subscription names; who wants more says `"*"`.
const MACHINES_MAX: usize = 256;
/// Metrics that one subscription names; who wants more takes them all.
const METRICS_MAX: usize = 64;
const RATE_MS_MAX: u64 = 60_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) scope: Scope,
    pub(crate) detail: Detail,
    /// Least time between two updates.
    pub(crate) rate: Duration,
    /// Where the client's picture stands, from an earlier connection.
    pub(crate) resume: Option<Resume>,
}

/// What a client had before its connection broke: it goes on from there, if this hub is still the one it had it from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Resume {
    pub(crate) instance: String,
    pub(crate) at: u64,
}

#[derive(serde::Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    Subscribe {
        #[serde(default = "everything")]
        machines: Vec<String>,
        #[serde(default)]
        detail: Option<Word>,
        #[serde(default)]
        metrics: Option<Vec<String>>,
        #[serde(default = "once_a_second")]
        rate_ms: u64,
        #[serde(default)]
        resume: Option<Resume>,
    },
}

/// How much of a machine.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Summary,
    Full,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

fn once_a_second() -> u64 {
    1_000
}

/// Reads a client's message, or says what is wrong with it and what to send.
pub(crate) fn parse(text: &str) -> Result<Subscription, String> {
    let Request::Subscribe {
        machines,
        detail,
        metrics,
        rate_ms,
        resume,
    } = serde_json::from_str(text).map_err(|error| {
        format!(r#"the message is not understood ({error}); send {{"type":"subscribe","machines":["*"],"detail":"summary","rate_ms":1000}}"#)
    })?;
    if RATE_MS_MAX < rate_ms {
        return Err(format!("`rate_ms` is {rate_ms}; send 0 to {RATE_MS_MAX}"));
    }
    let detail = match (metrics, detail) {
        (None, None | Some(Word::Summary)) => Detail::Summary,
        (None, Some(Word::Full)) => Detail::Full,
        (Some(metrics), None) => named(metrics)?,
        (Some(_), Some(_)) => return Err("`metrics` says how much of a machine is sent; leave `detail` out".to_owned()),
    };
    Ok(Subscription { scope: scope(&machines)?, detail, rate: Duration::from_millis(rate_ms), resume })
}

fn named(metrics: Vec<String>) -> Result<Detail, String> {
    if metrics.is_empty() || METRICS_MAX < metrics.len() {
        let count = metrics.len();
        return Err(format!(
            "`metrics` names {count} metrics; name 1 to {METRICS_MAX}, or send \"detail\":\"full\" for all"
        ));
    }
    let fault = metrics.iter().find_map(|metric| SeriesKey::parse(metric, Labels::none()).err());
    match fault {
        Some(fault) => Err(format!("`metrics`: {fault}")),
        None => Ok(Detail::Metrics(Arc::new(metrics.into_iter().collect()))),
    }
}

fn scope(machines: &[String]) -> Result<Scope, String> {
    if machines.iter().any(|id| id == "*") {
        return Ok(Scope::All);
    }
    if machines.is_empty() || MACHINES_MAX < machines.len() {
        let count = machines.len();
        return Err(format!(r#"`machines` names {count} machines; name 1 to {MACHINES_MAX}, or "*" for all"#));
    }
    let ids: Result<BTreeSet<_>, _> = machines.iter().map(|id| MachineId::parse(id)).collect();
    ids.map(Scope::Only).map_err(|invalid| format!("`machines`: {invalid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_and_its_defaults() {
        let parsed = parse(r#"{"type":"subscribe","machines":["b","a","b"],"detail":"full","rate_ms":0}"#).unwrap();
        let ids = ["a", "b"].map(|id| MachineId::parse(id).unwrap());
        assert_eq!(parsed.scope, Scope::Only(ids.into()));
        assert_eq!((parsed.detail, parsed.rate), (Detail::Full, Duration::ZERO));
        let some = parse(r#"{"type":"subscribe","metrics":["b","a","b"]}"#).unwrap();
        assert_eq!(some.detail, Detail::Metrics(Arc::new(["a", "b"].map(String::from).into())));
        let default = parse(r#"{"type":"subscribe"}"#).unwrap();
        assert_eq!((default.scope, default.resume), (Scope::All, None));
        assert_eq!((default.detail, default.rate), (Detail::Summary, Duration::from_secs(1)));
    }

    #[test]
    fn a_bad_message_is_answered_with_what_to_send() {
        for (text, expected) in [
            ("", "not understood"),
            ("[]", "not understood"),
            (r#"{"type":"unsubscribe"}"#, r#"send {"type":"subscribe""#),
            (r#"{"type":"subscribe","detail":"all"}"#, "not understood"),
            (r#"{"type":"subscribe","rate_ms":60001}"#, "send 0 to 60000"),
            (r#"{"type":"subscribe","rate_ms":-1}"#, "not understood"),
            (r#"{"type":"subscribe","resume":{"instance":"a"}}"#, "missing field `at`"),
            (r#"{"type":"subscribe","resume":{"instance":"a","at":-1}}"#, "not understood"),
            (r#"{"type":"subscribe","machines":[]}"#, "name 1 to 256"),
            (r#"{"type":"subscribe","machines":["a/b"]}"#, "machine id"),
            (r#"{"type":"subscribe","metric":["a"]}"#, "unknown field `metric`"),
            (r#"{"type":"subscribe","metrics":[]}"#, "name 1 to 64"),
            (r#"{"type":"subscribe","metrics":["a b"]}"#, "`metrics`: "),
            (r#"{"type":"subscribe","metrics":["a"],"detail":"full"}"#, "leave `detail` out"),
        ] {
            let detail = parse(text).unwrap_err();
            assert!(detail.contains(expected), "{text}: {detail}");
        }
    }
}
