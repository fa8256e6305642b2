//! Accept: connections off the listener, bounded, and only those that speak.
//!
//! A connection that sends nothing within the hello's time is closed; beyond the limit new ones wait in the kernel's backlog. When
//! the system has no more file descriptors the listener pauses: accepting in a loop would take a core and mend nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, FuturesUnordered};
use futures_util::{Stream, StreamExt, future::BoxFuture};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tracing::{debug, warn};

const PAUSE: Duration = Duration::from_millis(200);

/// A TCP connection that counts against the limit while it lives.
pub(crate) struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    /// Connected, and silent so far.
    silent: FuturesUnordered<BoxFuture<'static, Option<Connection>>>,
    speaks_within: Duration,
}

/// Connections that have sent their first byte. Never ends.
pub(crate) fn connections(
    listener: TcpListener,
    connections_max: usize,
    speaks_within: Duration,
) -> impl Stream<Item = io::Result<Connection>> {
    let door = Door {
        listener,
        places: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))),
        silent: FuturesUnordered::new(),
        speaks_within,
    };
    stream::unfold(door, async |mut door| {
        let connection = door.next().await;
        Some((Ok(connection), door))
    })
}

impl Door {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                accepted = accept(&self.listener, &self.places) => match accepted {
                    Ok(connection) => self.silent.push(Box::pin(speaking(connection, self.speaks_within))),
                    Err(error) if is_about_the_peer(&error) => debug!(%error, "connection is gone before it was accepted"),
                    Err(error) => {
                        warn!(%error, "connections cannot be accepted for now; check the limit of open files");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(Some(connection)) = self.silent.next(), if !self.silent.is_empty() => return connection,
            }
        }
    }
}

/// Cancel safe: a place is taken before a connection is.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<Connection> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(Connection { stream, _place: place })
}

async fn speaking(connection: Connection, within: Duration) -> Option<Connection> {
    // A look at the byte itself: `readable` may say yes when nothing is there.
    match tokio::time::timeout(within, connection.stream.peek(&mut [0])).await {
        Ok(Ok(1..)) => Some(connection),
        Ok(Ok(0) | Err(_)) | Err(_) => None,
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
