//! Join: the processes of one graph find and check each other, and come back with two connections between any two of
//! them.
//!
//! In: a `Place` in the hosts file. Out: `Joined`, when every process has the same starts of all others; or why not,
//! and what to do. Each process listens at its own address, and the higher index dials the lower. Strangers, and what a
//! killed process left on the way, hinder nobody. Bounds: `within` for the whole, [`ARRIVALS_MAX`] connections whose
//! hello is awaited. Afterwards nobody listens any more: a process that comes back alone finds the door closed, for the
//! cluster restarts together.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use fastrand::Rng;
use pipeline::Sockets;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::info;

use super::arrivals::Arrivals;
use super::hello::Card;
use super::hosts::Hosts;
use super::private;
use super::roster::{Complete, Roster};
use crate::listen;

/// What people wait for after a start of all.
pub const JOIN_WITHIN: Duration = Duration::from_secs(60);
/// A name server that does not answer is down.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// How soon a closed connection is seen and the others' words are heard.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Who this process is among the others.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    pub hosts: Hosts,
    pub process: usize,
    /// Listen on a public address, too.
    pub insecure: bool,
    pub version: &'a str,
    /// Digest of the settings that must be the same everywhere.
    pub settings: u64,
    pub within: Duration,
}

/// By index; none for this process.
#[derive(Debug)]
pub struct Joined {
    /// For timely: blocking, without delay.
    pub sockets: Sockets,
    pub talks: Vec<Option<Talk>>,
    /// The same at every process, and another one after each start of any of them.
    pub start: u64,
}

/// A connection for messages.
#[derive(Debug)]
pub struct Talk {
    pub stream: TcpStream,
    /// As people are told of it: `process 1 (10.0.0.2:7080)`.
    pub name: String,
}

/// Cancel safe: what was connected is closed.
///
/// # Errors
/// When the place cannot be taken, a process refuses this one, or not everybody came within the time.
pub async fn join(place: &Place<'_>) -> Result<Joined> {
    let listener = listen(place).await?;
    join_at(listener, place, &mut Rng::new()).await
}

async fn listen(place: &Place<'_>) -> Result<TcpListener> {
    let Some(own) = place.hosts.get(place.process) else {
        let (process, last) = (place.process, place.hosts.len() - 1);
        return Err(anyhow!("process {process} is not in the hosts file: --process is 0 to {last} there"));
    };
    let name = place.hosts.name(place.process);
    let found = timeout(RESOLVE_WITHIN, lookup_host((own.host.as_str(), own.port))).await;
    let addresses: Vec<_> = found
        .with_context(|| format!("find the address of {name}: no name server answers"))?
        .with_context(|| {
            format!("find the address of {name}: correct the name, or put an IP address into the hosts file")
        })?
        .collect();
    if !place.insecure {
        private::check(&name, &addresses)?;
    }
    TcpListener::bind(&addresses[..]).await.map_err(|error| {
        let advice = listen::advice(error.kind());
        anyhow!("{name} cannot listen on its address: {error}; {advice} (--process, and the hosts file of all)")
    })
}

/// The listener is closed in the end.
pub(super) async fn join_at(listener: TcpListener, place: &Place<'_>, rng: &mut Rng) -> Result<Joined> {
    let card = Arc::new(Card {
        process: place.process,
        hosts: place.hosts.clone(),
        version: place.version.to_owned(),
        settings: place.settings,
        incarnation: rng.u64(..),
    });
    let mut roster = Roster::new(place.hosts.len(), place.process, card.incarnation);
    let mut arrivals = Arrivals::new(Arc::clone(&card), rng);
    let deadline = Instant::now() + place.within;
    let mut may_accept = true;
    let (mut look, mut tell) = (interval(LOOK_EVERY), interval(TELL_EVERY));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = sleep_until(deadline) => return Err(given_up(place, &roster, &arrivals)),
            came = listener.accept(), if may_accept && arrivals.has_room() => match came {
                Ok((stream, from)) => arrivals.greet(stream, from.ip()),
                // Without descriptors it would fail again at once.
                Err(_no_more) => may_accept = false,
            },
            step = arrivals.next() => arrivals.take(step, &mut roster).context("this process cannot join")?,
            _ = tell.tick() => {
                let waited_for = waited_for(&place.hosts, &roster).join(", ");
                info!(process = place.process, waited_for, "waiting for the other processes");
            }
            _ = look.tick() => {
                may_accept = true;
                if roster.agree() {
                    break;
                }
                arrivals.dial_missing(&roster);
            }
        }
    }
    let complete = roster.complete().expect("who agrees is here");
    info!(process = place.process, processes = place.hosts.len(), "all processes have joined");
    hand_over(&place.hosts, complete)
}

fn hand_over(hosts: &Hosts, Complete { start, streams }: Complete) -> Result<Joined> {
    let (mut sockets, mut talks) = (Sockets::new(), Vec::new());
    for (process, streams) in streams.into_iter().enumerate() {
        let (data, talk) = streams.unzip();
        sockets.push(data.map(to_blocking).transpose().context("hand a connection over")?);
        talks.push(talk.map(|stream| Talk { stream, name: hosts.name(process) }));
    }
    Ok(Joined { sockets, talks, start })
}

fn to_blocking(stream: TcpStream) -> std::io::Result<std::net::TcpStream> {
    let socket = stream.into_std()?;
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn waited_for(hosts: &Hosts, roster: &Roster) -> Vec<String> {
    let is_missing = |process: &usize| !roster.is_here(*process) || roster.waits_itself(*process);
    (0..hosts.len()).filter(is_missing).map(|process| hosts.name(process)).collect()
}

fn given_up(place: &Place<'_>, roster: &Roster, arrivals: &Arrivals) -> anyhow::Error {
    let why = |process: usize| {
        let name = place.hosts.name(process);
        if !roster.is_here(process) {
            Some(format!("{name}: {}", arrivals.trouble(process)))
        } else {
            roster.waits_itself(process).then(|| format!("{name}: is here, and waits for others itself"))
        }
    };
    let missing: Vec<String> = (0..place.hosts.len()).filter_map(why).collect();
    anyhow!(
        "the processes have not all joined within {:?}; start all of them within that time, and when some run already \
         restart those, too:\n  {}",
        place.within,
        missing.join("\n  ")
    )
}

/// The machine that a connection comes from or leads to.
pub(super) fn ip_of(stream: &TcpStream) -> Option<IpAddr> {
    stream.peer_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests;
