//! The bus on Kafka: a topic is a topic, the machine the key, so that its events share a partition and keep their order. Kafka keeps events
//! as long as it is told to, so a subscription can begin after a position.
//!
//! In: events, each confirmed by all replicas in sync before `publish` ends. Out: subscriptions that hold each partition's place themselves.
//! Bounded: what the client may hold is in `client`; a full queue makes the publisher wait, within its deadline.
//! Settings are always here, so that a program built without the feature `kafka` can say so.

#[cfg(feature = "kafka")]
mod client;
mod config;
#[cfg(feature = "kafka")]
mod publish;
#[cfg(feature = "kafka")]
mod subscription;

pub use config::{KafkaAddress, KafkaSettings, parse_prefix};
#[cfg(feature = "kafka")]
pub use publish::KafkaBus;
