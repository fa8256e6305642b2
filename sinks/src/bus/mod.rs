//! The event bus: what happens, told to other programs by topic. One folder per backend; `docs/howto/add-an-event-bus.md` adds one.
//!
//! In: events of a closed set of topics, the payload one JSON document (docs/schema). Out: subscriptions by topic or wildcard.
//! Order: events of one machine keep their order per topic, also over failures, because a publisher waits for one call before the next.
//! Loss: a backend keeps what its name promises: in-process and Pub/Sub reach who listens, Kafka keeps events and can resume.

pub mod in_process;
pub mod kafka;
pub mod outlet;
pub mod redis;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use crate::error::SinkError;

/// What an event is about; also the name of its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    MetricsRaw,
    MetricsMinute,
    MetricsHour,
    AlertsFired,
    AlertsResolved,
    Presence,
}

/// Topics by name: exact, or with `*` for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no topic is called {0:?}; the topics are metrics.raw, metrics.1m, metrics.1h, alerts.fired, alerts.resolved, presence"
)]
pub struct NoSuchTopic(String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub topic: Topic,
    /// Events of one machine keep their order.
    pub machine: String,
    /// JSON, by the schema of its topic.
    pub payload: Bytes,
}

/// Where a subscription stands, as its backend writes it; opaque to everybody else.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position(pub String);

/// What a subscription gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Event {
        topic: Topic,
        payload: Bytes,
        /// To resume after this event; none where the backend keeps nothing.
        position: Option<Position>,
    },
    /// The subscriber was too slow for this many events, which are gone.
    Missed(u64),
}

/// What a backend can do beyond the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// A subscription can begin after a position, and gets what was published while nobody listened.
    pub can_resume: bool,
}

/// Ends with an error when the connection is lost; subscribing again is the subscriber's choice.
pub type Subscription = Pin<Box<dyn Stream<Item = Result<Received, SinkError>> + Send>>;

/// A backend. Each call has a deadline of its own.
pub trait Bus: Send + Sync + 'static {
    /// The word for it in logs, counters and `/ready`.
    fn name(&self) -> &'static str;

    fn capabilities(&self) -> Capabilities;

    /// Publishes in order. After an error some of them may have been published; publishing all again is safe, a consumer knows repetitions
    /// of alerts by their `key`.
    fn publish(&self, events: &[Event]) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Everything published from now on, or after a position. The subscription stands when this returns.
    fn subscribe(
        &self,
        pattern: &Pattern,
        after: Option<&Position>,
    ) -> impl Future<Output = Result<Subscription, SinkError>> + Send;
}

impl Topic {
    pub const ALL: [Self; 6] = [
        Self::MetricsRaw,
        Self::MetricsMinute,
        Self::MetricsHour,
        Self::AlertsFired,
        Self::AlertsResolved,
        Self::Presence,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetricsRaw => "metrics.raw",
            Self::MetricsMinute => "metrics.1m",
            Self::MetricsHour => "metrics.1h",
            Self::AlertsFired => "alerts.fired",
            Self::AlertsResolved => "alerts.resolved",
            Self::Presence => "presence",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == name)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Pattern {
    /// # Errors
    /// When it fits no topic: nothing would ever come.
    pub fn parse(text: &str) -> Result<Self, NoSuchTopic> {
        let pattern = Self(text.to_owned());
        if pattern.topics().is_empty() { Err(NoSuchTopic(text.to_owned())) } else { Ok(pattern) }
    }

    pub fn matches(&self, topic: Topic) -> bool {
        fits(&self.0, topic.as_str())
    }

    /// The topics are a closed set, so a backend needs no wildcards of its own.
    pub fn topics(&self) -> Vec<Topic> {
        Topic::ALL.into_iter().filter(|topic| self.matches(*topic)).collect()
    }
}

/// Parts between the stars must follow each other, the first at the beginning, the last at the end.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(last)
}

/// The subscription of a backend that keeps nothing cannot begin in the past.
fn refuse_resume(sink: &'static str) -> SinkError {
    let source = "events are not kept".into();
    let advice = "subscribe without a position, or use a backend that can resume".to_owned();
    SinkError::Broken { sink, action: "resume a subscription", advice, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_name_topics() {
        let cases = [
            ("metrics.raw", vec![Topic::MetricsRaw]),
            ("metrics.*", vec![Topic::MetricsRaw, Topic::MetricsMinute, Topic::MetricsHour]),
            ("*.fired", vec![Topic::AlertsFired]),
            ("a*.*d", vec![Topic::AlertsFired, Topic::AlertsResolved]),
            ("*", Topic::ALL.to_vec()),
            ("presence*", vec![Topic::Presence]),
        ];
        for (text, topics) in cases {
            assert_eq!(Pattern::parse(text).unwrap().topics(), topics, "{text}");
        }
        for text in ["", "metrics", "metrics.2m", "x*", "*x"] {
            assert!(Pattern::parse(text).unwrap_err().to_string().contains("alerts.fired"), "{text}");
        }
        assert!(Topic::ALL.into_iter().all(|topic| Topic::parse(topic.as_str()) == Some(topic)));
    }
}
