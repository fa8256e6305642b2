//! Watch: what a browser would see. One WebSocket follows some machines, and each frame that shows is timed from the moment it was due.
//!
//! A frame is recognized by the series that tells its number. The hub coalesces: numbers that were skipped are counted, not timed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{sleep_until, timeout, timeout_at};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::plan::NUMBERS_PER_TICK;
use crate::run::Course;

/// Machines that are followed: enough for a distribution, few enough to cost a busy hub nothing.
pub(crate) const FOLLOWED_MAX: u32 = 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Before a lost connection is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    #[error("the hub's live connection: {0}")]
    Socket(Box<tokio_tungstenite::tungstenite::Error>),
    #[error("the hub's live connection did not open in time")]
    Slow,
}

/// Follows machines until the run's last moment; a broken connection is made again. Cancel safe.
pub(crate) async fn follow(course: Arc<Course>, url: String, names: Vec<String>) {
    let machines: HashMap<String, u32> = names.into_iter().zip(0..).collect();
    while tokio::time::Instant::now() < course.last_moment {
        if let Err(error) = once(&course, &url, &machines).await {
            tracing::debug!(%error, "live connection is tried again");
        }
        sleep_until(course.last_moment.min(tokio::time::Instant::now() + AGAIN_AFTER)).await;
    }
}

async fn once(course: &Course, url: &str, machines: &HashMap<String, u32>) -> Result<(), WatchError> {
    let failed = |error| WatchError::Socket(Box::new(error));
    let opening = timeout(CONNECT_TIMEOUT, connect_async(url));
    let (mut socket, _) = opening.await.map_err(|_elapsed| WatchError::Slow)?.map_err(failed)?;
    let names: Vec<&String> = machines.keys().collect();
    let wish = json!({"type": "subscribe", "machines": names, "detail": "full", "rate_ms": 0});
    socket.send(Message::text(wish.to_string())).await.map_err(failed)?;
    let mut newest: HashMap<u32, u64> = HashMap::new();
    while let Ok(Some(message)) = timeout_at(course.last_moment, socket.next()).await {
        let now_us = course.now_us();
        if let Message::Text(text) = message.map_err(failed)?
            && let Ok(update) = serde_json::from_str::<Value>(&text)
        {
            for machine in update["machines"].as_array().into_iter().flatten() {
                let known = machine["id"].as_str().and_then(|id| machines.get(id));
                if let (Some(index), Some(number)) = (known, number_of(course, machine)) {
                    see(course, *index, number, now_us, &mut newest);
                }
            }
        }
    }
    Ok(())
}

fn number_of(course: &Course, machine: &Value) -> Option<u64> {
    let at = course.domain.number_at()?;
    machine["values"].get(at).and_then(Value::as_f64).map(crate::schedule::whole)
}

/// Only frames that were sent when they were measured can be timed by their number alone: those of a burst, and late ones, are left out.
fn see(course: &Course, machine: u32, number: u64, now_us: u64, newest: &mut HashMap<u32, u64>) {
    let seen = newest.entry(machine).or_insert(u64::MAX);
    let is_new = *seen == u64::MAX || *seen < number;
    if !is_new {
        return;
    }
    *seen = number;
    if number.is_multiple_of(NUMBERS_PER_TICK) {
        let due_us = course.fleet.schedule.due_us(machine, number / NUMBERS_PER_TICK);
        course.board.lock().seen.record_since(due_us, now_us);
    }
}
