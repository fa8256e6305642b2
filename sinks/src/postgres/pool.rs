//! A few connections that read. A query waits for one, and ends at its deadline or when its asker is gone, on the server too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::query::QueryError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_postgres::{CancelToken, NoTls};

use super::config::PostgresUrl;
use super::error::{Failure, query_error};
use super::session::Session;
use super::tls;

/// What telling the server of it may take.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Pool {
    url: PostgresUrl,
    idle: Arc<Mutex<Vec<Session>>>,
    permits: Arc<Semaphore>,
    within: Duration,
}

/// A connection on loan. Unless it is given back it is dropped, and the server is told to end what it does for it.
pub(super) struct Loan {
    session: Option<Session>,
    url: PostgresUrl,
    idle: Arc<Mutex<Vec<Session>>>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(url: PostgresUrl, readers: usize, within: Duration) -> Self {
        Self { url, idle: Arc::default(), permits: Arc::new(Semaphore::new(readers.max(1))), within }
    }

    pub(super) fn within_ms(&self) -> u64 {
        u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX)
    }

    /// Runs a query against a deadline, waiting for a connection included.
    pub(super) async fn run<T>(&self, query: impl Future<Output = Result<T, Failure>>) -> Result<T, QueryError> {
        let done = timeout(self.within, query).await;
        done.unwrap_or(Err(Failure::Late(self.within.as_secs())))
            .map_err(|failure| query_error(failure, self.within_ms()))
    }

    pub(super) async fn lend(&self) -> Result<Loan, Failure> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_closed| Failure::Content("the store is closed".to_owned()))?;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let session = match idle {
                // The server was restarted meanwhile.
                Some(session) if session.is_closed() => continue,
                Some(session) => session,
                None => Session::open(&self.url, self.within).await?,
            };
            let (url, idle) = (self.url.clone(), Arc::clone(&self.idle));
            return Ok(Loan { session: Some(session), url, idle, _permit: permit });
        }
    }
}

impl Loan {
    pub(super) fn session(&self) -> &Session {
        self.session.as_ref().expect("it is given back only with the loan's end")
    }

    /// After a success only: a connection that failed may be broken, and a new one is cheap.
    pub(super) fn give_back(mut self) {
        if let Some(session) = self.session.take() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(session) = self.session.take().filter(|session| !session.is_closed())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (token, url) = (session.cancel_token(), self.url.clone());
            runtime.spawn(async move {
                drop(timeout(CANCEL_WITHIN, cancel(token, url)).await);
                drop(session);
            });
        }
    }
}

async fn cancel(token: CancelToken, url: PostgresUrl) {
    // Best effort: the server ends the statement by itself at the same deadline.
    if !url.is_encrypted {
        drop(token.cancel_query(NoTls).await);
    } else if let Ok(tls) = tls::connector(url.authority.as_deref()) {
        drop(token.cancel_query(tls).await);
    }
}
