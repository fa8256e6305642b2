//! Wire: commands in order, from a thread that may wait. To one server they go as bytes that are packed here, some pipelines ahead of
//! their answers; to a cluster each goes to its key's node.
//!
//! Bounded: a pipeline's bytes, the pipelines under way, and the time that each write and each answer may take.
//! A document is copied once per command, from the buffer it was made in: a command of the library's own costs three times as much.

use std::collections::VecDeque;

use redis::{Cmd, Connection, FromRedisValue, RedisError, Value};
use tokio::runtime::Handle;

use super::config::RedisSettings;
use super::link::{Link, broken_off, unavailable};
use crate::error::SinkError;

/// Bytes of one pipeline: some thirty machines of 60 series, which fit into a processor's cache.
const PIPELINE_BYTES: usize = 128 << 10;
/// Pipelines under way: one is made while Redis works on another and the rest wait in between, a few milliseconds of its time.
const PIPELINES_UNDER_WAY: usize = 8;
/// Commands that go to a cluster together.
const CLUSTER_COMMANDS: usize = 256;

/// After an error it is not worth keeping.
pub(super) struct Wire {
    sink: &'static str,
    to: To,
}

enum To {
    One(Box<One>),
    Cluster { link: Link, waiting: Vec<Cmd>, runtime: Handle },
}

struct One {
    connection: Connection,
    /// Commands that are packed and not sent yet.
    bytes: Vec<u8>,
    commands: usize,
    /// Commands of each pipeline whose answers are still to come.
    under_way: VecDeque<usize>,
}

impl Wire {
    /// Connects, logs in, and hears the server answer. Blocks, and so do all other calls.
    pub(super) fn open(sink: &'static str, settings: &RedisSettings) -> Result<Self, SinkError> {
        let runtime = Handle::current();
        let to = if settings.address.is_cluster {
            let link = runtime.block_on(Link::open(sink, settings))?;
            To::Cluster { link, waiting: Vec::new(), runtime }
        } else {
            To::One(Box::new(One::open(sink, settings)?))
        };
        let mut wire = Self { sink, to };
        wire.ping()?;
        Ok(wire)
    }

    /// Queues a command; it is under way by the next `finish` at the latest.
    pub(super) fn command(&mut self, words: &[&[u8]]) -> Result<(), SinkError> {
        match &mut self.to {
            To::One(one) => one.command(words).map_err(|error| failed(self.sink, error)),
            To::Cluster { link, waiting, runtime } => {
                let mut command = Cmd::with_capacity(words.len(), words.iter().map(|word| word.len()).sum());
                for word in words {
                    command.arg(*word);
                }
                waiting.push(command);
                if waiting.len() < CLUSTER_COMMANDS {
                    return Ok(());
                }
                runtime.block_on(link.run(std::mem::take(waiting)))
            }
        }
    }

    /// Waits until every command was answered. An answer that is an error fails the whole.
    pub(super) fn finish(&mut self) -> Result<(), SinkError> {
        match &mut self.to {
            To::One(one) => one.finish().map_err(|error| failed(self.sink, error)),
            To::Cluster { link, waiting, runtime } => runtime.block_on(link.run(std::mem::take(waiting))),
        }
    }

    /// Runs one command behind all others and gives its answer.
    pub(super) fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, SinkError> {
        self.finish()?;
        match &mut self.to {
            To::One(one) => command.query(&mut one.connection).map_err(|error| failed(self.sink, error)),
            To::Cluster { link, runtime, .. } => runtime.block_on(link.ask(command)),
        }
    }

    pub(super) fn ping(&mut self) -> Result<(), SinkError> {
        self.ask(&redis::cmd("PING"))
    }
}

impl One {
    fn open(sink: &'static str, settings: &RedisSettings) -> Result<Self, SinkError> {
        // Once per process; whoever came first chose the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let open = || {
            let connection = settings.node(sink)?.get_connection_with_timeout(settings.connect_within);
            let connection = connection.map_err(|error| failed_to(sink, "connect", error))?;
            let within = Some(settings.answer_within);
            let set = connection.set_read_timeout(within).and_then(|()| connection.set_write_timeout(within));
            set.map_err(|error| failed_to(sink, "connect", error))?;
            Ok(connection)
        };
        let bytes = Vec::with_capacity(PIPELINE_BYTES + PIPELINE_BYTES / 4);
        Ok(Self { connection: open()?, bytes, commands: 0, under_way: VecDeque::new() })
    }

    fn command(&mut self, words: &[&[u8]]) -> Result<(), RedisError> {
        pack(&mut self.bytes, words);
        self.commands += 1;
        if self.bytes.len() < PIPELINE_BYTES { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> Result<(), RedisError> {
        if self.commands == 0 {
            return Ok(());
        }
        if self.under_way.len() == PIPELINES_UNDER_WAY {
            self.receive()?;
        }
        self.connection.send_packed_command(&self.bytes)?;
        self.bytes.clear();
        self.under_way.push_back(std::mem::take(&mut self.commands));
        Ok(())
    }

    /// The answers of the oldest pipeline.
    fn receive(&mut self) -> Result<(), RedisError> {
        let mut left = self.under_way.pop_front().unwrap_or(0);
        while 0 < left {
            match self.connection.recv_response()?.extract_error()? {
                // Said in between, answers nothing.
                Value::Push { .. } => {}
                _ => left -= 1,
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), RedisError> {
        self.send()?;
        while !self.under_way.is_empty() {
            self.receive()?;
        }
        Ok(())
    }
}

/// A command as it goes over the wire: an array of strings, each behind its length.
fn pack(out: &mut Vec<u8>, words: &[&[u8]]) {
    let mut digits = itoa::Buffer::new();
    let mut length = |out: &mut Vec<u8>, mark: u8, length: usize| {
        out.push(mark);
        out.extend_from_slice(digits.format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    length(out, b'*', words.len());
    for word in words {
        length(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn failed(sink: &'static str, error: RedisError) -> SinkError {
    failed_to(sink, "write", error)
}

/// A socket's own word for a deadline is not one for a person.
fn failed_to(sink: &'static str, action: &'static str, error: RedisError) -> SinkError {
    if error.is_timeout() { broken_off(sink, action) } else { unavailable(sink, action, error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_packed_as_the_library_packs_it() {
        for words in
            [&["PING"][..], &["SET", "machine:a", "{\"x\":\"\r\n\"}", "EX", "300"], &["PUBLISH", "presence", ""]]
        {
            let mut command = Cmd::new();
            for word in words {
                command.arg(*word);
            }
            let mut out = Vec::new();
            pack(&mut out, &words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
            assert_eq!(out, command.get_packed_command(), "{words:?}");
        }
    }
}
