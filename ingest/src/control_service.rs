//! ControlService: commands to connected collectors, from the model's closed list, and their results.
//!
//! One control stream per machine: a newer one takes over. Bounded: commands that wait for a collector, and streams in all; a
//! command that does not fit is refused to whoever gives it.

use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, StreamExt, stream};
use hashbrown::HashMap;
use model::MachineId;
use model::command::{CollectorCommand, CollectorControl, CommandError, Commanding};
use proto::pb::control_service_server::ControlService;
use proto::{encode, pb};
use runtime::drain::DrainToken;
use runtime::queue::{self, Receiver, Sender, WhenFull};
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

use crate::context::{Context, draining};
use crate::meters::{Meters, OpenStream};
use crate::metrics_service::parse;

/// Commands that wait for one collector: more than a person clicks while it is away for a moment.
const COMMANDS_MAX: usize = 16;
const DETAIL_CHARS_MAX: usize = 200;

/// The collectors with an open control stream; web gives them commands through it.
pub struct Collectors {
    connected: Mutex<HashMap<MachineId, Connected>>,
    collectors_max: usize,
    meters: Meters,
}

struct Connected {
    commands: Sender<pb::Command>,
    /// Of the newest command of this stream.
    id: u64,
}

pub(crate) struct Control {
    pub(crate) context: Arc<Context>,
    pub(crate) collectors: Arc<Collectors>,
}

impl Collectors {
    pub fn new(collectors_max: usize, meters: Meters) -> Self {
        Self { connected: Mutex::default(), collectors_max, meters }
    }

    fn connect(&self, machine: &MachineId) -> Result<(Sender<pb::Command>, Receiver<pb::Command>), Status> {
        let (commands, waiting) = queue::bounded("commands", COMMANDS_MAX, WhenFull::Shed);
        let mut connected = self.lock();
        if self.collectors_max <= connected.len() && !connected.contains_key(machine) {
            return Err(Status::resource_exhausted("too many control streams are open"));
        }
        let stream = Connected { commands: commands.clone(), id: 0 };
        if let Some(older) = connected.insert(machine.clone(), stream) {
            older.commands.close();
        }
        Ok((commands, waiting))
    }

    /// Only the stream that is still the machine's newest takes it off the list.
    fn disconnect(&self, machine: &MachineId, commands: &Sender<pb::Command>) {
        commands.close();
        let mut connected = self.lock();
        if connected.get(machine).is_some_and(|newest| newest.commands.is_closed()) {
            connected.remove(machine);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MachineId, Connected>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a command to a collector that is connected here.
    ///
    /// # Errors
    /// It is not connected, or too many commands wait for it.
    pub fn give(&self, machine: &MachineId, command: CollectorCommand) -> Result<(), CommandError> {
        let mut connected = self.lock();
        let collector = connected.get_mut(machine).ok_or_else(|| CommandError::NotConnected(machine.clone()))?;
        let sent = collector.commands.try_send(encode::command(collector.id + 1, command));
        sent.map_err(|error| match error.is_closed() {
            true => CommandError::NotConnected(machine.clone()),
            false => CommandError::Busy(machine.clone()),
        })?;
        collector.id += 1;
        self.meters.commands.increment();
        info!(machine = %machine, command = ?command, id = collector.id, "command sent");
        Ok(())
    }

    /// Machines with an open control stream.
    pub fn connected(&self) -> Vec<MachineId> {
        let mut machines: Vec<MachineId> = self.lock().keys().cloned().collect();
        machines.sort();
        machines
    }

    pub fn has(&self, machine: &MachineId) -> bool {
        self.lock().contains_key(machine)
    }
}

impl CollectorControl for Collectors {
    fn command<'a>(
        &'a self,
        machine: &'a MachineId,
        command: CollectorCommand,
    ) -> Commanding<'a, Result<(), CommandError>> {
        Box::pin(ready(self.give(machine, command)))
    }

    fn is_connected<'a>(&'a self, machine: &'a MachineId) -> Commanding<'a, bool> {
        Box::pin(ready(self.has(machine)))
    }
}

#[tonic::async_trait]
impl ControlService for Control {
    type ControlStream = Pin<Box<dyn Stream<Item = Result<pb::Command, Status>> + Send>>;

    async fn control(
        &self,
        request: Request<Streaming<pb::CommandResult>>,
    ) -> Result<Response<Self::ControlStream>, Status> {
        let mut results = request.into_inner();
        let within = self.context.streams.hello_within;
        let first = tokio::select! {
            () = self.context.drain.draining() => return Err(draining()),
            first = tokio::time::timeout(within, results.next()) => first,
        };
        let first = first.map_err(|_elapsed| Status::deadline_exceeded("the first message did not come in time"))?;
        let first =
            first.transpose()?.ok_or_else(|| Status::invalid_argument("the first message names the machine"))?;
        let machine = parse(&first.machine_id)?;
        let (commands, waiting) = self.collectors.connect(&machine)?;
        let reader =
            Reader { context: Arc::clone(&self.context), collectors: Arc::clone(&self.collectors), machine, commands };
        tokio::spawn(reader.run(results));
        let outgoing = Outgoing { waiting, drain: self.context.drain.clone(), has_ended: false };
        let commands = stream::unfold(outgoing, async |mut outgoing| {
            let command = outgoing.next().await?;
            Some((command, outgoing))
        });
        Ok(Response::new(Box::pin(commands)))
    }
}

/// The commands of one stream, then why there are no more.
struct Outgoing {
    waiting: Receiver<pb::Command>,
    drain: DrainToken,
    has_ended: bool,
}

impl Outgoing {
    async fn next(&mut self) -> Option<Result<pb::Command, Status>> {
        if self.has_ended {
            return None;
        }
        if let Some(command) = self.waiting.recv().await {
            return Some(Ok(command));
        }
        self.has_ended = true;
        Some(Err(if self.drain.is_draining() {
            draining()
        } else {
            Status::aborted("a newer control stream of this machine has taken over")
        }))
    }
}

/// Reads a collector's results until it leaves, the hub drains, or a newer stream has closed the queue.
struct Reader {
    context: Arc<Context>,
    collectors: Arc<Collectors>,
    machine: MachineId,
    commands: Sender<pb::Command>,
}

impl Reader {
    async fn run(self, mut results: Streaming<pb::CommandResult>) {
        let _open = OpenStream::count(&self.context.meters.control_streams);
        loop {
            let result = tokio::select! {
                () = self.context.drain.draining() => break,
                result = results.next() => result,
            };
            match result {
                Some(Ok(result)) => self.log(&result),
                Some(Err(_)) | None => break,
            }
        }
        self.collectors.disconnect(&self.machine, &self.commands);
    }

    fn log(&self, result: &pb::CommandResult) {
        let (machine, id) = (&self.machine, result.id);
        let detail: String = result.detail.chars().take(DETAIL_CHARS_MAX).collect();
        let [done, refused, failed] = &self.context.meters.command_results;
        match result.outcome() {
            pb::Outcome::Done => {
                done.increment();
                info!(machine = %machine, id, detail, "command done");
            }
            pb::Outcome::Refused => {
                refused.increment();
                info!(machine = %machine, id, detail, "command refused by the collector");
            }
            pb::Outcome::Failed => {
                failed.increment();
                warn!(machine = %machine, id, detail, "command failed");
            }
        }
    }
}
