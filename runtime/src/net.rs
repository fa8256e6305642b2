//! Net: what is asked of a socket past the runtime that it belongs to.

use std::io;
use std::os::fd::AsFd;
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::SendFlags;

/// Gives the kernel what it takes of these bytes at once. Pending where it takes none; nobody is woken then. The socket must not block.
///
/// # Errors
/// When the connection is broken.
pub fn send_now(socket: impl AsFd, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        match rustix::net::send(&socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => return Poll::Ready(Ok(sent)),
            Err(Errno::AGAIN) => return Poll::Pending,
            Err(Errno::INTR) => {}
            Err(broken) => return Poll::Ready(Err(broken.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_taken_arrives_a_full_socket_takes_nothing_and_a_broken_one_says_so() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (mut sent, bytes) = (0, [7; 4_096]);
        while let Poll::Ready(taken) = send_now(&ours, &bytes) {
            sent += taken.unwrap();
        }
        let mut received = vec![0; sent];
        theirs.read_exact(&mut received).unwrap();
        assert!(0 < sent && received.iter().all(|byte| *byte == 7));
        drop(theirs);
        assert!(
            matches!(send_now(&ours, &bytes), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe)
        );
    }
}
