//! Dial: one try to reach a process of a lower index, and the hello there.
//!
//! In: an address of the hosts file. Out: a connection that both sides have agreed to, or why not, and whether another
//! try is worth it. Bounds: a deadline for each step.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::hello::{Card, HELLO_BYTES, Hello, Kind, Verdict};
use super::refusal::Refusal;

/// A machine that is down does not answer at all, and the next try may find it up.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// For the hello of either side; an overloaded process takes a while.
pub(super) const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Says that the answer has been read, so that the other side never keeps a connection that a killed process left
/// behind.
pub(super) const TAKEN: u8 = 6;

#[derive(Debug)]
pub(super) enum Dialled {
    Connected(TcpStream, Hello),
    /// Another try would end the same.
    Refused(Refusal),
    Failed(String),
}

pub(super) async fn dial(card: &Card, to: usize, kind: Kind) -> Dialled {
    let address = card.hosts.get(to).expect("one dials lower indices only");
    let stream = match timeout(CONNECT_WITHIN, TcpStream::connect((address.host.as_str(), address.port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Dialled::Failed(error.to_string()),
        Err(_elapsed) => return Dialled::Failed(format!("does not answer within {CONNECT_WITHIN:?}")),
    };
    match timeout(HELLO_WITHIN, greet(stream, card, to, kind)).await {
        Ok(Ok(dialled)) => dialled,
        Ok(Err(error)) => Dialled::Failed(format!("it hung up: {error}")),
        Err(_elapsed) => Dialled::Failed(format!("says nothing within {HELLO_WITHIN:?}")),
    }
}

async fn greet(mut stream: TcpStream, card: &Card, to: usize, kind: Kind) -> std::io::Result<Dialled> {
    stream.set_nodelay(true)?;
    stream.write_all(&card.hello(to, kind, Verdict::Welcome).encode()).await?;
    let mut bytes = [0; HELLO_BYTES];
    stream.read_exact(&mut bytes).await?;
    let Some(theirs) = Hello::decode(&bytes) else {
        return Ok(Dialled::Failed(String::from("what listens there is not a process of a sysmonstm cluster")));
    };
    if let Err(refusal) = card.judge(&theirs, Some(to)) {
        return Ok(Dialled::Refused(refusal));
    }
    stream.write_u8(TAKEN).await?;
    Ok(Dialled::Connected(stream, theirs))
}
