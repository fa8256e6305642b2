//! History on a server, with the store in the data folder behind it: while the server is away, alerts and dead letters are answered from
//! there, where they are as well (ADR 0018). Samples and windows are on the server alone, and those questions go on saying that it is away.
//! Where history is off, they are nowhere.

use std::sync::Arc;
use std::time::Duration;

use model::Alert;
use model::query::{
    AlertQuery, Answer, DeadLetterQuery, FleetAnswer, FleetQuery, History, ProcessQuery, QueryError, RangeAnswer,
    RangeQuery, Tier,
};
use model::{DeadLetter, Processes};

pub(crate) struct WithState {
    pub(crate) server: Arc<dyn History>,
    pub(crate) state: Arc<dyn History>,
}

/// Whether the other store is worth asking: a question that is wrong is wrong there, too.
fn is_away(error: &QueryError) -> bool {
    match error {
        QueryError::Unavailable(_) | QueryError::Timeout(_) => true,
        QueryError::Failed(_) => false,
    }
}

impl History for WithState {
    fn range(&self, query: RangeQuery) -> Answer<'_, RangeAnswer> {
        self.server.range(query)
    }

    fn processes(&self, query: ProcessQuery) -> Answer<'_, Option<Processes>> {
        self.server.processes(query)
    }

    fn fleet(&self, query: FleetQuery) -> Answer<'_, FleetAnswer> {
        self.server.fleet(query)
    }

    fn alerts(&self, query: AlertQuery) -> Answer<'_, Vec<Alert>> {
        Box::pin(async move {
            match self.server.alerts(query.clone()).await {
                Err(error) if is_away(&error) => self.state.alerts(query).await,
                answer => answer,
            }
        })
    }

    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, Vec<DeadLetter>> {
        Box::pin(async move {
            match self.server.dead_letters(query.clone()).await {
                Err(error) if is_away(&error) => self.state.dead_letters(query).await,
                answer => answer,
            }
        })
    }

    fn kept(&self, tier: Tier) -> Duration {
        self.server.kept(tier)
    }
}

/// The store in the data folder as what the hub is asked of, whether it has the history or the state alone.
pub(crate) fn embedded(is_on: bool, store: impl History + 'static) -> Arc<dyn History> {
    if is_on { Arc::new(store) } else { Arc::new(StateOnly(Arc::new(store))) }
}

/// Where history is off.
struct StateOnly(Arc<dyn History>);

fn is_off<T: Send + 'static>() -> Answer<'static, T> {
    let why = "it is off in this hub's settings (history.enabled)".to_owned();
    Box::pin(std::future::ready(Err(QueryError::Unavailable(why))))
}

impl History for StateOnly {
    fn range(&self, _: RangeQuery) -> Answer<'_, RangeAnswer> {
        is_off()
    }

    fn processes(&self, _: ProcessQuery) -> Answer<'_, Option<Processes>> {
        is_off()
    }

    fn fleet(&self, _: FleetQuery) -> Answer<'_, FleetAnswer> {
        is_off()
    }

    fn alerts(&self, query: AlertQuery) -> Answer<'_, Vec<Alert>> {
        self.0.alerts(query)
    }

    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, Vec<DeadLetter>> {
        self.0.dead_letters(query)
    }

    fn kept(&self, tier: Tier) -> Duration {
        self.0.kept(tier)
    }
}
