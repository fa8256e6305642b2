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
        let mut plan = Plan { next: Instant::now(), focus_until: None, is_paused: false };
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
        info!(order = ?order, "order taken");
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
        let interval = if plan.focus_until.is_some() { own.min(FOCUS_INTERVAL) } else { own };
        // A rate over a second is good enough for the first screen; later ones are spaced evenly.
        let gap = if was_first { interval.min(FOCUS_INTERVAL) / 2 } else { interval / 2 };
        now + until_next(self.clock.now_us(), interval, phase(&self.machine, interval), gap)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fastrand::Rng;
    use runtime::clock::{Clock, micros};
    use runtime::drain::Drain;
    use runtime::metrics::Registry;
    use runtime::queue::WhenFull;

    use super::*;
    use crate::outbox::Outbox;
    use crate::telemetry::Telemetry;

    /// Goes with tokio's paused time, and jumps when it is told to.
    struct PausedClock {
        start: Instant,
        jump: watch::Receiver<Duration>,
    }

    impl Clock for PausedClock {
        fn now_us(&self) -> i64 {
            i64::try_from(self.monotonic_us() + micros(*self.jump.borrow())).unwrap()
        }

        fn monotonic_us(&self) -> u64 {
            micros(self.start.elapsed())
        }
    }

    /// A ticker at 5 s without sources.
    struct Ticking {
        orders: queue::Sender<Order>,
        interval: watch::Sender<Duration>,
        jump: watch::Sender<Duration>,
        mailbox: Mailbox,
        drain: Drain,
    }

    impl Ticking {
        fn start() -> Self {
            let (jump, jumps) = watch::channel(Duration::ZERO);
            let clock: SharedClock = Arc::new(PausedClock { start: Instant::now(), jump: jumps });
            let metrics = Registry::new();
            let outbox = Outbox::new(None, Telemetry::new(&metrics), SharedClock::clone(&clock), Rng::with_seed(1));
            let (orders, orders_rx) = queue::bounded("orders", 4, WhenFull::Shed);
            let (interval, interval_rx) = watch::channel(Duration::from_secs(5));
            let (mailbox, drain) = (Mailbox::new(outbox), Drain::new());
            let ticker = Ticker {
                sampler: Sampler::start(Vec::new(), SharedClock::clone(&clock), &metrics).unwrap(),
                machine: MachineId::parse("m").unwrap(),
                clock,
                mailbox: mailbox.clone(),
                interval: interval_rx,
                orders: orders_rx,
                processes: watch::Sender::new(None),
            };
            tokio::spawn(ticker.run(drain.token()));
            Self { orders, interval, jump, mailbox, drain }
        }

        /// Frames that are sampled in the next seconds.
        async fn frames_in(&self, seconds: u64) -> u64 {
            let before = self.mailbox.lock().await.waiting();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            self.mailbox.lock().await.waiting() - before
        }

        fn order(&self, order: Order) {
            self.orders.try_send(order).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_first_frame_at_once_and_then_one_in_each_interval() {
        let ticking = Ticking::start();
        assert!((2..=3).contains(&ticking.frames_in(6).await));
        assert_eq!(ticking.frames_in(500).await, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn orders_and_intervals_of_the_hub_are_followed() {
        let ticking = Ticking::start();
        ticking.frames_in(60).await;
        ticking.order(Order::Pause);
        assert_eq!(ticking.frames_in(600).await, 0);
        ticking.order(Order::CollectNow);
        assert_eq!(ticking.frames_in(60).await, 1);
        ticking.order(Order::Resume);
        assert!((12..=13).contains(&ticking.frames_in(60).await));
        ticking.order(Order::Focus);
        assert!((59..=61).contains(&ticking.frames_in(59).await));
        ticking.frames_in(10).await;
        assert_eq!(ticking.frames_in(50).await, 10, "a focus ends by itself");
        ticking.interval.send_replace(Duration::from_secs(10));
        ticking.frames_in(20).await;
        assert_eq!(ticking.frames_in(100).await, 10);
        ticking.drain.begin();
        assert_eq!(ticking.frames_in(100).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_jumps_neither_stops_nor_hurries_the_ticks() {
        let ticking = Ticking::start();
        ticking.frames_in(60).await;
        for jump_s in [3_600_000, 7, 123_456, 0] {
            ticking.jump.send_replace(Duration::from_millis(jump_s * 1_001));
            assert!((19..=21).contains(&ticking.frames_in(100).await));
        }
    }
}
