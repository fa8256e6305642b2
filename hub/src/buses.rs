//! Buses: what the hub tells other programs: the hot state and news through a relay, alerts through an outbox. One entry of `open` each.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use model::{Alert, LogicalTime};
use sinks::bus::Bus;
use sinks::bus::redis::RedisBus;
use sinks::driver::{Driver, DriverContext};
use sinks::memory::HotStore;
use sinks::outbox::Outbox;
use sinks::owed;
use sinks::redis::RedisOutlet;
use sinks::relay::{Outlet, Relay, RelayHandle, RelaySettings};
use sinks::spill::{Spill, SpillSettings};
use sinks::status::DriverHandle;

use crate::base::Base;
use crate::config::OutboxConfig;
use crate::graph::{BusNames, BusOutlets};
use crate::part::Part;

/// What the end of the hub may wait for each: alerts that are not told by then wait in their spill.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// A bus as the rest of the hub sees it.
#[derive(Debug, Clone)]
pub(crate) struct BusHandles {
    pub(crate) news: RelayHandle,
    pub(crate) alerts: DriverHandle,
}

/// A bus that is set: its outbox is open, nothing runs yet.
pub(crate) struct OpenBus {
    pub(crate) names: BusNames,
    /// Every alert up to here was told, or waits in the spill.
    pub(crate) covered: LogicalTime,
    start: Start,
}

type Start = Box<dyn FnOnce(&Base, &mut Part, &Arc<HotStore>, (BusOutlets, &[Alert])) -> BusHandles + Send>;

/// Opens what is set. A new outbox begins after `newest`: what happened before its time is not news. Blocks.
///
/// # Errors
/// What cannot be used in the data folder.
pub(crate) fn open(base: &Base, newest: LogicalTime) -> Result<Vec<OpenBus>> {
    let mut buses = Vec::new();
    if let Some(redis) = &base.config.redis {
        let names = BusNames { news: "redis", alerts: "redis_alerts" };
        let outlet = RedisOutlet::new(Arc::clone(&redis.server));
        let alerts = RedisBus::new(names.alerts, Arc::clone(&redis.server));
        buses.push(OpenBus::open(names, (outlet, alerts), &redis.outbox, newest)?);
    }
    // Without the feature the settings refuse a Kafka.
    #[cfg(feature = "kafka")]
    if let Some(kafka) = &base.config.kafka {
        use sinks::bus::kafka::KafkaBus;
        let names = BusNames { news: "kafka", alerts: "kafka_alerts" };
        let bus = |name| KafkaBus::new(name, Arc::clone(&kafka.cluster), &base.registry);
        let outlet = sinks::bus::outlet::BusOutlet::new(bus(names.news));
        buses.push(OpenBus::open(names, (outlet, bus(names.alerts)), &kafka.outbox, newest)?);
    }
    Ok(buses)
}

/// Starts them. `outlets` has an entry for each, in their order; `owed` are alerts that one of them may not have told.
pub(crate) fn start(
    base: &Base,
    sinks: &mut Part,
    hot: &Arc<HotStore>,
    (buses, outlets, owed): (Vec<OpenBus>, Vec<BusOutlets>, &[Alert]),
) -> Vec<BusHandles> {
    buses.into_iter().zip(outlets).map(|(bus, queues)| (bus.start)(base, sinks, hot, (queues, owed))).collect()
}

impl OpenBus {
    fn open<O: Outlet, B: Bus>(
        names: BusNames,
        (outlet, bus): (O, B),
        config: &OutboxConfig,
        newest: LogicalTime,
    ) -> Result<Self> {
        let dir = &config.dir;
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let spill = SpillSettings { dir: dir.join("spill"), quota_bytes: config.quota_bytes };
        let spill = Spill::open(&spill).context("open the spill of the outbox")?;
        let outbox = Outbox::open(bus, dir.join("cursor"), newest).context("open the outbox")?;
        let covered = outbox.cursor().max(spill.durable());
        let start: Start = Box::new(move |base, sinks, hot, (queues, owed)| {
            let settings = RelaySettings { flush_within: FLUSH_WITHIN, ..RelaySettings::default() };
            let context = (base.clock(), &base.registry);
            let (relay, news) = Relay::new(outlet, Arc::clone(hot), queues.news, settings, context);
            let settings = Outbox::<B>::settings(FLUSH_WITHIN);
            let context = DriverContext { settings, clock: base.clock(), registry: &base.registry };
            let (mut driver, alerts) = Driver::new(outbox, queues.alerts, spill, context);
            driver.owe(owed::transitions(owed, covered));
            sinks.spawn(names.news, relay.run());
            sinks.spawn(names.alerts, driver.run());
            BusHandles { news, alerts }
        });
        Ok(Self { names, covered, start })
    }
}
