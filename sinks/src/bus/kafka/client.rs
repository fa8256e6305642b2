//! Client: how librdkafka is set up, what it may hold, and where its words go.

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;
use tracing::debug;

use super::config::KafkaSettings;
use crate::error::SinkError;

/// A broker takes a little more unless told otherwise. A machine's largest event, a window of some seven thousand series, has as much.
pub(super) const EVENT_BYTES_MAX: usize = 1_000_000;
/// Of a message beside its payload: key, lengths, checksum.
const ENVELOPE_BYTES: usize = 1_000;
/// Events that wait in the client: some calls of `publish`, which waits for room beyond.
const QUEUE_EVENTS: &str = "10000";
const QUEUE_KIBIBYTES: &str = "16384";
/// What a subscriber holds that it has not taken yet.
const FETCH_KIBIBYTES: &str = "8192";
/// Events that are ready within this time travel together.
const LINGER_MS: &str = "2";

/// The hub tells once that Kafka is away, and why; librdkafka says it for each broker and attempt.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(?level, facility, message, "librdkafka says");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka failed");
    }
}

impl ConsumerContext for Quiet {}

/// A client, whose end joins threads and so may take a moment that no task can wait for.
pub(super) struct Aside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Aside<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }

    pub(super) fn get(&self) -> &T {
        self.0.as_ref().expect("it is taken out by the drop only")
    }
}

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        // Outside a runtime nobody is kept from anything.
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(client)));
        }
    }
}

/// Each event once and in order per machine, even when the client sends again what was not confirmed.
pub(super) fn producer(settings: &KafkaSettings) -> ClientConfig {
    let mut config = client(settings);
    let within = settings.answer_within.as_millis().to_string();
    for (key, value) in [
        ("enable.idempotence", "true"),
        // A gap would break the order: the client then fails for good, and a new one begins with the first event again.
        ("enable.gapless.guarantee", "true"),
        ("message.timeout.ms", within.as_str()),
        ("queue.buffering.max.messages", QUEUE_EVENTS),
        ("queue.buffering.max.kbytes", QUEUE_KIBIBYTES),
        ("linger.ms", LINGER_MS),
        ("compression.type", "lz4"),
        // As every other client's, so that a machine has one partition whoever writes.
        ("partitioner", "murmur2_random"),
    ] {
        config.set(key, value);
    }
    config
}

/// Without a group: who listens keeps its own position.
pub(super) fn consumer(settings: &KafkaSettings) -> ClientConfig {
    let mut config = client(settings);
    for (key, value) in [
        // The client asks for one; no offset is ever stored under it.
        ("group.id", "sysmonstm"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("allow.auto.create.topics", "true"),
        ("queued.max.messages.kbytes", FETCH_KIBIBYTES),
        ("fetch.wait.max.ms", "100"),
    ] {
        config.set(key, value);
    }
    config
}

fn client(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", settings.address.brokers());
    config.set("client.id", "sysmonstm");
    config.set("message.max.bytes", (EVENT_BYTES_MAX + ENVELOPE_BYTES).to_string());
    config.set("socket.keepalive.enable", "true");
    config.set("reconnect.backoff.max.ms", "2000");
    config
}

/// An error by what a person would do about it.
pub(super) fn unavailable(sink: &'static str, action: &'static str, error: &KafkaError) -> SinkError {
    let source = error.to_string().into();
    let advice = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed) => {
            "let everybody on this network write to and read from the topics"
        }
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            "create the topics, or let the brokers create them (auto.create.topics.enable)"
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => "raise message.max.bytes of the brokers to 1 MB",
        _ => return SinkError::Unavailable { sink, action, source },
    };
    SinkError::Broken { sink, action, advice: advice.to_owned(), source }
}

pub(super) fn late(sink: &'static str, action: &'static str) -> SinkError {
    SinkError::Unavailable { sink, action, source: "no broker answers in time".into() }
}
