//! Outlet: the relay's updates on an event bus that keeps no state: what a machine, a window or presence is now, as events.

use model::query::MachineView;

use super::{Bus, Event, Topic};
use crate::error::SinkError;
use crate::payload;
use crate::relay::{Outlet, Update};

/// Events of one call: of machines with 60 series each some 1.5 MB.
const CHUNK_EVENTS: usize = 256;

pub struct BusOutlet<B>(B);

impl<B: Bus> BusOutlet<B> {
    pub fn new(bus: B) -> Self {
        Self(bus)
    }

    async fn tell(&self, events: Vec<Event>) -> Result<(), SinkError> {
        self.0.publish(&events).await
    }
}

impl<B: Bus> Outlet for BusOutlet<B> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn connect(&mut self) -> Result<(), SinkError> {
        // A bus connects with the first event.
        Ok(())
    }

    async fn send(&mut self, update: Update) -> Result<(), SinkError> {
        for chunk in update.machines.chunks(CHUNK_EVENTS) {
            self.tell(chunk.iter().map(|view| machine(view, &update)).collect()).await?;
        }
        for chunk in update.presences.chunks(CHUNK_EVENTS) {
            self.tell(chunk.iter().map(|presence| payload::presence(presence)).collect()).await?;
        }
        for chunk in update.windows.chunks(CHUNK_EVENTS) {
            self.tell(chunk.iter().map(|window| payload::window(window)).collect()).await?;
        }
        for chunk in update.removed.chunks(CHUNK_EVENTS) {
            self.tell(chunk.iter().map(|machine| payload::removed(machine, update.now)).collect()).await?;
        }
        Ok(())
    }
}

fn machine(view: &MachineView, update: &Update) -> Event {
    let alerts = update.alerts.get(&view.machine).map_or(&[][..], Vec::as_slice);
    let document = payload::machine(view, alerts);
    Event { topic: Topic::MetricsRaw, machine: view.machine.as_str().to_owned(), payload: document.into() }
}
