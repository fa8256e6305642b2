//! Serve: takes connections until the hub drains, then lets what is under way end.
//!
//! HTTP/1.1 only: browsers speak nothing newer without TLS, and a proxy in front speaks it, too. Bounded: connections, the size of a
//! request's head and the time to send it, so that slow or idle connections cannot pile up.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use runtime::drain::DrainToken;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::live::{fanout, lanes};
use crate::stall::Impatient;
use crate::starting::Starting;
use crate::state::{AppState, Shared};

/// A request's head must be here within this time; also how long a kept-alive connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer takes something of its answer within this time. Longer than live clients are given, which are told apart and counted.
const STALL_MAX: Duration = Duration::from_secs(30);
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Connections that wait for a request or answer one; a live client's leaves this count with its upgrade and has a place of its own.
const CONNECTIONS_MAX: usize = 4_096;
/// A hub that has started does not wait longer for whoever reads the last answer of its start slowly.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// Pause when the system has no descriptor left; it comes back when a connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of the connection that a request came by; in the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Connections that are open, each a task.
#[derive(Debug, Default)]
pub struct Connections {
    tasks: JoinSet<()>,
}

/// Answers on `listener` until `drain` begins; then closes the live clients (1001) and returns when all has ended or
/// `drain_timeout` has passed.
pub async fn serve(listener: TcpListener, state: AppState, drain: DrainToken) {
    let shared = Shared::new(state);
    let router = crate::router_of(&shared);
    let mut connections = Connections::default();
    // Dropped, and with it ended, when all clients are gone.
    let mut telling = JoinSet::new();
    telling.spawn(fanout::run(Arc::clone(&shared)));
    for lane in shared.live.lanes.iter() {
        telling.spawn(lanes::run(Arc::clone(&shared), lane));
    }
    connections.take(&listener, &router, &drain, |_peer| Some(())).await;
    drop(listener);
    let ended = async {
        shared.live.close().await;
        connections.ended().await;
    };
    if timeout(shared.app.settings.drain_timeout, ended).await.is_err() {
        let clients = shared.live.clients();
        tracing::warn!(clients, "web drained with connections left open");
    }
}

/// Answers on `listener` what a hub can say while it starts, until `live` begins. The connections are closed then, each after its answer,
/// so that nobody is stuck with this side of the hub.
pub async fn serve_starting(listener: TcpListener, starting: Starting, live: DrainToken) {
    let (router, mut connections) = (crate::starting::router(starting), Connections::default());
    connections.take(&listener, &router, &live, |_peer| Some(())).await;
    if timeout(LAST_ANSWERS, connections.ended()).await.is_err() {
        tracing::debug!("connections from the start are broken off");
    }
}

impl Connections {
    /// Answers on `listener` by `router` until `drain` begins, which also ends what is idle. `admit` may turn a connection away; what it
    /// gives is kept until the connection ends or is upgraded.
    pub async fn take<Pass: Send + 'static>(
        &mut self,
        listener: &TcpListener,
        router: &Router,
        drain: &DrainToken,
        admit: impl Fn(SocketAddr) -> Option<Pass>,
    ) {
        loop {
            tokio::select! {
                biased;
                () = drain.draining() => return,
                Some(ended) = self.tasks.join_next() => end_of(ended),
                (stream, peer) = accept(listener), if self.tasks.len() < CONNECTIONS_MAX => {
                    let Some(pass) = admit(peer) else { continue };
                    let connection = connection(stream, Peer(peer), router.clone(), drain.clone());
                    self.tasks.spawn(async move {
                        connection.await;
                        drop(pass);
                    });
                }
            }
        }
    }

    /// Waits until all have ended. Cancel safe.
    pub async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The next connection. What fails for one connection is not an error; a full descriptor table is waited out.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(stream: TcpStream, peer: Peer, router: Router, drain: DrainToken) {
    // Deltas are small and must not wait for an acknowledgement of the one before; without it they are only later.
    drop(stream.set_nodelay(true));
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request| {
        request.extensions_mut().insert(peer);
        inner.call(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Impatient::new(stream, STALL_MAX)), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = drain.draining() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection broke");
    }
}

fn end_of(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
