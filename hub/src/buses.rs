//! Buses: what the hub tells other programs: the hot state and news through a relay, alerts through an outbox.

use std::sync::Arc;
use std::time::Duration;

use sinks::bus::Bus;
use sinks::bus::redis::RedisBus;
use sinks::driver::{Driver, DriverContext};
use sinks::memory::HotStore;
use sinks::outbox::Outbox;
use sinks::redis::RedisOutlet;
use sinks::relay::{Outlet, Relay, RelayHandle, RelaySettings};
use sinks::status::DriverHandle;

use crate::base::Base;
use crate::graph::BusOutlets;
use crate::part::Part;
use crate::stores::OpenOutbox;

/// What the end of the hub may wait for each: alerts that are not told by then wait in their spill.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// A bus as the rest of the hub sees it.
#[derive(Debug, Clone)]
pub(crate) struct BusHandles {
    pub(crate) news: RelayHandle,
    pub(crate) alerts: DriverHandle,
}

/// Starts what is set. `outlets` has an entry for each bus that is.
pub(crate) fn start(
    base: &Base,
    sinks: &mut Part,
    hot: &Arc<HotStore>,
    (redis, outlets): (Option<OpenOutbox<RedisBus>>, Vec<BusOutlets>),
) -> Vec<BusHandles> {
    let mut outlets = outlets.into_iter();
    let mut handles = Vec::new();
    if let (Some(outbox), Some(config), Some(queues)) = (redis, &base.config.redis, outlets.next()) {
        let outlet = RedisOutlet::new(Arc::clone(&config.server));
        handles.push(start_one(base, sinks, hot, ("redis", outlet, outbox, queues)));
    }
    handles
}

fn start_one<O: Outlet, B: Bus>(
    base: &Base,
    sinks: &mut Part,
    hot: &Arc<HotStore>,
    (name, outlet, alerts, queues): (&'static str, O, OpenOutbox<B>, BusOutlets),
) -> BusHandles {
    let settings = RelaySettings { flush_within: FLUSH_WITHIN, ..RelaySettings::default() };
    let (relay, news) = Relay::new(outlet, Arc::clone(hot), queues.news, settings, (base.clock(), &base.registry));
    let OpenOutbox { outbox, spill } = alerts;
    let settings = Outbox::<B>::settings(FLUSH_WITHIN);
    let context = DriverContext { settings, clock: base.clock(), registry: &base.registry };
    let (driver, alerts) = Driver::new(outbox, queues.alerts, spill, context);
    sinks.spawn(name, relay.run());
    sinks.spawn("alerts", driver.run());
    BusHandles { news, alerts }
}
