//! Part: tasks of the hub that start together and are stopped together, in their turn.

use std::future::{Future, pending};
use std::time::Duration;

use runtime::BoxError;
use runtime::drain::{Drain, DrainToken, TaskEnd, TaskSet};
use tracing::warn;

#[derive(Debug, Default)]
pub(crate) struct Part {
    drain: Drain,
    tasks: TaskSet,
}

impl Part {
    pub(crate) fn token(&self) -> DrainToken {
        self.drain.token()
    }

    pub(crate) fn spawn<F>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.tasks.spawn(name, task);
    }

    /// The first task that ends, which none does before it is told to. Cancel safe.
    pub(crate) async fn ended(&mut self) -> TaskEnd {
        match self.tasks.next_end().await {
            Some(end) => end,
            None => pending().await,
        }
    }

    /// Lets every task finish what is in flight; true when all did, in time.
    pub(crate) async fn stop(self, within: Duration) -> bool {
        self.drain.begin();
        let ends = self.tasks.join_all(within).await;
        let failed = ends.iter().filter(|end| !end.is_finished());
        failed.inspect(|end| warn!(%end, "task did not drain")).count() == 0
    }
}
