//! Writing: an update as commands, on a thread of its own: state first, then the news of it, so that who hears of a change finds it.

use std::collections::HashSet;
use std::sync::Arc;

use model::MachineId;
use redis::Cmd;
use tokio::task::spawn_blocking;

use super::config::RedisSettings;
use super::keys::KEPT;
use super::link::broken_off;
use super::wire::Wire;
use crate::bus::{Event, Topic};
use crate::error::SinkError;
use crate::payload;
use crate::relay::{Outlet, Update};

/// The word for it in logs, counters and `/ready`.
const NAME: &str = "redis";
/// Members of the sorted set that one command names.
const MEMBERS: usize = 128;
/// Members that a look for strangers reads at once.
const SCAN_MEMBERS: usize = 1_000;

pub struct RedisOutlet {
    settings: Arc<RedisSettings>,
    /// None before it is connected, and after a failure.
    wire: Option<Wire>,
}

/// One update being written.
struct Writing<'a> {
    settings: &'a RedisSettings,
    wire: &'a mut Wire,
    update: &'a Update,
}

impl RedisOutlet {
    pub fn new(settings: Arc<RedisSettings>) -> Self {
        Self { settings, wire: None }
    }
}

impl Writing<'_> {
    fn write(mut self) -> Result<(), SinkError> {
        let update = self.update;
        self.documents()?;
        update.presences.iter().try_for_each(|presence| self.event(&payload::presence(presence)))?;
        update.windows.iter().try_for_each(|window| self.event(&payload::window(window)))?;
        let names: Vec<&str> = update.removed.iter().map(MachineId::as_str).collect();
        self.remove(&names)?;
        if update.is_whole {
            self.remove_strangers()?;
        }
        self.wire.finish()
    }

    fn documents(&mut self) -> Result<(), SinkError> {
        let (keys, update, kept) = (&self.settings.keys, self.update, KEPT.as_secs().to_string());
        let raw = keys.channel(Topic::MetricsRaw).as_bytes();
        let mut document = Vec::new();
        for machines in update.machines.chunks(MEMBERS) {
            for view in machines {
                let alerts = update.alerts.get(&view.machine).map_or(&[][..], Vec::as_slice);
                document.clear();
                payload::write_machine(&mut document, view, alerts);
                let key = keys.machine(&view.machine);
                self.wire.command(&[b"SET", key.as_bytes(), &document, b"EX", kept.as_bytes()])?;
                self.wire.command(&[b"PUBLISH", raw, &document])?;
            }
            let seen: Vec<String> = machines.iter().map(|view| view.last_seen.millis().to_string()).collect();
            let mut words: Vec<&[u8]> = vec![&b"ZADD"[..], keys.machines().as_bytes()];
            for (view, seen) in machines.iter().zip(&seen) {
                words.extend([seen.as_bytes(), view.machine.as_str().as_bytes()]);
            }
            self.wire.command(&words)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), SinkError> {
        let channel = self.settings.keys.channel(event.topic);
        self.wire.command(&[b"PUBLISH", channel.as_bytes(), &event.payload])
    }

    /// Their keys, then that they went.
    fn remove(&mut self, machines: &[&str]) -> Result<(), SinkError> {
        let keys = &self.settings.keys;
        for machines in machines.chunks(MEMBERS) {
            for machine in machines {
                // One by one: in a cluster each key may be elsewhere.
                self.wire.command(&[b"UNLINK", keys.machine_named(machine).as_bytes()])?;
            }
            let mut words: Vec<&[u8]> = vec![&b"ZREM"[..], keys.machines().as_bytes()];
            words.extend(machines.iter().map(|machine| machine.as_bytes()));
            self.wire.command(&words)?;
            for machine in machines.iter().filter_map(|machine| MachineId::parse(machine).ok()) {
                self.event(&payload::removed(&machine, self.update.now))?;
            }
        }
        Ok(())
    }

    /// Machines that went while Redis, or this hub, was away.
    fn remove_strangers(&mut self) -> Result<(), SinkError> {
        let known: HashSet<&str> = self.update.machines.iter().map(|view| view.machine.as_str()).collect();
        let mut cursor = 0_u64;
        loop {
            let mut scan: Cmd = redis::cmd("ZSCAN");
            scan.arg(self.settings.keys.machines()).arg(cursor).arg("COUNT").arg(SCAN_MEMBERS);
            let (next, members): (u64, Vec<(String, f64)>) = self.wire.ask(&scan)?;
            let strangers = members.iter().map(|(machine, _)| machine.as_str()).filter(|name| !known.contains(name));
            self.remove(&strangers.collect::<Vec<_>>())?;
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
        self.wire = None;
        let settings = Arc::clone(&self.settings);
        self.wire = Some(aside(move || Wire::open(NAME, &settings)).await?);
        Ok(())
    }

    async fn send(&mut self, update: Update) -> Result<(), SinkError> {
        let Some(mut wire) = self.wire.take() else {
            return Err(broken_off(NAME, "write"));
        };
        let settings = Arc::clone(&self.settings);
        let write = move || {
            if update.is_check() {
                wire.ping()?;
            } else {
                Writing { settings: &settings, wire: &mut wire, update: &update }.write()?;
            }
            Ok(wire)
        };
        self.wire = Some(aside(write).await?);
        Ok(())
    }
}

/// On a thread that may wait.
async fn aside<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    let failed = |source| SinkError::Unavailable { sink: NAME, action: "write", source };
    spawn_blocking(call).await.map_err(|error| failed(error.into()))?
}
