//! Cluster: one graph over several processes, each with its own journal.
//!
//! Each process draws from its own journal; `ship` sends what belongs to another worker there, whole; `order` puts what all of them sent into
//! the order of logical time, of equal times the lower worker's first, and lets it go on once every process has sealed it. So what a
//! worker does is a function of the journals, whatever the network did. `share` tells what leaves the graph to the other processes, for
//! those sinks that follow all of it. With one process none of this is in the graph.

mod bytes;
pub(crate) mod flight;
pub(crate) mod order;
pub(crate) mod parcel;
pub(crate) mod share;
pub(crate) mod ship;

use std::net::TcpStream;
use std::sync::Arc;

use model::{LogicalTime, Record};
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::communication::{Hooks, WorkerGuards};
use timely::dataflow::Scope;
use timely::worker::Worker;

use crate::operators::source::{SourcePort, source};
use crate::settings::Settings;
use crate::stage::Records;
use flight::Flight;

/// A connection to each of the other processes, by index, none to this one. Nothing else is on them: neither encryption nor a password.
pub type Sockets = Vec<Option<TcpStream>>;

/// Starts this process' workers of a graph that all processes run.
pub(crate) fn execute(
    settings: &Settings,
    sockets: Sockets,
    config: timely::WorkerConfig,
    work: impl Fn(&mut Worker) + Send + Sync + 'static,
) -> Result<WorkerGuards<()>, String> {
    let failed = |error| format!("connect the processes: {error}");
    for socket in sockets.iter().flatten() {
        // Progress goes in messages of some bytes, and everybody waits for it.
        socket.set_nodelay(true).map_err(failed)?;
    }
    let hooks = Hooks::default();
    let threads = settings.workers.max(1);
    let local = ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), hooks.spill.clone());
    let network = initialize_networking_from_sockets(local, sockets, settings.process, threads, hooks);
    let (builders, guard) = network.map_err(failed)?;
    let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
    timely::execute::execute_from(builders, Box::new(guard), config, work)
}

/// What this worker has to do of all that the processes' journals hold, in order.
pub(crate) fn gather<'s>(scope: Scope<'s, LogicalTime>, port: SourcePort, settings: &Settings) -> Records<'s, Record> {
    let gate = Arc::clone(&port.gate);
    let flight = Flight::default();
    let passed = flight.passed();
    let sent = ship::ship(source(scope, port, Some(flight)), settings);
    order::order(sent, settings, gate, passed)
}
