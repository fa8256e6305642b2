//! A few read-only connections. A query waits for one, runs on a blocking thread, and ends at its deadline or when its asker is gone.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::query::QueryError;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::open::open_reader;
use crate::error::chain;

/// Steps of SQLite's machine between two looks at the deadline: some microseconds.
const STEPS: i32 = 2_000;

#[derive(Clone)]
pub(super) struct Pool {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    within: Duration,
}

/// What a query fails with.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("read history")]
    Sql(#[from] rusqlite::Error),
    #[error("{0}")]
    Content(String),
}

/// Tells the query to end when the asker is gone.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(path: PathBuf, readers: usize, within: Duration) -> Self {
        Self { path: Arc::new(path), idle: Arc::default(), permits: Arc::new(Semaphore::new(readers.max(1))), within }
    }

    /// Runs a query in one read transaction: everything it reads is of one moment.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let deadline = Instant::now() + self.within;
        let timed_out = QueryError::Timeout(u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX));
        let Ok(permit) = timeout(self.within, Arc::clone(&self.permits).acquire_owned()).await else {
            return Err(timed_out);
        };
        let permit = permit.map_err(|_closed| QueryError::Unavailable("the store is closed".to_owned()))?;
        let cancel = Cancel(Arc::default());
        let (pool, is_over) = (self.clone(), Arc::clone(&cancel.0));
        let done = spawn_blocking(move || {
            let _permit = permit;
            pool.run(work, move || is_over.load(Ordering::Relaxed) || deadline <= Instant::now())
        });
        let answer = done.await.map_err(|error| QueryError::Failed(error.to_string()))?;
        drop(cancel);
        answer.map_err(|error| match &error {
            ReadError::Sql(sql) if sql.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => timed_out,
            ReadError::Sql(sql) if sql.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                QueryError::Unavailable(chain(&error))
            }
            ReadError::Sql(_) | ReadError::Content(_) => QueryError::Failed(chain(&error)),
        })
    }

    fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, ReadError>,
        is_over: impl FnMut() -> bool + Send + 'static,
    ) -> Result<T, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        connection.progress_handler(STEPS, Some(is_over))?;
        let answer = {
            let transaction = connection.transaction()?;
            work(&transaction)?
            // Dropped, hence rolled back: nothing was written.
        };
        connection.progress_handler(STEPS, None::<fn() -> bool>)?;
        // Only after a success: a connection that failed may be broken, and a new one is cheap.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }
}
