//! Samples: a machine of a run on the wire with one sample a message, as the first collectors have it.
//!
//! That wire acknowledges a whole stream when its sender closes it, so nothing is timed frame by frame: what counts is what came through, and how late
//! this program was. Messages are made once and only stamped. Bounds: a few chunks wait for the network, the stream ends by the run's last moment.

mod link;
mod wire;

use std::sync::Arc;

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Status;

use self::link::SampleLink;
use self::wire::Tick;
use crate::lane::LaneEnd;
use crate::plan::Deed;
use crate::run::Course;

/// Ticks that are handed over at once when they are due: some 100 KiB of sixty series.
const TICKS_PER_CHUNK: usize = 32;

/// Runs a machine's plan on one stream. Frames that did not come through are told.
pub(crate) async fn run(course: Arc<Course>, machine: u32, name: &str) -> Result<LaneEnd, Status> {
    let samples = course.samples_per_frame;
    let mut plan = course.fleet.plan(machine).filter(|deed| matches!(deed, Deed::Frame(_))).peekable();
    if let Some(first) = plan.peek() {
        sleep_until(course.moment(first.due_us())).await;
    }
    let tick = Tick::new(name, usize::try_from(samples).unwrap_or(usize::MAX));
    let mut link = SampleLink::open(course.connections.of(machine));
    let (mut free_us, mut sent) = (0, 0_u64);
    while let Some(due_us) = plan.peek().map(Deed::due_us) {
        sleep_until(course.moment(due_us).min(course.last_moment)).await;
        if course.last_moment <= Instant::now() {
            break;
        }
        let now_us = course.now_us();
        let is_due = |deed: &Deed| deed.due_us() <= now_us;
        let due: Vec<u64> =
            std::iter::from_fn(|| plan.next_if(is_due)).take(TICKS_PER_CHUNK).map(|deed| deed.due_us()).collect();
        let times: Vec<i64> = due.iter().map(|due_us| course.wall_ms(*due_us)).collect();
        let Ok(()) = link.send(tick.chunk(&times), course.last_moment).await else { break };
        let after_us = course.now_us();
        let mut board = course.board.lock();
        for due_us in &due {
            board.own.record_since((*due_us).max(free_us), now_us);
        }
        // What waits for room on the connection waits for the hub.
        board.counts.held_us += after_us - now_us;
        free_us = after_us;
        board.counts.frames_sent += due.len() as u64;
        board.counts.samples_sent += due.len() as u64 * samples;
        sent += due.len() as u64;
    }
    let never_sent = plan.count() as u64;
    let ended = timeout_at(course.last_moment, link.close()).await;
    let mut board = course.board.lock();
    match ended {
        Ok(Ok(ack)) => {
            board.counts.samples_acknowledged += ack.accepted;
            board.counts.frames_acknowledged += ack.accepted / samples.max(1);
            if 0 < ack.rejected {
                board.refuse("rejected", ack.rejected);
            }
            let came = (ack.accepted + ack.rejected) / samples.max(1);
            Ok(LaneEnd { unacknowledged: never_sent + sent.saturating_sub(came), truth: None })
        }
        Ok(Err(status)) if crate::lane::is_hopeless(&status) => Err(status),
        Ok(Err(_)) | Err(_) => {
            board.counts.breaks += 1;
            Ok(LaneEnd { unacknowledged: never_sent + sent, truth: None })
        }
    }
}
