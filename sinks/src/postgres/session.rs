//! One connection: opened with its limits set, statements prepared once, ended when it is dropped.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use hashbrown::HashMap;
use tokio::task::AbortHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Client, Error, NoTls, Row, Statement};

use super::config::PostgresUrl;
use super::error::{Failure, is_refusal};
use super::tls;

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Sent to the server at once: some of what a socket buffers.
const PIECE_BYTES: usize = 256 << 10;

pub(super) struct Session {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
    /// Carries the bytes; ended with the session, also when the server hangs.
    connection: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Session {
    /// A connection whose statements end after `statement_within` on the server.
    pub(super) async fn open(url: &PostgresUrl, statement_within: Duration) -> Result<Self, Failure> {
        let (client, connection) = if url.is_encrypted {
            let tls = tls::connector(url.authority.as_deref()).map_err(|error| Failure::Content(error.to_string()))?;
            let (client, connection) = url.config.connect(tls).await?;
            (client, tokio::spawn(async move { drop(connection.await) }).abort_handle())
        } else {
            let (client, connection) = url.config.connect(NoTls).await?;
            (client, tokio::spawn(async move { drop(connection.await) }).abort_handle())
        };
        let session = Self { client, statements: Mutex::default(), connection };
        // A lock is waited for only so long that nobody behind us in the queue suffers.
        let within = statement_within.as_millis();
        session
            .batch(&format!(
                "SET statement_timeout = {within}; SET lock_timeout = 10000; \
                 SET idle_in_transaction_session_timeout = 120000; SET timezone = 'UTC'; SET client_min_messages = warning"
            ))
            .await?;
        Ok(session)
    }

    async fn statement(&self, text: &str) -> Result<Statement, Error> {
        let known = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(text).await?;
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) async fn execute(&self, text: &str, params: Params<'_>) -> Result<u64, Error> {
        self.client.execute(&self.statement(text).await?, params).await
    }

    pub(super) async fn query(&self, text: &str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        self.client.query(&self.statement(text).await?, params).await
    }

    pub(super) async fn one(&self, text: &str, params: Params<'_>) -> Result<Row, Error> {
        self.client.query_one(&self.statement(text).await?, params).await
    }

    /// Statements without parameters, separated by semicolons.
    pub(super) async fn batch(&self, text: &str) -> Result<(), Error> {
        self.client.batch_execute(text).await
    }

    /// Runs a part of a transaction. The outer error ends the transaction; the inner one is of a row that the server refused, and all is
    /// as it was before the part.
    pub(super) async fn part<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Result<T, Error>, Failure> {
        self.batch("SAVEPOINT part").await?;
        match work.await {
            Ok(done) => {
                self.batch("RELEASE SAVEPOINT part").await?;
                Ok(Ok(done))
            }
            Err(Failure::Sql(error)) if is_refusal(&error) => {
                self.batch("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part").await?;
                Ok(Err(error))
            }
            Err(other) => Err(other),
        }
    }

    /// Rows in the binary format, framed by its header and its end; how many the server took.
    pub(super) async fn copy_in(&self, text: &str, rows: impl Iterator<Item = Bytes>) -> Result<u64, Error> {
        let sink = self.client.copy_in::<_, Bytes>(&self.statement(text).await?).await?;
        let mut sink = std::pin::pin!(sink);
        for mut bytes in rows {
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                sink.send(piece).await?;
            }
        }
        sink.finish().await
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }
}
