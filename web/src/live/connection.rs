//! Connection: a client's bare TCP connection, once its handshake is over.
//!
//! hyper hands it over in a box, behind its own buffer and the deadline for answers (`stall`). Live clients have deadlines of their own, and a
//! thousand of them are written to in a row: each layer would be memory of each client that is cold when its turn comes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use runtime::net::send_now;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::outlet::Direct;
use crate::stall::Impatient;

#[derive(Debug)]
pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    /// What the client sent right behind its handshake: mostly nothing.
    early: Option<Box<Bytes>>,
}

impl Connection {
    /// None when it is not a connection of `serve`.
    pub(crate) fn of(upgraded: Upgraded) -> Option<Self> {
        let parts = upgraded.downcast::<TokioIo<Impatient<TcpStream>>>().ok()?;
        // Empty, it is still the buffer that the head of the request was read into: not to be kept for every client.
        let early = (!parts.read_buf.is_empty()).then(|| Box::new(parts.read_buf));
        Some(Self { stream: parts.io.into_inner().into_inner(), early })
    }
}

impl Direct for Connection {
    /// Asks the kernel itself: what the runtime thinks of the connection is one more cache line that is far away. It learns of a full
    /// connection when the client's task waits for room.
    fn send_now(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        send_now(&self.stream, bytes)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(early) = &mut self.early else {
            return Pin::new(&mut self.stream).poll_read(context, into);
        };
        let length = early.len().min(into.remaining());
        into.put_slice(&early[..length]);
        early.advance(length);
        if early.is_empty() {
            self.early = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_came_behind_the_handshake_is_read_first() {
        let mut connection = Connection { stream: &b"later"[..], early: Some(Box::new(Bytes::from_static(b"early "))) };
        let mut piece = [0; 4];
        connection.read_exact(&mut piece).await.unwrap();
        let mut rest = String::new();
        connection.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&piece, rest.as_str()), (b"earl", "y later"));
    }
}
