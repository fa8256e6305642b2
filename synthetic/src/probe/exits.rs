//! Exits: where transactions come out of the hub, each watched by a wait of its own.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use model::query::{RangeQuery, Tier};
use model::{MachineId, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tracing::debug;

use super::{AlertBus, Book, Exits, MACHINE, Moments, RULE, Stage};
use crate::domain::machines::SEQUENCE;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Before something that failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A hub sends its own figures each second, and pings each quarter of a minute.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Transactions that one question to the history can be about.
const POINTS_MAX: usize = 10_000;

/// The hot state: the newest value, and whether the rule fires.
pub(super) async fn follow_hot(book: &Book, exits: &Exits, moments: Moments) {
    let Ok(machine) = MachineId::parse(MACHINE) else { return };
    let mut versions = exits.versions.clone();
    while versions.changed().await.is_ok() {
        versions.mark_unchanged();
        if book.awaited(Stage::Hot).is_none() && book.awaited(Stage::Alert).is_none() {
            continue;
        }
        let Some(view) = exits.hot.machine(&machine) else { continue };
        let now_us = moments.now_us();
        if let Some(stamp) = view.values.first().and_then(|value| stamp_of(*value)) {
            book.reached(Stage::Hot, stamp, now_us);
        }
        book.judged(Stage::Alert, view.alerts.iter().any(|count| 0 < *count), now_us);
    }
}

/// A WebSocket of the hub, opened again whenever it ends.
pub(super) async fn follow_live(book: &Book, url: &str, moments: Moments) {
    loop {
        if let Err(error) = live(book, url, moments).await {
            debug!(%error, "probe's live connection is tried again");
        }
        sleep(AGAIN_AFTER).await;
    }
}

async fn live(book: &Book, url: &str, moments: Moments) -> Result<(), runtime::BoxError> {
    let (mut socket, _) = timeout(CONNECT_TIMEOUT, connect_async(url)).await??;
    let wish = json!({"type": "subscribe", "machines": [MACHINE], "detail": "full", "rate_ms": 0});
    socket.send(Message::text(wish.to_string())).await?;
    while let Some(message) = timeout(SILENCE_MAX, socket.next()).await? {
        let now_us = moments.now_us();
        let Message::Text(text) = message? else { continue };
        // Most messages are about the hub alone, and cost no parsing.
        if !text.contains(SEQUENCE) {
            continue;
        }
        let update: Value = serde_json::from_str(&text)?;
        let machines = update["machines"].as_array().into_iter().flatten();
        for machine in machines.filter(|machine| machine["id"] == MACHINE) {
            if let Some(stamp) = machine["values"][0].as_f64().and_then(stamp_of) {
                book.reached(Stage::Live, stamp, now_us);
            }
        }
    }
    Ok(())
}

/// The event bus, listened to as another program would, and again whenever it ends.
pub(super) async fn follow_bus(book: &Book, exits: &Exits, moments: Moments) {
    let Some(bus) = &exits.bus else { return };
    loop {
        if let Err(error) = told(book, bus.as_ref(), moments).await {
            debug!(%error, "probe listens to the event bus again");
        }
        sleep(AGAIN_AFTER).await;
    }
}

#[derive(Deserialize)]
struct Told<'a> {
    machine: &'a str,
    rule: &'a str,
    state: &'a str,
}

async fn told(book: &Book, bus: &dyn AlertBus, moments: Moments) -> Result<(), runtime::BoxError> {
    let mut alerts = bus.listen().await?;
    while let Some(payload) = alerts.next().await {
        let (payload, now_us) = (payload?, moments.now_us());
        let Ok(alert) = serde_json::from_slice::<Told<'_>>(&payload) else { continue };
        if alert.machine == MACHINE && alert.rule == RULE {
            book.judged(Stage::Bus, alert.state == "firing", now_us);
        }
    }
    Ok(())
}

/// The history: asked when it has committed more.
pub(super) async fn follow_history(book: &Book, exits: &Exits, moments: Moments) {
    let Ok(machine) = MachineId::parse(MACHINE) else { return };
    let mut stored = 0;
    while let Some(newest) = exits.stored.beyond(stored).await {
        stored = newest;
        let now_us = moments.now_us();
        let Some((oldest_ms, newest_ms)) = book.awaited(Stage::History) else { continue };
        let query = RangeQuery {
            machine: machine.clone(),
            metrics: vec![SEQUENCE.to_owned()],
            from: Timestamp::from_millis(oldest_ms),
            to: Timestamp::from_millis(newest_ms + 1),
            tier: Tier::Raw,
            points_max: POINTS_MAX,
        };
        let answer = match exits.history.range(query).await {
            Ok(answer) => answer,
            Err(error) => {
                debug!(%error, "probe cannot ask the history");
                continue;
            }
        };
        let mut stamps: Vec<i64> =
            answer.series.iter().flat_map(|series| series.t.iter().map(|t| t.millis())).collect();
        stamps.sort_unstable();
        for pair in stamps.windows(2).filter(|pair| pair[0] == pair[1]) {
            debug!(stamp = pair[0], "a synthetic transaction is stored more than once");
            book.note_duplicate();
        }
        for stamp in stamps {
            book.found(Stage::History, stamp, now_us);
        }
    }
}

/// The stamp that a value is; none for what is no whole number of milliseconds.
fn stamp_of(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be far below 2^53")]
    (value.is_finite() && (0.0..9e15).contains(&value)).then_some(value as i64)
}
