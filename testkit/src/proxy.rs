//! Proxy: a loopback connection in the middle, that resets when it is told to: after so many bytes behind a mark in what a client sends.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Stands before a server; gone with the value, and every connection with it.
pub struct CuttingProxy {
    address: SocketAddr,
    cuts: Arc<Cuts>,
    task: AbortHandle,
}

#[derive(Default)]
struct Cuts {
    /// Bytes that the next connections in which the mark appears may send behind it; those after them are left alone.
    budgets: Mutex<VecDeque<usize>>,
    made: AtomicUsize,
}

/// What is looked for in one direction of a connection.
struct Watch {
    mark: &'static [u8],
    /// The end of what has passed: a mark may lie across two reads.
    tail: Vec<u8>,
    left: Option<usize>,
}

impl CuttingProxy {
    /// Forwards to `server`; `mark` is what the bytes of a budget are counted from.
    ///
    /// # Errors
    /// When loopback has no port.
    pub async fn start(server: SocketAddr, mark: &'static [u8]) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, cuts) = (listener.local_addr()?, Arc::<Cuts>::default());
        let shared = Arc::clone(&cuts);
        let task = tokio::spawn(async move {
            // Ended together with their proxy.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, server, mark, Arc::clone(&shared)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, cuts, task: task.abort_handle() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One more connection is to be reset, this many bytes behind its first mark.
    pub fn cut_after(&self, bytes: usize) {
        self.cuts.lock().push_back(bytes);
    }

    /// Connections reset so far.
    pub fn made(&self) -> usize {
        self.cuts.made.load(Ordering::SeqCst)
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cuts {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<usize>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn forward(client: TcpStream, server: SocketAddr, mark: &'static [u8], cuts: Arc<Cuts>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    // A small reply must not wait for the one before it to be confirmed.
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    // Closing then is a reset, for both sides.
    drop((client.set_zero_linger(), server.set_zero_linger()));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let watch = Watch { mark, tail: Vec::new(), left: None };
    tokio::select! {
        () = pass_watched(from_client, to_server, watch, &cuts) => {}
        () = pass(from_server, to_client) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

async fn pass_watched(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut watch: Watch, cuts: &Cuts) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let may_pass = watch.may_pass(&bytes[..read], cuts);
        if to.write_all(&bytes[..may_pass]).await.is_err() {
            return;
        }
        if may_pass < read {
            cuts.made.fetch_add(1, Ordering::SeqCst);
            return;
        }
    }
}

impl Watch {
    /// How many of these bytes.
    fn may_pass(&mut self, bytes: &[u8], cuts: &Cuts) -> usize {
        if let Some(left) = &mut self.left {
            let passed = bytes.len().min(*left);
            *left -= passed;
            return passed;
        }
        let known = self.tail.len();
        self.tail.extend_from_slice(bytes);
        let found = self.tail.windows(self.mark.len()).position(|window| window == self.mark);
        let Some(at) = found else {
            let kept = self.tail.len().saturating_sub(self.mark.len() - 1);
            self.tail.drain(..kept);
            return bytes.len();
        };
        let behind = (at + self.mark.len()).saturating_sub(known);
        self.tail.clear();
        let Some(budget) = cuts.lock().pop_front() else { return bytes.len() };
        let passed = bytes.len().min(behind + budget);
        self.left = Some(budget - (passed - behind));
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that pass of these pieces, with one budget.
    fn passed(pieces: &[&[u8]], budget: usize) -> usize {
        let cuts = Cuts::default();
        cuts.lock().push_back(budget);
        let mut watch = Watch { mark: b"MARK", tail: Vec::new(), left: None };
        let mut sum = 0;
        for piece in pieces {
            let may_pass = watch.may_pass(piece, &cuts);
            sum += may_pass;
            if may_pass < piece.len() {
                break;
            }
        }
        sum
    }

    #[test]
    fn what_passes_ends_so_many_bytes_behind_the_mark_wherever_it_lies() {
        assert_eq!(passed(&[b"xxMARKabcdef"], 3), 9);
        assert_eq!(passed(&[b"xxMA", b"RKabc", b"def"], 3), 9);
        assert_eq!(passed(&[b"xxMA", b"RKabc", b"def"], 4), 10);
        assert_eq!(passed(&[b"MARK", b"a"], 0), 4);
        assert_eq!(passed(&[b"nothing", b"here"], 0), 11);
    }
}
