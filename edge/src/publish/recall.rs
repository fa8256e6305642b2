//! Recall: asks history for the machines' past, one machine after the other, beside everything else: nobody waits for it.

use std::time::Duration;

use model::query::{AlertQuery, QueryError};
use model::rule::MACHINE_DOWN;
use model::{Alert, MachineId};
use tokio::time::{Instant, sleep, timeout_at};

use super::Publisher;
use super::memory::Question;
use super::past::OUTAGES_MAX;
use crate::protocol::Days;

/// For one machine.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Between two machines: the dashboard's own questions come first.
const PAUSE: Duration = Duration::from_millis(250);
/// Until somebody is due again, or history is back.
const RESTS: Duration = Duration::from_secs(5);
const AWAY: Duration = Duration::from_secs(60);

impl Publisher {
    /// Keeps the fleet's memory up to date, again and again.
    pub(super) async fn recall(&self) {
        loop {
            let question = self.fleet().next_question(self.now_ms());
            let pause = match question {
                None => RESTS,
                Some(question) => self.ask(&question).await,
            };
            sleep(pause).await;
        }
    }

    /// How long to wait before the next question. Outages and days may be in different stores, of which either may be away.
    async fn ask(&self, question: &Question) -> Duration {
        let deadline = Instant::now() + ANSWERS_WITHIN;
        let within = |error: &QueryError| tracing::debug!(%error, "the edge goes without some of the past");
        let is_first = match timeout_at(deadline, self.outages(question)).await {
            Ok(Ok(alerts)) => self.fleet().remember_outages(&question.machine, &alerts),
            Ok(Err(error)) => {
                within(&error);
                false
            }
            Err(_elapsed) => false,
        };
        match timeout_at(deadline, self.days(question)).await {
            Ok(Ok(days)) => {
                self.fleet().remember_days(question, days);
                return PAUSE;
            }
            Ok(Err(error)) => within(&error),
            Err(_elapsed) => {}
        }
        if is_first { PAUSE } else { AWAY }
    }

    /// Those that are shown: the newest few.
    async fn outages(&self, question: &Question) -> Result<Vec<Alert>, QueryError> {
        let (from, to) = question.range;
        let machine: Option<MachineId> = Some(question.machine.clone());
        let rule = Some(String::from(MACHINE_DOWN));
        self.sources.history.alerts(AlertQuery { from, to, machine, rule, offset: 0, limit: OUTAGES_MAX }).await
    }

    async fn days(&self, question: &Question) -> Result<Days, QueryError> {
        for query in question.queries() {
            if let Some(days) = question.days(&self.sources.history.range(query).await?) {
                return Ok(days);
            }
        }
        Ok(question.no_days())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use model::query::{
        Answer, Changes, DeadLetterQuery, FleetAnswer, FleetQuery, History, HotState, MachineView, ProcessQuery,
        RangeAnswer, RangeQuery, SeriesPoints, Tier,
    };
    use model::{AlertGroup, DeadLetter, GroupKey, Hottest, Processes, Timestamp};
    use runtime::clock::ManualClock;
    use runtime::metrics::Registry;
    use tokio::time::timeout;

    use super::*;
    use crate::publish::memory::HEARD;
    use crate::publish::tests::{alert, choice, view};
    use crate::publish::{EdgeUrl, Settings, Sources, Token};

    const NOW_MS: i64 = 500_000 * 3_600_000;

    /// Knows when machines were down, and their hours where it is not away.
    #[derive(Default)]
    struct Store {
        is_away: Mutex<bool>,
        asked: Mutex<Vec<String>>,
    }

    impl History for Store {
        fn range(&self, query: RangeQuery) -> Answer<'_, RangeAnswer> {
            self.asked.lock().unwrap().push(format!("{} {}", query.machine, query.metrics.join(" ")));
            let is_away = *self.is_away.lock().unwrap();
            // The processor's usage is not among what these machines send.
            let hour = SeriesPoints {
                t: vec![Timestamp::from_millis(NOW_MS - 3_600_000)],
                count: vec![1],
                ..SeriesPoints::default()
            };
            let series = if query.metrics[0] == HEARD { Vec::new() } else { vec![hour] };
            Box::pin(async move {
                if is_away {
                    return Err(QueryError::Unavailable(String::from("away")));
                }
                Ok(RangeAnswer { series, ..RangeAnswer::default() })
            })
        }

        fn processes(&self, _: ProcessQuery) -> Answer<'_, Option<Processes>> {
            unreachable!("nobody asks")
        }

