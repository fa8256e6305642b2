//! Control: what the hub may ask of this collector. A closed and harmless list, and the collector has the last word.

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;
use model::MachineId;
use proto::pb::control_service_client::ControlServiceClient;
use proto::pb::{Command, CommandKind, CommandResult, Outcome};
use runtime::backoff::Backoff;
use runtime::drain::DrainToken;
use runtime::queue;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tracing::debug;

use crate::remote::{pause, retry_slowly};
use crate::ticker::Order;

/// Results not yet taken by the transport; a hub waits for one before it sends many.
const RESULTS: usize = 8;

/// The commands a collector obeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowList(BTreeSet<&'static str>);

const NAMES: [(&str, CommandKind); 5] = [
    ("pause", CommandKind::Pause),
    ("resume", CommandKind::Resume),
    ("collect_now", CommandKind::CollectNow),
    ("resend_layout", CommandKind::ResendLayout),
    ("focus", CommandKind::Focus),
];

pub(crate) struct Control {
    pub(crate) machine: MachineId,
    pub(crate) channel: Channel,
    pub(crate) allow: AllowList,
    pub(crate) orders: queue::Sender<Order>,
    pub(crate) resend_layout: Arc<Notify>,
    pub(crate) rng: Rng,
}

impl AllowList {
    pub fn all() -> Self {
        Self(NAMES.iter().map(|(name, _)| *name).collect())
    }

    /// Names separated by commas; an empty text allows nothing.
    ///
    /// # Errors
    /// A name that is no command, in words.
    pub fn parse(list: &str) -> Result<Self, String> {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        let known = |given: &str| match NAMES.iter().find(|(name, _)| *name == given) {
            Some((name, _)) => Ok(*name),
            None => Err(format!("{given:?} is none of {}", NAMES.map(|(name, _)| name).join(", "))),
        };
        names.map(known).collect::<Result<_, _>>().map(Self)
    }

    fn allows(&self, kind: CommandKind) -> bool {
        NAMES.iter().any(|(name, known)| *known == kind && self.0.contains(name))
    }
}

impl Control {
    /// Runs until draining begins.
    pub(crate) async fn run(mut self, drain: DrainToken) {
        let mut backoff = Backoff::new(self.rng.fork());
        loop {
            let ended = tokio::select! {
                ended = self.stream(&mut backoff) => ended,
                () = drain.draining() => return,
            };
            if let Err(status) = &ended {
                // The uplink says so when the hub is away; a hub without this service is in order.
                debug!(code = ?status.code(), reason = status.message(), "control stream ended");
            }
            let is_slow = ended.is_err_and(|status| retry_slowly(status.code()));
            if pause(&mut backoff, is_slow, &drain).await {
                return;
            }
        }
    }

    async fn stream(&self, backoff: &mut Backoff) -> Result<(), Status> {
        let (results, requests) = mpsc::channel(RESULTS);
        let send =
            async |result: CommandResult| results.send(result).await.map_err(|_gone| Status::new(Code::Cancelled, ""));
        send(self.result(0, Outcome::Done, String::new())).await?;
        let mut client = ControlServiceClient::new(self.channel.clone());
        let mut commands = client.control(ReceiverStream::new(requests)).await?.into_inner();
        while let Some(command) = commands.message().await? {
            backoff.reset();
            let (outcome, detail) = self.obey(&command);
            send(self.result(command.id, outcome, detail)).await?;
        }
        Ok(())
    }

    /// Never waits: what cannot be taken at once fails, and the hub may ask again.
    fn obey(&self, command: &Command) -> (Outcome, String) {
        let Ok(kind) = CommandKind::try_from(command.kind) else {
            return (Outcome::Refused, format!("this collector knows no command {}", command.kind));
        };
        if !self.allow.allows(kind) {
            return (Outcome::Refused, "COLLECTOR_ALLOW does not name it".to_owned());
        }
        let order = match kind {
            CommandKind::Pause => Order::Pause,
            CommandKind::Resume => Order::Resume,
            CommandKind::CollectNow => Order::CollectNow,
            CommandKind::Focus => Order::Focus,
            CommandKind::ResendLayout => {
                self.resend_layout.notify_one();
                return (Outcome::Done, String::new());
            }
            CommandKind::None => return (Outcome::Refused, "no command".to_owned()),
        };
        match self.orders.try_send(order) {
            Ok(()) => (Outcome::Done, String::new()),
            Err(full) => (Outcome::Failed, full.to_string()),
        }
    }

    fn result(&self, id: u64, outcome: Outcome, detail: String) -> CommandResult {
        CommandResult { machine_id: self.machine.as_str().to_owned(), id, outcome: outcome.into(), detail }
    }
}

#[cfg(test)]
mod tests {
    use runtime::queue::WhenFull;

    use super::*;

    #[tokio::test]
    async fn only_what_the_list_names_is_obeyed() {
        let (orders, mut taken) = queue::bounded("orders", 2, WhenFull::Shed);
        let control = Control {
            machine: MachineId::parse("m").unwrap(),
            channel: crate::uplink::channel("localhost:1").unwrap(),
            allow: AllowList::parse("focus, collect_now").unwrap(),
            orders,
            resend_layout: Arc::default(),
            rng: Rng::with_seed(1),
        };
        let obey = |kind: i32| control.obey(&Command { id: 1, kind }).0;
        let kinds = [CommandKind::Pause, CommandKind::ResendLayout, CommandKind::None].map(i32::from);
        assert!(kinds.into_iter().chain([99]).all(|kind| obey(kind) == Outcome::Refused));
        assert_eq!(obey(CommandKind::Focus.into()), Outcome::Done);
        assert_eq!(obey(CommandKind::CollectNow.into()), Outcome::Done);
        assert_eq!(obey(CommandKind::Focus.into()), Outcome::Failed, "the queue is full");
        assert_eq!((taken.try_recv(), taken.try_recv()), (Ok(Order::Focus), Ok(Order::CollectNow)));
    }

    #[test]
    fn a_list_names_commands_only() {
        assert!(AllowList::parse("pause,shell").unwrap_err().contains("shell"));
        assert!(!AllowList::parse("").unwrap().allows(CommandKind::Pause));
        assert_eq!(AllowList::parse("pause,resume,collect_now,resend_layout,focus").unwrap(), AllowList::all());
    }
}
