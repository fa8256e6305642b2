//! Drain: how a program stops. One `Drain` is begun, every task that holds a `DrainToken` finishes what it has in
//! flight, and a `TaskSet` waits for all of them within a deadline.
//!
//! A task that fails or panics is reported by name as soon as it ends; the owner decides whether the program goes on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::BoxError;

/// The switch. Dropping every clone of it also drains, so that a lost owner cannot leave tasks behind.
#[derive(Debug, Clone)]
pub struct Drain {
    switch: Arc<watch::Sender<bool>>,
}

/// What a task holds to learn that it should finish.
#[derive(Debug, Clone)]
pub struct DrainToken {
    switch: watch::Receiver<bool>,
}

/// Named tasks with one owner. Dropping it aborts them.
#[derive(Debug, Default)]
pub struct TaskSet {
    tasks: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, Cow<'static, str>>,
}

/// One task's end.
#[derive(Debug)]
pub struct TaskEnd {
    pub name: Cow<'static, str>,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub enum Outcome {
    Finished,
    Failed(BoxError),
    Panicked(String),
    /// Did not end before the deadline and was aborted.
    Overdue,
}

impl Drain {
    #[must_use]
    pub fn new() -> Self {
        Self { switch: Arc::new(watch::Sender::new(false)) }
    }

    #[must_use]
    pub fn token(&self) -> DrainToken {
        DrainToken { switch: self.switch.subscribe() }
    }

    /// Idempotent.
    pub fn begin(&self) {
        self.switch.send_replace(true);
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl DrainToken {
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.switch.borrow() || self.switch.has_changed().is_err()
    }

    /// Ends when draining begins; cancel safe.
    pub async fn draining(&self) {
        let mut switch = self.switch.clone();
        // An error means that the owner is gone, which drains as well.
        drop(switch.wait_for(|is_draining| *is_draining).await);
    }
}

impl TaskSet {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn spawn<F>(&mut self, name: impl Into<Cow<'static, str>>, task: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name.into());
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The next task that ends, in whatever way; `None` when none is left. Cancel safe.
    pub async fn next_end(&mut self) -> Option<TaskEnd> {
        let joined = self.tasks.join_next_with_id().await?;
        Some(match joined {
            Ok((id, Ok(()))) => self.ended(id, Outcome::Finished),
            Ok((id, Err(error))) => self.ended(id, Outcome::Failed(error)),
            Err(error) => self.ended(error.id(), outcome_of(error)),
        })
    }

    /// Waits for every task, aborts what is left at the deadline, and reports each end in the order of ending.
    pub async fn join_all(mut self, within: Duration) -> Vec<TaskEnd> {
        let deadline = Instant::now() + within;
        let mut ends = Vec::with_capacity(self.tasks.len());
        while let Ok(Some(end)) = timeout_at(deadline, self.next_end()).await {
            ends.push(end);
        }
        self.tasks.abort_all();
        // A task that never yields cannot be aborted either; it must not hold up the report of its name.
        let mut overdue: Vec<_> = std::mem::take(&mut self.names).into_values().collect();
        overdue.sort();
        ends.extend(overdue.into_iter().map(|name| TaskEnd { name, outcome: Outcome::Overdue }));
        ends
    }

    fn ended(&mut self, id: Id, outcome: Outcome) -> TaskEnd {
        let name = self.names.remove(&id).unwrap_or(Cow::Borrowed("unnamed"));
        TaskEnd { name, outcome }
    }
}

impl TaskEnd {
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.outcome, Outcome::Finished)
    }
}

impl fmt::Display for TaskEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Finished => write!(out, "task {} finished", self.name),
            Outcome::Failed(error) => write!(out, "task {} failed: {error}", self.name),
            Outcome::Panicked(message) => write!(out, "task {} panicked: {message}", self.name),
            Outcome::Overdue => write!(out, "task {} did not end in time and was aborted", self.name),
        }
    }
}

fn outcome_of(error: JoinError) -> Outcome {
    match error.try_into_panic() {
        Ok(payload) => Outcome::Panicked(crate::failstop::panic_message(payload.as_ref()).to_owned()),
        Err(_cancelled) => Outcome::Overdue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn every_holder_of_a_token_learns_that_draining_began() {
        let drain = Drain::new();
        let (early, late) = (drain.token(), drain.token());
        assert!(!early.is_draining());
        let waiting = tokio::spawn(async move { early.draining().await });
        drain.begin();
        drain.begin();
        waiting.await.unwrap();
        late.draining().await;
        assert!(late.is_draining());
    }

    #[tokio::test]
    async fn a_lost_owner_drains_too() {
        let drain = Drain::new();
        let token = drain.token();
        drop(drain);
        token.draining().await;
        assert!(token.is_draining());
    }

    #[tokio::test(start_paused = true)]
    async fn joining_reports_each_end_by_name() {
        let mut tasks = TaskSet::new();
        tasks.spawn("good", async { Ok(()) });
        tasks.spawn("failing", async { Err("disk is full".into()) });
        tasks.spawn("panicking", async { panic!("broken") });
        tasks.spawn(String::from("stuck"), std::future::pending());
        let mut ends: Vec<String> = tasks.join_all(SECOND).await.iter().map(ToString::to_string).collect();
        ends.sort();
        expect_test::expect![[r#"
            [
                "task failing failed: disk is full",
                "task good finished",
                "task panicking panicked: broken",
                "task stuck did not end in time and was aborted",
            ]
        "#]]
        .assert_debug_eq(&ends);
    }

    #[tokio::test]
    async fn a_failure_is_reported_while_the_others_run() {
        let mut tasks = TaskSet::new();
        tasks.spawn("serving", std::future::pending());
        tasks.spawn("failing", async { Err("no such table".into()) });
        let end = tasks.next_end().await.unwrap();
        assert_eq!((end.name.as_ref(), end.is_finished(), tasks.len()), ("failing", false, 1));
    }
}
