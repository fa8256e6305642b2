//! The bus inside one process: for embedding, and for tests of what publishes. Keeps nothing for who does not listen.
//!
//! Bounded: a subscriber that falls behind by more than the capacity misses the oldest, and is told how many.

use futures_util::stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

use super::{Bus, Capabilities, Event, Pattern, Position, Received, Subscription, refuse_resume};
use crate::error::SinkError;

pub const NAME: &str = "in_process";

#[derive(Debug, Clone)]
pub struct InProcessBus {
    events: Sender<Event>,
}

impl InProcessBus {
    /// `capacity`: events that the slowest subscriber may be behind.
    pub fn new(capacity: usize) -> Self {
        Self { events: channel(capacity.max(1)).0 }
    }
}

impl Bus for InProcessBus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { can_resume: false }
    }

    async fn publish(&self, events: &[Event]) -> Result<(), SinkError> {
        for event in events {
            // An error only says that nobody listens.
            drop(self.events.send(event.clone()));
        }
        Ok(())
    }

    async fn subscribe(&self, pattern: &Pattern, after: Option<&Position>) -> Result<Subscription, SinkError> {
        if after.is_some() {
            return Err(refuse_resume(NAME));
        }
        let state = (self.events.subscribe(), pattern.clone());
        Ok(Box::pin(stream::unfold(state, |(mut events, pattern)| async move {
            let received = next(&mut events, &pattern).await?;
            Some((Ok(received), (events, pattern)))
        })))
    }
}

/// None when the bus is gone.
async fn next(events: &mut Receiver<Event>, pattern: &Pattern) -> Option<Received> {
    loop {
        match events.recv().await {
            Ok(event) if pattern.matches(event.topic) => {
                return Some(Received::Event { topic: event.topic, payload: event.payload, position: None });
            }
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => return Some(Received::Missed(missed)),
            Err(RecvError::Closed) => return None,
        }
    }
}
