//! Machines that push to a process chosen anew on every connection, and go to another one in mid-stream.

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Status;

use super::{Machine, Push};

/// A collector that is refused again and again has found something.
const REFUSALS_MAX: u32 = 20;

/// What all machines have delivered, and whether they are to go on when a process is gone.
#[derive(Clone)]
pub(crate) struct Round {
    delivered: watch::Sender<u64>,
    is_over: watch::Sender<bool>,
    /// Who has delivered so much with the others waits with frames under way for the end of the round.
    share: u64,
    /// Frames between two choices.
    stride_max: u64,
}

/// Machines under way.
pub(crate) struct Roaming {
    pub(crate) round: Round,
    machines: JoinSet<Machine>,
}

impl Roaming {
    /// Every machine pushes at once, each to one of these, until this share is delivered.
    pub(crate) fn start(machines: Vec<Machine>, doors: &[String], share: u64, rng: &mut Rng) -> Self {
        let (delivered, is_over) = (watch::Sender::new(0), watch::Sender::new(false));
        let round = Round { delivered, is_over, share, stride_max: (share / 8).clamp(1, 64) };
        let mut pushing = JoinSet::new();
        for machine in machines {
            pushing.spawn(roam(machine, doors.to_vec(), rng.fork(), round.clone()));
        }
        Self { round, machines: pushing }
    }

    /// The machines as they were before.
    pub(crate) async fn end(self) -> Vec<Machine> {
        let mut machines = self.machines.join_all().await;
        machines.sort_by(|a, b| a.name.cmp(&b.name));
        machines
    }
}

impl Round {
    /// Ends when so many frames are acknowledged.
    pub(crate) async fn delivered(&self, frames: u64) {
        let mut delivered = self.delivered.subscribe();
        delivered.wait_for(|so_far| frames <= *so_far).await.unwrap();
    }

    fn is_full(&self) -> bool {
        self.share <= *self.delivered.borrow()
    }

    async fn end(&self) {
        self.is_over.subscribe().wait_for(|is_over| *is_over).await.unwrap();
    }

    /// From here on a machine that loses its process waits for the next round.
    pub(crate) fn over(&self) {
        self.is_over.send_replace(true);
    }
}

/// Delivers until everything is acknowledged, or the round is over and its process has gone.
async fn roam(mut machine: Machine, doors: Vec<String>, mut rng: Rng, round: Round) -> Machine {
    // Nobody has told its former process that its collector has gone.
    let (mut left, mut refusals) = (None, 0);
    while machine.acknowledged < machine.frames.len() as u64 {
        let door = &doors[rng.usize(..doors.len())];
        let before = machine.acknowledged;
        match stay(&mut machine, door, &mut rng, &round).await {
            Ok(push) if round.is_full() => {
                round.end().await;
                left = Some(push);
                break;
            }
            Ok(push) => left = Some(push).filter(|_| rng.bool()),
            Err(_gone) if *round.is_over.borrow() => break,
            Err(refused) => {
                refusals = if before < machine.acknowledged { 0 } else { refusals + 1 };
                assert!(refusals < REFUSALS_MAX, "{} at {door}: {refused}", machine.name);
            }
        }
    }
    drop(left);
    machine
}

/// Some strides at one process; the stream as it is left.
async fn stay(machine: &mut Machine, door: &str, rng: &mut Rng, round: &Round) -> Result<Push, Status> {
    let mut push = machine.connect(door).await?;
    let newest = machine.frames.len() as u64;
    loop {
        let before = machine.acknowledged;
        let delivered = machine.deliver_to(&mut push, newest.min(before + rng.u64(1..=round.stride_max))).await;
        round.delivered.send_modify(|so_far| *so_far += machine.acknowledged - before);
        delivered?;
        if newest == machine.acknowledged {
            return Ok(push);
        }
        if round.is_full() || rng.u8(..4) == 0 {
            machine.send_ahead(&push, rng.u64(0..=8)).await?;
            return Ok(push);
        }
    }
}
