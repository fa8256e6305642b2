//! Door: a connection that came in, until it is known to be of another process of the graph.
//!
//! Strangers cost [`HELLO_BYTES`] bytes and [`HELLO_WITHIN`], each in a task of its own, and nothing is sent to them.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::dial::{HELLO_WITHIN, TAKEN};
use super::hello::{HELLO_BYTES, Hello, MAGIC};

/// What came in says who it is; none for a stranger, whose connection is closed.
pub(super) async fn listen(mut stream: TcpStream) -> Option<(TcpStream, Hello)> {
    let hello = timeout(HELLO_WITHIN, read_hello(&mut stream)).await.ok()?.ok()??;
    Some((stream, hello))
}

/// Tells it who is here. None unless it has read that and stays.
pub(super) async fn answer(mut stream: TcpStream, ours: Hello) -> Option<TcpStream> {
    let told = async {
        stream.set_nodelay(true)?;
        stream.write_all(&ours.encode()).await?;
        stream.read_u8().await
    };
    let taken: io::Result<u8> = timeout(HELLO_WITHIN, told).await.ok()?;
    (taken.ok()? == TAKEN).then_some(stream)
}

async fn read_hello(stream: &mut TcpStream) -> io::Result<Option<Hello>> {
    let mut bytes = [0; HELLO_BYTES];
    let (magic, rest) = bytes.split_at_mut(MAGIC.len());
    stream.read_exact(magic).await?;
    if magic != MAGIC {
        return Ok(None);
    }
    stream.read_exact(rest).await?;
    Ok(Hello::decode(&bytes))
}