        fn fleet(&self, _: FleetQuery) -> Answer<'_, FleetAnswer> {
            unreachable!("nobody asks")
        }

        fn alerts(&self, query: AlertQuery) -> Answer<'_, Vec<Alert>> {
            assert_eq!((query.rule.as_deref(), query.limit), (Some(MACHINE_DOWN), OUTAGES_MAX));
            let machine = query.machine.unwrap();
            Box::pin(async move { Ok(vec![alert(machine.as_str(), MACHINE_DOWN, (NOW_MS - 2, Some(NOW_MS - 1)))]) })
        }

        fn dead_letters(&self, _: DeadLetterQuery) -> Answer<'_, Vec<DeadLetter>> {
            unreachable!("nobody asks")
        }

        fn kept(&self, _: Tier) -> Duration {
            Duration::ZERO
        }
    }

    /// Machines are put into the fleet without it.
    impl HotState for Store {
        fn machines(&self) -> Vec<Arc<MachineView>> {
            Vec::new()
        }

        fn machine(&self, _: &MachineId) -> Option<Arc<MachineView>> {
            None
        }

        fn alerts(&self) -> Vec<Arc<Alert>> {
            Vec::new()
        }

        fn groups(&self) -> Vec<(GroupKey, Arc<AlertGroup>)> {
            Vec::new()
        }

        fn hottest(&self) -> Option<Arc<Hottest>> {
            None
        }

        fn version(&self) -> u64 {
            0
        }

        fn changes(&self, _: u64) -> Changes {
            Changes::default()
        }
    }

    fn publisher(store: &Arc<Store>) -> Publisher {
        let settings = Settings {
            edge: EdgeUrl::parse("ws://127.0.0.1:1", false).unwrap(),
            token: Token::parse("0123456789abcdef").unwrap(),
            ca_file: None,
            title: String::from("Status"),
            choice: choice(),
            every: Duration::from_secs(1),
        };
        let hot = Arc::clone(store) as Arc<dyn HotState>;
        let clock = ManualClock::at(NOW_MS * 1_000).shared();
        let history = Arc::clone(store) as Arc<dyn History>;
        let (publisher, _) = Publisher::new(settings, Sources { hot, history, clock }, &Registry::new());
        let machines = ["pub-1", "pub-2"].map(|id| view(id, true, &[0.5; 4], NOW_MS)).to_vec();
        publisher.fleet().take(&Changes { version: 1, machines, ..Changes::default() });
        publisher
    }

    #[tokio::test(start_paused = true)]
    async fn while_history_is_away_days_are_not_known_and_it_is_asked_again_a_minute_later() {
        let store = Arc::new(Store { is_away: Mutex::new(true), ..Store::default() });
        let publisher = publisher(&store);
        timeout(AWAY / 2, publisher.recall()).await.unwrap_err();
        let asked = std::mem::take(&mut *store.asked.lock().unwrap());
        assert_eq!(asked, ["pub-1", "pub-2", "pub-1"].map(|machine| format!("{machine} {HEARD}")));
        let incidents = publisher.fleet().incidents();
        assert_eq!((incidents.is_complete, incidents.newest.len()), (true, 2), "outages are known nevertheless");
        let days = || publisher.fleet().ordered().iter().map(|machine| machine.memory.days()).collect::<Vec<_>>();
        assert_eq!(days(), [None, None]);
        *store.is_away.lock().unwrap() = false;
        timeout(AWAY, publisher.recall()).await.unwrap_err();
        let asked = store.asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 4, "each machine by two metrics, once: {asked:?}");
        let newest = days().into_iter().map(|days| days.unwrap().shares.pop().unwrap());
        assert_eq!(newest.collect::<Vec<_>>(), [Some(1_000); 2]);
    }
}
