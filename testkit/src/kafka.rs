//! Kafka brokers of a test's own: librdkafka's cluster that only pretends, inside the test's process, on ports of its own.
//!
//! It keeps topics in memory, makes them when they are asked for, and can be told to fail. A real cluster comes from `KAFKA_TEST_URL`.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

const BROKERS: i32 = 3;
const PARTITIONS: i32 = 4;

pub struct KafkaCluster(MockCluster<'static, DefaultProducerContext>);

impl KafkaCluster {
    /// # Panics
    /// When there is no port left.
    pub fn start() -> Self {
        Self(MockCluster::new(BROKERS).expect("brokers listen"))
    }

    /// As the hub takes it: `kafka://host:port,...`.
    pub fn url(&self) -> String {
        format!("kafka://{}", self.0.bootstrap_servers())
    }

    /// Makes a topic with several partitions.
    ///
    /// # Panics
    /// When it is there already.
    pub fn make_topic(&self, name: &str) {
        self.0.create_topic(name, PARTITIONS, 1).expect("the topic is new");
    }

    /// No broker answers until `come_back`.
    ///
    /// # Panics
    /// When a broker does not exist.
    pub fn go_away(&self) {
        (1..=BROKERS).for_each(|broker| self.0.broker_down(broker).expect("it is one of ours"));
    }

    /// # Panics
    /// When a broker does not exist.
    pub fn come_back(&self) {
        (1..=BROKERS).for_each(|broker| self.0.broker_up(broker).expect("it is one of ours"));
    }
}
