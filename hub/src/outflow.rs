//! Outflow: the stores and buses on the graph's queues, each in a task of its own.

use std::sync::Arc;

use journal::Journal;
use model::query::History;
use model::{Egress, LogicalTime, Output};
use runtime::queue::Receiver;
use sinks::driver::{Driver, DriverContext};
use sinks::memory::{self, HotSettings, HotStore};
use sinks::owed;
use sinks::postgres::{Mirrors, PostgresHistory};
use sinks::sink::Sink;
use sinks::spill::Spill;
use sinks::status::DriverHandle;

use crate::base::Base;
use crate::buses::{self, BusHandles};
use crate::graph::Outlets;
use crate::history::{WithState, embedded as embedded_history};
use crate::keeping::Keeping;
use crate::part::Part;
use crate::stores::Stores;

pub(crate) struct Outflow {
    pub(crate) sinks: Part,
    pub(crate) hot: Arc<HotStore>,
    pub(crate) history: Arc<dyn History>,
    /// Of the history.
    pub(crate) driver: DriverHandle,
    /// Of the store in the data folder, where the history is on a server, and what the server is.
    pub(crate) state: Option<(DriverHandle, PostgresHistory)>,
    pub(crate) buses: Vec<BusHandles>,
}

impl Outflow {
    /// The journal is handed back. `owed` is what the state lacks.
    pub(crate) fn start(
        base: &Base,
        (stores, outlets): (Stores, Outlets),
        hot: Arc<HotStore>,
        (owed, keeping): (Vec<(LogicalTime, Output)>, &Keeping),
    ) -> (Self, Journal) {
        let Stores { journal, sink, history, spill, server, buses, owed: mut alerts, .. } = stores;
        // The state of all is in every data folder; what goes on from here is each process' own machines', and of two that tell of one alert
        // the slower one would end the wrong one.
        alerts.retain(|alert| base.config.pipeline.owns(&alert.machine));
        let mut sinks = Part::default();
        sinks.spawn("hot", memory::run(Arc::clone(&hot), outlets.hot));
        let embedded = start_driver(base, &mut sinks, (sink, spill, owed), outlets.history);
        let (history, driver, state) = match server.zip(outlets.server) {
            Some((mut server, queue)) => {
                if keeping.own.is_some() {
                    let mirrors =
                        Mirrors { rules: Arc::clone(&keeping.rules), silences: Arc::clone(&keeping.silences) };
                    server.sink.mirror(mirrors);
                }
                let owed = owed::transitions(&alerts, server.covered());
                let driver = start_driver(base, &mut sinks, (server.sink, server.spill, owed), queue);
                let history = WithState { server: Arc::new(server.history.clone()), state: Arc::new(history) };
                (Arc::new(history) as Arc<dyn History>, driver, Some((embedded, server.history)))
            }
            None => (embedded_history(base.config.history.is_on, history), embedded, None),
        };
        let buses = buses::start(base, &mut sinks, &hot, (buses, outlets.buses, &alerts));
        (Self { sinks, hot, history, driver, state, buses }, journal)
    }
}

/// What is shown, beginning with what the state knows.
pub(crate) fn hot_store(base: &Base, stores: &Stores) -> Arc<HotStore> {
    let settings = HotSettings { machines_max: base.config.ingest.limits.machines_max, ..HotSettings::default() };
    let hot = Arc::new(HotStore::new(settings, base.clock()));
    hot.seed(stores.known.machines.clone(), stores.known.alerts.clone());
    hot.watch(&base.registry);
    hot
}

/// A store that loses nothing, on its queue; with what it is owed.
fn start_driver(
    base: &Base,
    sinks: &mut Part,
    (sink, spill, owed): (impl Sink, Spill, Vec<(LogicalTime, Output)>),
    queue: Receiver<Egress>,
) -> DriverHandle {
    let context =
        DriverContext { settings: base.config.history.driver.clone(), clock: base.clock(), registry: &base.registry };
    let name = sink.name();
    let (mut driver, handle) = Driver::new(sink, queue, spill, context);
    driver.owe(owed);
    sinks.spawn(name, driver.run());
    handle
}
