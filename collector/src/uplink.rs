//! Uplink: keeps a Push stream to the hub open, and never gives up.
//!
//! Between two tries it waits with full jitter, up to a minute. Changes of state are logged once, not each try.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use model::MachineId;
use proto::pb;
use proto::pb::metrics_service_client::MetricsServiceClient;
use proto::pb::push_request::Message;
use runtime::backoff::{Backoff, CAP};
use runtime::drain::DrainToken;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::connection::Connection;
use crate::link::{End, Link, Wakes, message};
use crate::mailbox::Mailbox;
use crate::telemetry::Telemetry;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the call to the hub's first answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages handed to the transport ahead of the network.
const OUTGOING: usize = 4;
/// The least wait when only a person can mend what is wrong.
const SLOW: Duration = Duration::from_secs(30);

pub(crate) struct Uplink {
    pub(crate) machine: MachineId,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) inventory: pb::Inventory,
    pub(crate) channel: Channel,
    pub(crate) mailbox: Mailbox,
    pub(crate) interval: watch::Receiver<Duration>,
    pub(crate) processes: watch::Receiver<Option<pb::ProcessTable>>,
    pub(crate) resend_layout: Arc<Notify>,
    pub(crate) telemetry: Telemetry,
    pub(crate) rng: Rng,
}

/// A connection that is made when first used, and made again when lost.
///
/// # Errors
/// When the address is none.
pub(crate) fn channel(address: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    Ok(endpoint.connect_lazy())
}

impl Uplink {
    /// Runs until draining begins and what can be delivered is.
    pub(crate) async fn run(mut self, drain: DrainToken) {
        let mut backoff = Backoff::new(self.rng.fork());
        let mut connection = Connection::default();
        loop {
            let (end, was_good) = self.push(&drain, &mut connection).await;
            if was_good {
                backoff.reset();
            }
            if matches!(end, End::Drained) || drain.is_draining() {
                return;
            }
            let waits = backoff.next_delay();
            let waits = if connection.end(&end, &self.machine) { waits.max(SLOW).min(CAP) } else { waits };
            tokio::select! {
                () = tokio::time::sleep(waits) => {}
                () = drain.draining() => return,
            }
        }
    }

    /// One stream. Also says whether the hub acknowledged anything on it.
    async fn push(&mut self, drain: &DrainToken, connection: &mut Connection) -> (End, bool) {
        let (outgoing, requests) = mpsc::channel(OUTGOING);
        let hello = self.hello().await;
        if outgoing.send(message(Message::Hello(hello))).await.is_err() {
            return (End::Closed, false);
        }
        let mut client = MetricsServiceClient::new(self.channel.clone());
        let opening = timeout(OPEN_TIMEOUT, client.push(ReceiverStream::new(requests)));
        let opened = tokio::select! {
            opened = opening => opened,
            () = drain.draining() => return (End::Drained, false),
        };
        let responses = match opened {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return (End::Refused(status), false),
            Err(_elapsed) => return (End::Silent, false),
        };
        let mut link = Link::new(&self.mailbox, &self.telemetry, outgoing, responses).await;
        let wakes = Wakes { processes: &mut self.processes, resend_layout: &self.resend_layout, drain, connection };
        let end = link.run(wakes).await;
        (end, link.is_acknowledged())
    }

    async fn hello(&self) -> pb::Hello {
        pb::Hello {
            machine_id: self.machine.as_str().to_owned(),
            session: self.mailbox.lock().await.session(),
            tags: self.tags.clone(),
            interval_ms: u32::try_from(self.interval.borrow().as_millis()).unwrap_or(u32::MAX),
            inventory: Some(self.inventory.clone()),
        }
    }
}
