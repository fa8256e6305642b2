//! Writing: an update as pipelines of commands; the next one is made while Redis works on the one before.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::stream::FuturesOrdered;
use futures_util::{StreamExt, TryStreamExt};
use model::machine::Presence;
use model::query::MachineView;
use model::{Aggregates, MachineId};
use redis::Cmd;

use super::config::RedisSettings;
use super::keys::KEPT;
use super::link::Link;
use crate::bus::redis::publish;
use crate::bus::{Event, Topic};
use crate::error::SinkError;
use crate::payload;
use crate::relay::{Outlet, Update};

/// The word for it in logs, counters and `/ready`.
const NAME: &str = "redis";
/// Machines of one pipeline: of 60 series each some 200 KB, few enough that their buffers are used again instead of asked of the system.
const CHUNK_MACHINES: usize = 32;
/// Pipelines under way: one is made while Redis works on another and the rest wait in between, a few milliseconds of its time.
const CHUNKS_UNDER_WAY: usize = 8;
/// Members that a look for strangers reads at once.
const SCAN_MEMBERS: usize = 1_000;

pub struct RedisOutlet {
    settings: Arc<RedisSettings>,
    link: Option<Link>,
}

/// What goes into one pipeline.
enum Part<'a> {
    Machines(&'a [Arc<MachineView>]),
    Presences(&'a [Arc<Presence>]),
    Windows(&'a [Arc<Aggregates>]),
    Removed(&'a [MachineId]),
}

impl RedisOutlet {
    pub fn new(settings: Arc<RedisSettings>) -> Self {
        Self { settings, link: None }
    }

    async fn write(&self, link: &Link, update: &Update) -> Result<(), SinkError> {
        let mut parts: Vec<Part<'_>> = update.machines.chunks(CHUNK_MACHINES).map(Part::Machines).collect();
        parts.extend(update.presences.chunks(CHUNK_MACHINES).map(Part::Presences));
        parts.extend(update.windows.chunks(CHUNK_MACHINES).map(Part::Windows));
        parts.extend(update.removed.chunks(CHUNK_MACHINES).map(Part::Removed));
        let mut under_way = FuturesOrdered::new();
        for part in parts {
            if under_way.len() == CHUNKS_UNDER_WAY {
                under_way.next().await.transpose()?;
            }
            under_way.push_back(link.run(self.commands(part, update)));
        }
        under_way.try_collect::<()>().await?;
        if update.is_whole {
            self.remove_strangers(link, update).await?;
        }
        Ok(())
    }

    fn commands(&self, part: Part<'_>, update: &Update) -> Vec<Cmd> {
        match part {
            Part::Machines(views) => self.documents(views, update),
            Part::Presences(presences) => self.events(presences.iter().map(|presence| payload::presence(presence))),
            Part::Windows(windows) => self.events(windows.iter().map(|window| payload::window(window))),
            Part::Removed(machines) => {
                let names: Vec<&str> = machines.iter().map(MachineId::as_str).collect();
                let mut commands = self.removal(&names);
                commands.extend(self.events(machines.iter().map(|machine| payload::removed(machine, update.now))));
                commands
            }
        }
    }

    /// State, then news, so that who hears of a change finds it.
    fn documents(&self, chunk: &[Arc<MachineView>], update: &Update) -> Vec<Cmd> {
        let keys = &self.settings.keys;
        let mut commands = Vec::with_capacity(2 * chunk.len() + 1);
        let mut seen = redis::cmd("ZADD");
        seen.arg(keys.machines());
        for view in chunk {
            let alerts = update.alerts.get(&view.machine).map_or(&[][..], Vec::as_slice);
            let document = payload::machine(view, alerts);
            let key = keys.machine(&view.machine);
            let mut set = Cmd::with_capacity(5, 24 + key.len() + document.len());
            set.arg("SET").arg(key).arg(document.as_slice()).arg("EX").arg(KEPT.as_secs());
            commands.push(set);
            commands.push(publish(&self.settings, Topic::MetricsRaw, &document));
            seen.arg(view.last_seen.millis()).arg(view.machine.as_str());
        }
        commands.push(seen);
        commands
    }

    fn events(&self, events: impl Iterator<Item = Event>) -> Vec<Cmd> {
        events.map(|event| publish(&self.settings, event.topic, &event.payload)).collect()
    }

    fn removal(&self, machines: &[&str]) -> Vec<Cmd> {
        let mut forget = redis::cmd("ZREM");
        forget.arg(self.settings.keys.machines());
        let mut commands = Vec::with_capacity(machines.len() + 1);
        for machine in machines {
            forget.arg(*machine);
            // One by one: in a cluster each key may be elsewhere.
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(self.settings.keys.machine_named(machine));
            commands.push(unlink);
        }
        commands.push(forget);
        commands
    }

    /// Machines that went while Redis, or this hub, was away.
    async fn remove_strangers(&self, link: &Link, update: &Update) -> Result<(), SinkError> {
        let known: HashSet<&str> = update.machines.iter().map(|view| view.machine.as_str()).collect();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("ZSCAN");
            scan.arg(self.settings.keys.machines()).arg(cursor).arg("COUNT").arg(SCAN_MEMBERS);
            let (next, members): (u64, Vec<(String, f64)>) = link.ask(&scan).await?;
            let strangers = members.iter().map(|(machine, _)| machine.as_str()).filter(|name| !known.contains(name));
            let strangers: Vec<&str> = strangers.collect();
            if !strangers.is_empty() {
                let named = strangers.iter().filter_map(|name| MachineId::parse(name).ok());
                let mut commands = self.removal(&strangers);
                commands.extend(self.events(named.map(|machine| payload::removed(&machine, update.now))));
                link.run(commands).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

impl Outlet for RedisOutlet {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn connect(&mut self) -> Result<(), SinkError> {
        self.link = None;
        self.link = Some(Link::open(NAME, &self.settings).await?);
        Ok(())
    }

    async fn send(&mut self, update: Update) -> Result<(), SinkError> {
        let Some(link) = &self.link else {
            return Err(super::link::broken_off(NAME, "write"));
        };
        let is_check = update.machines.is_empty() && update.removed.is_empty() && !update.is_whole;
        if is_check && update.windows.is_empty() && update.presences.is_empty() {
            return link.ask(&redis::cmd("PING")).await;
        }
        self.write(link, &update).await
    }
}
