//! Ticker: when the sampler looks. The interval comes from the settings or the hub, and the hub may pause, hurry or focus.

use std::time::Duration;

use model::MachineId;
use proto::pb;
use runtime::clock::SharedClock;
use runtime::drain::DrainToken;
use runtime::queue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

use crate::mailbox::Mailbox;
use crate::sampler::{Sampler, phase, until_next};

/// What `focus` means on the wire: each second, for a minute.
const FOCUS_INTERVAL: Duration = Duration::from_secs(1);
const FOCUS_LASTS: Duration = Duration::from_secs(60);

/// What the hub may ask of the sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Pause,
    Resume,
    CollectNow,
    Focus,
}

pub(crate) struct Ticker {
    pub(crate) sampler: Sampler,
    pub(crate) machine: MachineId,
    pub(crate) clock: SharedClock,
    pub(crate) mailbox: Mailbox,
    pub(crate) interval: watch::Receiver<Duration>,
    pub(crate) orders: queue::Receiver<Order>,
    /// The newest table of processes; each replaces the one before.
    pub(crate) processes: watch::Sender<Option<pb::ProcessTable>>,
}

struct Plan {
    next: Instant,
    focus_until: Option<Instant>,
    is_paused: bool,
}

impl Ticker {
    /// Ticks until draining begins; a tick under way is finished.
    pub(crate) async fn run(mut self, drain: DrainToken) {
        // The first look at once: it is what later rates are counted from.
        let mut plan = Plan {
            next: Instant::now(),
            focus_until: None,
            is_paused: false,
        };
        let mut is_first = true;
        loop {
            tokio::select! {
                biased;
                () = drain.draining() => return,
                Some(order) = self.orders.recv() => self.obey(order, &mut plan).await,
                Ok(()) = self.interval.changed() => plan.next = self.next_tick(&mut plan, false),
                () = sleep_until(plan.next), if !plan.is_paused => {
                    self.tick().await;
                    plan.next = self.next_tick(&mut plan, std::mem::take(&mut is_first));
                }
            }
        }
    }

    async fn tick(&mut self) {
        let mut tick = self.sampler.sample().await;
        if let Some(table) = tick.processes.take() {
            self.processes.send_replace(Some(table));
        }
        let (series, values) = (tick.row.layout.series.len(), tick.row.values.len());
        self.mailbox.push(tick).await;
        debug!(series, values, "frame sampled");
    }

    async fn obey(&mut self, order: Order, plan: &mut Plan) {
        info!(order = ?order, "order of the hub");
        match order {
            Order::Pause => plan.is_paused = true,
            Order::Resume => {
                plan.is_paused = false;
                plan.next = Instant::now();
            }
            // Out of the grid, and the grid stays.
            Order::CollectNow => self.tick().await,
            Order::Focus => {
                plan.focus_until = Some(Instant::now() + FOCUS_LASTS);
                plan.next = Instant::now();
            }
        }
    }

    fn next_tick(&mut self, plan: &mut Plan, was_first: bool) -> Instant {
        let now = Instant::now();
        plan.focus_until = plan.focus_until.filter(|until| now < *until);
        let own = *self.interval.borrow_and_update();
        let interval = if plan.focus_until.is_some() {
            own.min(FOCUS_INTERVAL)
        } else {
            own
        };
        // A rate over a second is good enough for the first screen; later ones are spaced evenly.
        let gap = if was_first {
            interval.min(FOCUS_INTERVAL) / 2
        } else {
            interval / 2
        };
        now + until_next(self.clock.now_us(), interval, phase(&self.machine, interval), gap)
    }
}
