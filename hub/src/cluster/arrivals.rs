//! Arrivals: connections on their way in and out while the processes join, each in a task, until the roster has them.
//!
//! In: what the listener accepts, and what the roster lacks of lower indices. Out: agreed connections, put on the
//! roster; and what keeps each process away, for people. Bounds: [`ARRIVALS_MAX`] unknown connections; two dials a
//! process, with back-off.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use runtime::backoff::Backoff;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::dial::{Dialled, dial};
use super::door;
use super::hello::{Card, Hello, Kind, Verdict};
use super::join::ip_of;
use super::refusal::Refusal;
use super::roster::Roster;

/// A port scanner opens some; the two connections of each of 99 processes fit in beside it.
pub(super) const ARRIVALS_MAX: usize = 512;
/// A process that starts listens after some milliseconds.
const DIAL_AGAIN_MIN: Duration = Duration::from_millis(50);
const DIAL_AGAIN_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Arrivals {
    card: Arc<Card>,
    tasks: JoinSet<Step>,
    /// Of the tasks, those that somebody outside has caused.
    guests: usize,
    dials: HashMap<(usize, Kind), Backoff>,
    /// Being dialled, or about to be.
    dialling: Vec<(usize, Kind)>,
    troubles: BTreeMap<usize, String>,
    rng: Rng,
}

/// What a task has come to.
#[derive(Debug)]
pub(super) enum Step {
    /// A connection that came in, and who it says it is.
    Greeted(Option<(TcpStream, Hello)>, IpAddr),
    /// It has been welcomed, and has taken that.
    Answered(Option<TcpStream>, Hello, IpAddr),
    Dialled(usize, Kind, Dialled),
}

impl Arrivals {
    pub(super) fn new(card: Arc<Card>, rng: &mut Rng) -> Self {
        Self {
            card,
            tasks: JoinSet::new(),
            guests: 0,
            dials: HashMap::new(),
            dialling: Vec::new(),
            troubles: BTreeMap::new(),
            rng: rng.fork(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.guests < ARRIVALS_MAX
    }

    pub(super) fn greet(&mut self, stream: TcpStream, ip: IpAddr) {
        self.guests += 1;
        self.tasks.spawn(async move { Step::Greeted(door::listen(stream).await, ip) });
    }

    /// Dials what the roster lacks and nobody dials yet.
    pub(super) fn dial_missing(&mut self, roster: &Roster) {
        for process in 0..self.card.process {
            for kind in [Kind::Data, Kind::Talk] {
                if roster.lacks(process, kind) && !self.dialling.contains(&(process, kind)) {
                    self.dial(process, kind);
                }
            }
        }
    }

    /// Cancel safe; never ends while there is nothing to wait for.
    pub(super) async fn next(&mut self) -> Step {
        match self.tasks.join_next().await {
            Some(Ok(step)) => step,
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => pending().await,
        }
    }

    /// # Errors
    /// When this process cannot be part of the graph, whatever it tries.
    pub(super) fn take(&mut self, step: Step, roster: &mut Roster) -> Result<(), Refusal> {
        match step {
            Step::Greeted(Some((stream, theirs)), ip) => self.answer(stream, theirs, ip, roster),
            Step::Greeted(None, ip) => {
                self.guests -= 1;
                debug!(from = %ip, "a stranger has been turned away");
            }
            Step::Answered(stream, theirs, ip) => {
                self.guests -= 1;
                if let Some(stream) = stream {
                    self.troubles.remove(&theirs.from);
                    roster.seat(&theirs, ip, stream);
                }
            }
            Step::Dialled(process, kind, dialled) => return self.dialled(process, kind, dialled, roster),
        }
        Ok(())
    }

    /// What keeps a process away, as far as it is known.
    pub(super) fn trouble(&self, process: usize) -> &str {
        self.troubles.get(&process).map_or("has not been heard of", String::as_str)
    }

    fn dial(&mut self, process: usize, kind: Kind) {
        self.dialling.push((process, kind));
        let rng = &mut self.rng;
        let fresh = || Backoff::between(DIAL_AGAIN_MIN, DIAL_AGAIN_MAX, rng.fork());
        let mut pause = Duration::ZERO;
        // The first try is made at once.
        self.dials.entry((process, kind)).and_modify(|backoff| pause = backoff.next_delay()).or_insert_with(fresh);
        let card = Arc::clone(&self.card);
        self.tasks.spawn(async move {
            sleep(pause).await;
            Step::Dialled(process, kind, dial(&card, process, kind).await)
        });
    }

    fn dialled(&mut self, process: usize, kind: Kind, dialled: Dialled, roster: &mut Roster) -> Result<(), Refusal> {
        self.dialling.retain(|entry| *entry != (process, kind));
        match dialled {
            Dialled::Connected(stream, mut theirs) => {
                if let (Some(ip), Some(backoff)) = (ip_of(&stream), self.dials.get_mut(&(process, kind))) {
                    backoff.reset();
                    theirs.kind = kind;
                    roster.seat(&theirs, ip, stream);
                }
            }
            Dialled::Refused(refusal) => return Err(refusal),
            Dialled::Failed(trouble) => {
                debug!(process, trouble, "not reached yet");
                self.troubles.insert(process, trouble);
            }
        }
        Ok(())
    }

    fn answer(&mut self, stream: TcpStream, theirs: Hello, ip: IpAddr, roster: &Roster) {
        let judged = match self.card.judge(&theirs, None) {
            Ok(()) if roster.is_twice(&theirs, ip) => Err((Refusal::Twice { process: theirs.from }, Verdict::Twice)),
            Err(refusal) => Err((refusal, Verdict::Refused)),
            Ok(()) => Ok(()),
        };
        let verdict = judged.as_ref().map_or_else(|(_, verdict)| *verdict, |()| Verdict::Welcome);
        if let Err((refusal, _)) = judged {
            self.turned_away(theirs.from, ip, &refusal);
        }
        let ours = self.card.hello(theirs.from, theirs.kind, verdict);
        self.tasks.spawn(async move {
            let stream = door::answer(stream, ours).await;
            Step::Answered(stream.filter(|_| verdict == Verdict::Welcome), theirs, ip)
        });
    }

    /// Told once, though a supervisor may bring it back many times: it is what a person must act on.
    fn turned_away(&mut self, process: usize, ip: IpAddr, refusal: &Refusal) {
        let refusal = refusal.to_string();
        // With another hosts file there may be any index, and all that are none here share a place.
        let process = process.min(self.card.hosts.len());
        if self.troubles.get(&process) != Some(&refusal) {
            warn!(from = %ip, refusal, "a process has been refused");
            self.troubles.insert(process, refusal);
        }
    }
}
