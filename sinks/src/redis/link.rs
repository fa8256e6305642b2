//! Link: one connection to Redis or to a cluster of them, over which commands go in pipelines, each with a deadline.

use futures_util::{StreamExt, TryStreamExt, stream};
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerError};
use runtime::BoxError;
use tokio::time::timeout;

use super::config::RedisSettings;
use crate::error::SinkError;

/// Commands under way to a cluster, whose pipelines would have to stay in one slot.
const CLUSTER_COMMANDS: usize = 256;

/// Cheap to clone: clones share the connection. After an error it is not worth keeping.
#[derive(Clone)]
pub(crate) struct Link {
    sink: &'static str,
    connection: Connection,
}

#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Connects, logs in, and hears the server answer.
    pub(crate) async fn open(sink: &'static str, settings: &RedisSettings) -> Result<Self, SinkError> {
        // Once per process; whoever came first chose the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let failed = |error| unavailable(sink, "connect", error);
        let opening = async {
            let connection = if settings.address.is_cluster {
                let mut builder = ClusterClient::builder(settings.address.nodes.clone())
                    .connection_timeout(settings.connect_within)
                    .response_timeout(settings.answer_within)
                    .retries(1);
                if let Some(certificates) = settings.certificates(sink)? {
                    builder = builder.certs(certificates);
                }
                let client = builder.build().map_err(failed)?;
                Connection::Cluster(client.get_async_connection().await.map_err(failed)?)
            } else {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(settings.connect_within))
                    .set_response_timeout(Some(settings.answer_within));
                let client = settings.node(sink)?;
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                Connection::One(connection.await.map_err(failed)?)
            };
            let link = Self { sink, connection };
            link.ask::<()>(&redis::cmd("PING")).await?;
            Ok(link)
        };
        // A server that takes a connection and then says nothing.
        let opened = timeout(settings.connect_within + settings.answer_within, opening).await;
        opened.map_err(|_late| broken_off(sink, "connect"))?
    }

    /// Runs commands in order (of one key, on a cluster), all in one round trip. An answer that is an error fails the whole.
    pub(crate) async fn run(&self, commands: Vec<Cmd>) -> Result<(), SinkError> {
        let ran = match self.connection.clone() {
            Connection::One(mut connection) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command).ignore();
                }
                pipeline.exec_async(&mut connection).await
            }
            Connection::Cluster(connection) => {
                let each = commands.into_iter().map(|command| {
                    let mut connection = connection.clone();
                    async move { command.exec_async(&mut connection).await }
                });
                stream::iter(each).buffered(CLUSTER_COMMANDS).try_collect::<()>().await
            }
        };
        ran.map_err(|error| unavailable(self.sink, "write", error))
    }

    /// Runs one command and gives its answer.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, SinkError> {
        let asked = match self.connection.clone() {
            Connection::One(mut connection) => command.query_async(&mut connection).await,
            Connection::Cluster(mut connection) => command.query_async(&mut connection).await,
        };
        asked.map_err(|error| unavailable(self.sink, "ask", error))
    }
}

/// An error by what a person would do about it. Of a pipeline the first one stands for all: the rest says the same.
pub(crate) fn unavailable(sink: &'static str, action: &'static str, error: RedisError) -> SinkError {
    let kind = error.kind();
    let is_login = kind == ErrorKind::AuthenticationFailed;
    let first = error.clone().into_server_errors().and_then(|errors| Some(errors.first()?.1.clone()));
    let source: BoxError = match &first {
        Some(first) => first.to_string().into(),
        None => error.into(),
    };
    let advice = match (kind, first.as_ref().map(ServerError::code)) {
        _ if is_login => "check user and password in REDIS_URL",
        (_, Some("WRONGPASS" | "NOAUTH")) => "check user and password in REDIS_URL",
        (_, Some("OOM")) => "give Redis more memory, or set its maxmemory-policy to volatile-ttl",
        (_, Some("NOPERM")) => {
            "let the user of REDIS_URL use PING, SET, UNLINK, ZADD, ZREM, ZSCAN and PUBLISH on the hub's keys and channels"
        }
        (_, Some("READONLY")) => "REDIS_URL must name the primary, not a replica",
        (_, Some("MISCONF")) => "Redis cannot save its data and refuses writes: see its log",
        (ErrorKind::RESP3NotSupported, _) => "use Redis 6 or newer",
        (ErrorKind::InvalidClientConfig, _) => "check REDIS_URL and redis.ca_file",
        _ => return SinkError::Unavailable { sink, action, source },
    };
    SinkError::Broken { sink, action, advice: advice.to_owned(), source }
}

pub(crate) fn broken_off(sink: &'static str, action: &'static str) -> SinkError {
    SinkError::Unavailable { sink, action, source: "the server does not answer".into() }
}
