//! Roster: who has come while the processes join, and whether all of them have the same in mind.
//!
//! In: connections that both sides agreed to. Out: the connections of all, once every process says that it has the very
//! same starts of all processes as this one. Both connections to a process are of one of its starts: when it starts
//! again, what its predecessor left is dropped. Bounds: two connections and [`RETIRED_MAX`] former starts a process.

use std::io::ErrorKind;
use std::net::IpAddr;

use futures_util::FutureExt;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::frame::{FrameKind, Frames, HEAD_BYTES, head};
use super::hello::{Hello, Kind, start_of};

/// A supervisor that starts a process again and again does so some times a minute.
const RETIRED_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Roster {
    process: usize,
    incarnation: u64,
    /// By index; this process' own stays empty.
    members: Vec<Member>,
}

#[derive(Debug, Default)]
struct Member {
    incarnation: Option<u64>,
    ip: Option<IpAddr>,
    data: Option<TcpStream>,
    talk: Option<TcpStream>,
    /// Starts whose connections gave way to another one's. One that comes back is alive, so there are two of it.
    retired: Vec<u64>,
    /// What this process told it last about who has joined, and what it said itself.
    told: Option<u64>,
    said: Option<u64>,
    frames: Frames,
}

/// What is left when all have joined.
#[derive(Debug)]
pub(super) struct Complete {
    pub(super) start: u64,
    /// Data and talk, by index.
    pub(super) streams: Vec<Option<(TcpStream, TcpStream)>>,
}

impl Roster {
    pub(super) fn new(processes: usize, process: usize, incarnation: u64) -> Self {
        let members = (0..processes).map(|_| Member::default()).collect();
        Self { process, incarnation, members }
    }

    /// Whether somebody else has this one's index. A process that was killed comes back from the same machine.
    pub(super) fn is_twice(&self, theirs: &Hello, ip: IpAddr) -> bool {
        let Some(member) = self.members.get(theirs.from) else { return true };
        let is_elsewhere = member.is_here() && member.incarnation != Some(theirs.incarnation) && member.ip != Some(ip);
        member.retired.contains(&theirs.incarnation) || is_elsewhere
    }

    pub(super) fn seat(&mut self, theirs: &Hello, ip: IpAddr, stream: TcpStream) {
        let Some(member) = self.members.get_mut(theirs.from) else { return };
        // A process that was killed meanwhile may have a successor here already.
        if is_closed(&stream) {
            return;
        }
        if member.is_closed() {
            member.drop_streams();
        }
        if member.incarnation != Some(theirs.incarnation) {
            member.retire();
            member.incarnation = Some(theirs.incarnation);
        }
        member.ip = Some(ip);
        match theirs.kind {
            Kind::Data => member.data = Some(stream),
            Kind::Talk => {
                member.forget_words();
                member.talk = Some(stream);
            }
        }
    }

    pub(super) fn lacks(&self, process: usize, kind: Kind) -> bool {
        let member = &self.members[process];
        let stream = match kind {
            Kind::Data => &member.data,
            Kind::Talk => &member.talk,
        };
        process != self.process && stream.is_none()
    }

    pub(super) fn is_here(&self, process: usize) -> bool {
        process == self.process || self.members[process].is_here()
    }

    /// Whether this one is here and has yet to say the same as this process.
    pub(super) fn waits_itself(&self, process: usize) -> bool {
        self.is_here(process) && process != self.process && self.members[process].said != self.start()
    }

    /// Drops what was closed, tells everybody who has joined, and hears what they say. True when all say the same.
    pub(super) fn agree(&mut self) -> bool {
        for member in &mut self.members {
            if member.is_closed() {
                member.drop_streams();
            }
        }
        let Some(start) = self.start() else { return false };
        let others = self.members.iter_mut().enumerate().filter(|(process, _)| *process != self.process);
        // Everybody is told and heard, also when the first of them is not ready.
        others.map(|(_, member)| member.tell(start) & member.hear(start)).fold(true, |all, one| all & one)
    }

    pub(super) fn complete(self) -> Option<Complete> {
        let start = self.start()?;
        let streams = self.members.into_iter().map(|member| member.data.zip(member.talk)).collect();
        Some(Complete { start, streams })
    }

    /// None before everybody is here.
    fn start(&self) -> Option<u64> {
        let incarnation_of = |(process, member): (usize, &Member)| {
            if process == self.process {
                Some(self.incarnation)
            } else {
                member.incarnation.filter(|_| member.is_here())
            }
        };
        let incarnations: Option<Vec<u64>> = self.members.iter().enumerate().map(incarnation_of).collect();
        Some(start_of(&incarnations?))
    }
}

impl Member {
    fn is_here(&self) -> bool {
        self.data.is_some() && self.talk.is_some()
    }

    fn is_closed(&self) -> bool {
        self.data.iter().chain(&self.talk).any(is_closed)
    }

    /// Both, for the process that one belonged to is most likely gone.
    fn drop_streams(&mut self) {
        (self.data, self.talk) = (None, None);
        self.forget_words();
    }

    fn retire(&mut self) {
        let had_any = self.data.is_some() || self.talk.is_some();
        self.retired.extend(self.incarnation.take().filter(|_| had_any));
        let surplus = self.retired.len().saturating_sub(RETIRED_MAX);
        self.retired.drain(..surplus);
        self.drop_streams();
    }

    fn forget_words(&mut self) {
        (self.told, self.said) = (None, None);
        self.frames = Frames::default();
    }

    fn tell(&mut self, start: u64) -> bool {
        if self.told == Some(start) {
            return true;
        }
        let Some(talk) = &self.talk else { return false };
        match talk.try_write(&head(FrameKind::Ready, start, 0)) {
            Ok(HEAD_BYTES) => self.told = Some(start),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Nothing else has been sent there, so an honest connection takes some bytes whole.
            Ok(_) | Err(_) => self.drop_streams(),
        }
        self.told == Some(start)
    }

    /// Reads no further than it must: what follows is no longer for the roster.
    fn hear(&mut self, start: u64) -> bool {
        while self.said != Some(start) {
            let Some(talk) = &self.talk else { return false };
            let mut bytes = [0; HEAD_BYTES];
            let wanted = HEAD_BYTES - self.frames.room().len();
            match talk.try_read(&mut bytes[..wanted]) {
                Ok(count) if count > 0 => self.frames.room().extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Ok(_) | Err(_) => self.drop_streams(),
            }
            match self.frames.next() {
                Ok(None) => {}
                Ok(Some(frame)) if frame.kind == FrameKind::Ready => self.said = Some(frame.id),
                // It runs already, with the former start of another process, and will end for want of that.
                Ok(Some(_)) | Err(_) => self.drop_streams(),
            }
        }
        true
    }
}

/// Whether the other side has ended, as far as is known, also when there is something left to read.
fn is_closed(stream: &TcpStream) -> bool {
    match stream.ready(Interest::READABLE).now_or_never() {
        Some(Ok(ready)) => ready.is_read_closed(),
        Some(Err(_)) => true,
        None => false,
    }
}
