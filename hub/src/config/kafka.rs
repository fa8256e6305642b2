//! The section `[kafka]`: events for other programs on Kafka, where the program was built with it.

use std::path::Path;
use std::sync::Arc;

use runtime::config::Settings;
use sinks::bus::kafka::{KafkaAddress, KafkaSettings, parse_prefix};

use super::sections::{KafkaConfig, MIB, OutboxConfig, TIB};

pub(super) fn kafka(settings: &mut Settings, data_dir: &Path) -> Option<KafkaConfig> {
    let prefix = match settings.optional_text("kafka.prefix") {
        Some(_) => settings.parsed("kafka.prefix", parse_prefix),
        None => None,
    };
    let quota_bytes = settings.size_bytes("kafka.outbox_quota", MIB..=TIB);
    let address = match KafkaAddress::parse(&settings.optional_text("kafka.url")?) {
        Ok(address) => address,
        // Without the value, which may hold a password.
        Err(problem) => {
            settings.reject("kafka.url", format!("cannot be used: {problem}"));
            return None;
        }
    };
    if !cfg!(feature = "kafka") {
        let advice = "needs a program that was built with Kafka, which this one was not: \
                      cargo build --release -p hub --features kafka, or unset KAFKA_URL";
        settings.reject("kafka.url", advice);
        return None;
    }
    let cluster = KafkaSettings { prefix: prefix.unwrap_or_default(), ..KafkaSettings::new(address) };
    let outbox = OutboxConfig { dir: data_dir.join("outbox-kafka"), quota_bytes };
    Some(KafkaConfig { cluster: Arc::new(cluster), outbox })
}
