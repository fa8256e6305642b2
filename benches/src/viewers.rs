//! Viewers: WebSocket clients that only count what they get, cheap enough for a thousand of them to keep up on one core.
//!
//! All messages of a run have one size, so bytes tell how many have come, and they are dropped in the kernel (`MSG_TRUNC`) instead of being
//! copied. The first of each viewer is read and looked at.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{RecvFlags, recv};

const ANSWER_MAX: Duration = Duration::from_secs(10);
const WAIT_MAX: Duration = Duration::from_secs(20);
const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
const READ_BYTES: usize = 1 << 20;
const EVENTS_MAX: usize = 1_024;
/// A text frame that fits 64 KiB has four bytes of head.
const HEAD_BYTES: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum ViewerError {
    #[error("a viewer's connection: {0}")]
    Io(#[from] io::Error),
    #[error("the server did not open a WebSocket: {0}")]
    Refused(String),
    #[error("a viewer waited {} s for message {number}", WAIT_MAX.as_secs())]
    Late { number: u64 },
    #[error("the server closed a viewer")]
    Closed,
}

/// Connected viewers that have seen the same number of messages.
pub struct Viewers {
    viewers: Vec<Viewer>,
    epoll: rustix::fd::OwnedFd,
    /// Bytes of one message with its head.
    message_bytes: u64,
    /// Newest message that every viewer has.
    seen_by_all: u64,
    /// How many viewers miss each of the messages behind it.
    missing: VecDeque<usize>,
    trash: Vec<u8>,
}

struct Viewer {
    stream: TcpStream,
    bytes: u64,
    messages: u64,
}

impl Viewers {
    /// Opens `count` WebSockets; `skip` is what a viewer reads before what counts.
    ///
    /// # Errors
    /// When the server refuses one.
    pub fn connect(
        server: SocketAddr,
        count: usize,
        skip: impl Fn(&mut TcpStream) -> io::Result<()>,
    ) -> Result<Self, ViewerError> {
        let mut viewers = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = open(server, "/ws")?;
            viewers.push(Viewer { stream, bytes: 0, messages: 0 });
        }
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(io::Error::from)?;
        for (viewer, number) in viewers.iter_mut().zip(0..) {
            skip(&mut viewer.stream)?;
            viewer.stream.set_nonblocking(true)?;
            epoll::add(&epoll, &viewer.stream, EventData::new_u64(number), EventFlags::IN).map_err(io::Error::from)?;
        }
        Ok(Self {
            viewers,
            epoll,
            message_bytes: 0,
            seen_by_all: 0,
            missing: VecDeque::new(),
            trash: vec![0; READ_BYTES],
        })
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.viewers.len()
    }

    #[must_use]
    pub const fn message_bytes(&self) -> u64 {
        self.message_bytes
    }

    /// Publishes `ahead` messages at once, again as soon as every viewer has them all; returns how many every viewer got.
    ///
    /// # Errors
    /// When a viewer is closed or gets nothing.
    pub fn watch(
        &mut self,
        ahead: u64,
        during: Duration,
        mut publish: impl FnMut(u64) -> io::Result<()>,
    ) -> Result<u64, ViewerError> {
        let (began, until) = (self.seen_by_all, Instant::now() + during);
        self.show_life()?;
        while Instant::now() < until {
            publish(ahead)?;
            self.missing.extend((0..ahead).map(|_| self.viewers.len()));
            while !self.missing.is_empty() {
                self.take()?;
            }
        }
        Ok(self.seen_by_all - began)
    }

    /// Learns the size of a message from the first one that comes to each viewer.
    ///
    /// # Errors
    /// As `watch`.
    pub fn learn(&mut self, mut publish: impl FnMut(u64) -> io::Result<()>) -> Result<(), ViewerError> {
        publish(1)?;
        for viewer in &mut self.viewers {
            viewer.stream.set_nonblocking(false)?;
            viewer.stream.set_read_timeout(Some(WAIT_MAX))?;
            self.message_bytes = read_frame(&mut viewer.stream)?.len() as u64 + HEAD_BYTES as u64;
            viewer.stream.set_nonblocking(true)?;
        }
        Ok(())
    }

    /// A pong that nobody asked for: the pings are dropped unread.
    fn show_life(&mut self) -> io::Result<()> {
        self.viewers.iter_mut().try_for_each(|viewer| viewer.stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]))
    }

    fn take(&mut self) -> Result<(), ViewerError> {
        let (mut events, deadline) = (Vec::with_capacity(EVENTS_MAX), Instant::now() + WAIT_MAX);
        // It looks again and again instead of sleeping: the server would pay for each waking of a client that no network is in front of.
        while events.is_empty() {
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&NO_TIME)).map_err(io::Error::from)?;
            if events.is_empty() {
                if deadline < Instant::now() {
                    return Err(ViewerError::Late { number: self.seen_by_all + 1 });
                }
                std::thread::yield_now();
            }
        }
        for event in events {
            let viewer = usize::try_from(event.data.u64()).unwrap_or(0);
            self.read(viewer)?;
        }
        while self.missing.front() == Some(&0) {
            self.missing.pop_front();
            self.seen_by_all += 1;
        }
        Ok(())
    }

    fn read(&mut self, number: usize) -> Result<(), ViewerError> {
        let viewer = &mut self.viewers[number];
        let (_, length) = match recv(&viewer.stream, self.trash.as_mut_slice(), RecvFlags::TRUNC) {
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Ok((_, 0)) => return Err(ViewerError::Closed),
            other => other.map_err(io::Error::from)?,
        };
        viewer.bytes += length as u64;
        // A ping now and then adds two bytes of two thousand.
        let whole = viewer.bytes / self.message_bytes;
        for message in viewer.messages..whole {
            let at = usize::try_from(message - self.seen_by_all).unwrap_or(0);
            if let Some(missing) = self.missing.get_mut(at) {
                *missing -= 1;
            }
        }
        viewer.messages = whole;
        Ok(())
    }
}

/// A WebSocket by hand: the handshake, and nothing of what comes behind it.
///
/// # Errors
/// When the server refuses.
pub fn open(server: SocketAddr, path: &str) -> Result<TcpStream, ViewerError> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if head.starts_with("HTTP/1.1 101") { Ok(stream) } else { Err(ViewerError::Refused(head)) }
}

/// The payload of the next text frame; pings are passed over.
///
/// # Errors
/// When the connection breaks.
pub fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head)?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut length = [0; 2];
                stream.read_exact(&mut length)?;
                usize::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                stream.read_exact(&mut length)?;
                usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX)
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        if head[0] & 0x0f == 1 {
            return Ok(payload);
        }
    }
}

/// A masked text frame of a client, with a mask of zeros.
///
/// # Errors
/// When the connection breaks.
pub fn send_text(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length @ ..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame)
}
