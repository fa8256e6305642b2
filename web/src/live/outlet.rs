//! Outlet: whole frames into a connection, without waiting for it. What it does not take at once is kept, in order.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Up to here a message is copied into one piece: cheaper than a system call with two.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// A connection that can be asked to take bytes at once, or not at all.
pub(crate) trait Direct: AsyncWrite + Unpin {
    /// Pending where there is no room; nobody is woken then.
    fn send_now(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
    }
}

#[derive(Debug)]
pub(super) struct Outlet<C> {
    pub(super) connection: C,
    waiting: VecDeque<Bytes>,
    is_broken: bool,
}

impl<C: Direct> Outlet<C> {
    pub(super) const fn new(connection: C) -> Self {
        Self { connection, waiting: VecDeque::new(), is_broken: false }
    }

    /// Pieces that the connection has not taken.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A write failed: nothing gets through any more.
    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Writes whole frames, `head` and behind it `body`, which is not copied when it is large; what is not taken now waits. `head` is
    /// anything afterwards.
    pub(super) fn put(&mut self, head: &mut Vec<u8>, body: &Bytes) {
        let mut body = body.clone();
        if !head.is_empty() && body.len() <= COPIED_BYTES_MAX {
            head.extend_from_slice(&body);
            body.clear();
        }
        let mut taken = 0;
        // Who looks for room is the client's task, so nobody is to be woken here.
        while self.waiting.is_empty() && taken < head.len() + body.len() {
            let pieces =
                [IoSlice::new(&head[taken.min(head.len())..]), IoSlice::new(&body[taken.saturating_sub(head.len())..])];
            let outcome = match (pieces[0].is_empty(), pieces[1].is_empty()) {
                (_, true) => self.connection.send_now(&pieces[0]),
                (true, _) => self.connection.send_now(&pieces[1]),
                (false, false) => {
                    let mut context = Context::from_waker(Waker::noop());
                    Pin::new(&mut self.connection).poll_write_vectored(&mut context, &pieces)
                }
            };
            match outcome {
                Poll::Ready(Ok(written @ 1..)) => taken += written,
                Poll::Ready(_) => {
                    self.is_broken = true;
                    return;
                }
                Poll::Pending => break,
            }
        }
        if taken < head.len() {
            self.waiting.push_back(Bytes::copy_from_slice(&head[taken..]));
        }
        body.advance(taken.saturating_sub(head.len()));
        if !body.is_empty() {
            self.waiting.push_back(body);
        }
    }

    /// Writes on, until nothing waits.
    pub(super) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(first) = self.waiting.front_mut() {
            let written = ready!(Pin::new(&mut self.connection).poll_write(context, first))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            first.advance(written);
            if first.is_empty() {
                self.waiting.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what it likes of each write, and sometimes nothing.
    struct Moody {
        random: fastrand::Rng,
        taken: Vec<u8>,
    }

    impl Moody {
        fn take(&mut self, offered: &[u8]) -> Poll<io::Result<usize>> {
            let most = offered.len().min(self.random.usize(0..4_096));
            self.taken.extend_from_slice(&offered[..most]);
            if most == 0 { Poll::Pending } else { Poll::Ready(Ok(most)) }
        }
    }

    impl Direct for Moody {}
    impl Direct for tokio::io::DuplexStream {}

    impl AsyncWrite for Moody {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            if self.random.bool() { Poll::Pending } else { self.take(bytes) }
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let offered: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            self.take(&offered)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn frames_never_mix_whatever_the_connection_takes() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let connection = Moody { random: random.fork(), taken: Vec::new() };
            let mut outlet = Outlet::new(connection);
            let mut context = Context::from_waker(Waker::noop());
            let mut sent = Vec::new();
            for frame in 0..40_u8 {
                let head = vec![frame; random.usize(0..64)];
                let body =
                    Bytes::from(vec![frame | 0x80; random.usize(0..3) * COPIED_BYTES_MAX / 2 + random.usize(0..9)]);
                sent.extend_from_slice(&head);
                sent.extend_from_slice(&body);
                outlet.put(&mut head.clone(), &body);
                if random.bool() {
                    drop(outlet.poll_drain(&mut context));
                }
            }
            for _ in 0..100_000 {
                if outlet.poll_drain(&mut context).is_ready() {
                    break;
                }
            }
            assert!(outlet.waiting.is_empty() && !outlet.is_broken, "seed {seed}");
            assert!(outlet.connection.taken == sent, "seed {seed}");
        }
    }

    #[test]
    fn a_broken_connection_ends_it() {
        // The other end is dropped.
        let (connection, _) = tokio::io::duplex(16);
        let mut outlet = Outlet::new(connection);
        outlet.put(&mut vec![1, 2, 3], &Bytes::new());
        assert!(outlet.is_broken && outlet.waiting.is_empty());
    }
}
