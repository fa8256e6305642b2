//! Sender: the probe's two streams: transactions on one, how they fared on the other.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{InvalidName, Labels, SeriesKey};
use proto::{encode, pb};
use runtime::clock::SharedClock;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::{ALERT_EVERY, Book, HUB, LEVEL, MACHINE, Moments, Settings, Stage};
use crate::domain::machines::SEQUENCE;
use crate::link::{Connections, Link};
use crate::schedule::mix;
use crate::wire;

/// Between two reports of how transactions fared.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// A hub that starts a stream slower than this loses what is due meanwhile.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// Their p99 in seconds over the newest minute, by stage.
const LATENCY: &str = "synthetic.latency.p99";
/// How many of the newest sixty were lost.
const LOST: &str = "synthetic.lost";

/// A stream of one machine that is opened again when it breaks.
struct Feed {
    connections: Connections,
    name: &'static str,
    series: Vec<SeriesKey>,
    interval: Duration,
    session: u64,
    sequence: u64,
    link: Option<Link>,
    /// Sequence and stamp of what is not acknowledged yet.
    under_way: std::collections::VecDeque<(u64, i64)>,
}

impl Feed {
    /// Hands one frame to the stream, opening it if it must. What cannot be handed over is gone: the probe sends what is due, not what was.
    async fn send(&mut self, time_ms: i64, values: Vec<f64>) {
        if self.link.is_none() {
            self.open().await;
        }
        let Some(link) = &self.link else { return };
        self.sequence += 1;
        let frame = pb::Frame {
            sequence: self.sequence,
            layout: wire::LAYOUT,
            time_ms,
            age_ms: 0,
            values,
            present: Vec::new(),
        };
        if link.requests.try_send(wire::frames(vec![frame])).is_ok() {
            self.under_way.push_back((self.sequence, time_ms));
        }
    }

    async fn open(&mut self) {
        let hello = pb::Hello {
            machine_id: self.name.to_owned(),
            session: self.session,
            tags: BTreeMap::from([("origin".to_owned(), "synthetic".to_owned())]),
            interval_ms: u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX),
            inventory: None,
        };
        let layout = encode::layout(wire::LAYOUT, &self.series);
        let opening = Link::open(self.connections.of(0), hello, layout);
        self.under_way.clear();
        self.link = match timeout(OPEN_TIMEOUT, opening).await {
            Ok(Ok((link, _mark))) => Some(link),
            Ok(Err(status)) => {
                debug!(machine = self.name, reason = status.message(), "probe's stream does not open");
                None
            }
            Err(_elapsed) => None,
        };
    }

    /// The newest stamp that the hub has on disk, when it says so. Never ends without a stream. Cancel safe.
    async fn acknowledged(&mut self) -> Option<i64> {
        let Some(link) = &mut self.link else { return std::future::pending().await };
        let Ok(Some(answer)) = link.answers.message().await else {
            self.link = None;
            return None;
        };
        if !answer.unknown_layouts.is_empty() {
            self.link = None;
        }
        let mut newest = None;
        while let Some((_, stamp)) = self.under_way.pop_front_if(|(sequence, _)| *sequence <= answer.acknowledged) {
            newest = Some(stamp);
        }
        newest
    }
}

/// Sends what is due, for as long as it is polled.
pub(super) async fn run(settings: &Settings, book: &Book, clock: &SharedClock, moments: Moments) {
    let figures = figure_series(&book.stages());
    let (Ok(connections), Ok(own), Ok(figures)) = (Connections::to(&settings.grpc, 1), own_series(), figures) else {
        debug!(grpc = settings.grpc, "the hub's own address is none");
        return;
    };
    let session = mix(clock.now_us().cast_unsigned()) | 1;
    let feed = |name, series, interval| Feed {
        connections: connections.clone(),
        name,
        series,
        interval,
        session,
        sequence: 0,
        link: None,
        under_way: std::collections::VecDeque::new(),
    };
    let mut transactions = feed(MACHINE, own, settings.every);
    let mut reports = feed(HUB, figures, REPORT_EVERY);
    let mut due = interval(settings.every);
    // What was due while this task was held up is due all the same.
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut report = tokio::time::interval_at(Instant::now() + REPORT_EVERY, REPORT_EVERY);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut number, mut newest_ms) = (0_u64, 0_i64);
    loop {
        tokio::select! {
            at = due.tick() => {
                let stamp_ms = clock.now_us().div_euclid(1_000).max(newest_ms + 1);
                newest_ms = stamp_ms;
                let is_breach = (number / ALERT_EVERY) % 2 == 1;
                let changes = number > 0 && number.is_multiple_of(ALERT_EVERY);
                number += 1;
                book.expire(moments.now_us());
                book.open(stamp_ms, moments.us(at), changes.then_some(is_breach));
                transactions.send(stamp_ms, vec![stamp_ms as f64, f64::from(u8::from(is_breach))]).await;
            }
            _ = report.tick() => {
                let (p99, lost) = book.newest_minute();
                // A stage that had nothing yet is as good as any.
                let mut values: Vec<f64> = p99.iter().map(|(_, seconds)| seconds.unwrap_or(0.0)).collect();
                values.push(lost as f64);
                reports.send(clock.now_us().div_euclid(1_000), values).await;
            }
            stamp = transactions.acknowledged() => {
                if let Some(stamp) = stamp {
                    book.reached(Stage::Acknowledged, stamp, moments.now_us());
                }
            }
            _ = reports.acknowledged() => {}
        }
    }
}

fn own_series() -> Result<Vec<SeriesKey>, InvalidName> {
    [SEQUENCE, LEVEL].into_iter().map(|metric| SeriesKey::parse(metric, Labels::none())).collect()
}

fn figure_series(stages: &[Stage]) -> Result<Vec<SeriesKey>, InvalidName> {
    let latency = |stage: Stage| SeriesKey::parse(LATENCY, Labels::parse([("stage", stage.as_str())])?);
    let mut series: Vec<SeriesKey> = stages.iter().copied().map(latency).collect::<Result<_, _>>()?;
    series.push(SeriesKey::parse(LOST, Labels::none())?);
    Ok(series)
}
