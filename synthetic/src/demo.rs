//! Demo: plays the story against a hub in both domains, with a narrator's words, and keeps the hub from its history for an act.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use runtime::clock::{SharedClock, SystemClock};
use rusqlite::Connection;
use serde_json::Value;
use tokio::time::sleep;

use crate::domain::Domain;
use crate::domain::machines::Machines;
use crate::domain::payments::Payments;
use crate::http::Hub;
use crate::plan::Faults;
use crate::progress::say;
use crate::run::{Course, Encoding, Fleet, Left, Load};
use crate::schedule::Schedule;
use crate::story::{ACTS, AWAY_S, END_S, RECOVERY_S, Story};

const MACHINES: u32 = 12;
const SERIES: usize = 24;
const PROCESSORS: u32 = 3;
const SETTLE: Duration = Duration::from_secs(10);

/// Plays all acts.
///
/// # Errors
/// When the hub does not take the machines.
pub(crate) async fn play(hub: &str, grpc: &str, data_dir: Option<&Path>) -> Result<Left> {
    let clock = SystemClock::shared();
    let story = Story::demo();
    let machines: Arc<dyn Domain> = Arc::new(Machines::new("shop-", SERIES, 1)?.telling(story));
    let payments: Arc<dyn Domain> = Arc::new(Payments::new("", 1, story));
    let shop = course(grpc, machines, (MACHINES, 2_000_000), &clock)?;
    let processors = course(grpc, payments, (PROCESSORS, 100_000), &clock)?;
    say(&format!("watch it at {}\n", if hub.contains("://") { hub.to_owned() } else { format!("http://{hub}") }));
    let narrating = tokio::spawn(narrate(Arc::clone(&shop)));
    let away = data_dir.map(|dir| tokio::spawn(take_away(Arc::clone(&shop), dir.join("history.db"))));
    let ended = tokio::try_join!(shop.run(), processors.run());
    narrating.abort();
    if let Some(away) = away {
        match away.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => say(&format!("the database could not be taken away: {error:#}\n")),
            Err(error) => say(&format!("the database could not be taken away: {error}\n")),
        }
    }
    let (shop, processors) = ended?;
    say(&ending(hub).await);
    Ok(Left { unacknowledged: shop.unacknowledged + processors.unacknowledged, truth: None })
}

/// How the story ended, by the hub's own word.
async fn ending(hub: &str) -> String {
    let hub = Hub::at(hub);
    let asked = tokio::task::spawn_blocking(move || hub.get("/api/v1/alerts?limit=1000")).await;
    let Ok(Ok(answer)) = asked else {
        return "the end; the hub does not say which alerts are left\n".to_owned();
    };
    let alerts = answer["alerts"].as_array().map_or(&[][..], Vec::as_slice);
    let ours = |alert: &&Value| alert["rule"].as_str().is_some_and(|rule| rule.starts_with("demo-"));
    match alerts.iter().filter(ours).count() {
        0 => "the end: every alert of the story has resolved\n".to_owned(),
        left => format!("the end; alerts of the story that still fire: {left}\n"),
    }
}

fn course(grpc: &str, domain: Arc<dyn Domain>, size: (u32, u64), clock: &SharedClock) -> Result<Arc<Course>> {
    let (machines, interval_us) = size;
    let schedule = Schedule { seed: 1, machines, interval_us, jitter: 0.0 };
    let load = Load {
        fleet: Fleet { schedule, faults: Faults::default(), span_us: END_S * 1_000_000 },
        domain,
        grpc: grpc.to_owned(),
        settle: SETTLE,
        keeps_truth: false,
        encoding: Encoding::Live,
    };
    Ok(Course::new(&load, clock)?)
}

async fn narrate(course: Arc<Course>) {
    for act in ACTS {
        tokio::time::sleep_until(course.moment(act.begins_s * 1_000_000)).await;
        let (minute, second) = (act.begins_s / 60, act.begins_s % 60);
        say(&format!("{minute}:{second:02}  {}\n      {}\n", act.title, act.words));
    }
}

/// Holds the write lock of the hub's embedded history for an act.
async fn take_away(course: Arc<Course>, path: PathBuf) -> Result<()> {
    tokio::time::sleep_until(course.moment(AWAY_S * 1_000_000)).await;
    let lock = tokio::task::spawn_blocking(move || lock(&path)).await??;
    sleep(Duration::from_secs(RECOVERY_S - AWAY_S)).await;
    lock.execute_batch("ROLLBACK").context("let the history go")
}

fn lock(path: &Path) -> Result<Connection> {
    // Not made anew where there is none: then it is the wrong folder.
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let sql = Connection::open_with_flags(path, flags).with_context(|| format!("open {}", path.display()))?;
    sql.busy_timeout(Duration::from_secs(10))?;
    sql.execute_batch("BEGIN IMMEDIATE").context("hold the history")?;
    Ok(sql)
}
