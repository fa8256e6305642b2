//! Frame: one message on a talk connection: length, kind, id, bytes that mean nothing here.
//!
//! In: bytes as they come. Out: whole frames in their order, or that these are no frames. Bounds: [`FRAME_BYTES_MAX`] a
//! frame; memory is taken as its bytes arrive, not when its length is told.

use thiserror::Error;

pub(super) const HEAD_BYTES: usize = 13;
/// A page of history of many machines has some MiB.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 20;
/// What a read takes in at least, when there is as much.
const READ_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Pulse = 1,
    Note = 2,
    Question = 3,
    Answer = 4,
    /// The answer to a question that there is no room for.
    Unanswered = 5,
    /// Nothing follows, and the closing is no loss.
    Bye = 6,
    /// While joining: who has joined, as a number.
    Ready = 7,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    pub(super) id: u64,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it sends what is no message of this program")]
pub(super) struct Malformed;

/// What has been read and not been taken out yet.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    taken: usize,
}

pub(super) fn head(kind: FrameKind, id: u64, length: usize) -> [u8; HEAD_BYTES] {
    let length = u32::try_from(length).expect("senders refuse what is longer than a frame may be");
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4] = kind as u8;
    head[5..].copy_from_slice(&id.to_le_bytes());
    head
}

impl Frames {
    /// Where the next bytes go; there is room for some.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        // After a large frame the memory goes back.
        if self.buffer.len() < READ_BYTES && 16 * READ_BYTES < self.buffer.capacity() {
            self.buffer.shrink_to(2 * READ_BYTES);
        }
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    /// The next whole frame; none until more has been read.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let waiting = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((head, rest)) = waiting.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let (kind, id, length) = read_head(head)?;
        let Some(bytes) = rest.get(..length) else { return Ok(None) };
        let frame = Frame { kind, id, bytes: bytes.to_vec() };
        self.taken += HEAD_BYTES + length;
        Ok(Some(frame))
    }
}

fn read_head(head: &[u8; HEAD_BYTES]) -> Result<(FrameKind, u64, usize), Malformed> {
    let [a, b, c, d, kind, id @ ..] = *head;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(|_too_long| Malformed)?;
    let kind = match kind {
        1 => FrameKind::Pulse,
        2 => FrameKind::Note,
        3 => FrameKind::Question,
        4 => FrameKind::Answer,
        5 => FrameKind::Unanswered,
        6 => FrameKind::Bye,
        7 => FrameKind::Ready,
        _ => return Err(Malformed),
    };
    if length > FRAME_BYTES_MAX { Err(Malformed) } else { Ok((kind, u64::from_le_bytes(id), length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [FrameKind; 7] = [
        FrameKind::Pulse,
        FrameKind::Note,
        FrameKind::Question,
        FrameKind::Answer,
        FrameKind::Unanswered,
        FrameKind::Bye,
        FrameKind::Ready,
    ];

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let mut rng = fastrand::Rng::with_seed(7);
        let frame = |n: u8| Frame {
            kind: KINDS[usize::from(n) % 7],
            id: u64::MAX - u64::from(n),
            bytes: vec![n; usize::from(n) * 37 % 5_000],
        };
        let sent: Vec<Frame> = (0..200).map(frame).collect();
        let bytes: Vec<u8> = sent
            .iter()
            .flat_map(|frame| [&head(frame.kind, frame.id, frame.bytes.len())[..], &frame.bytes].concat())
            .collect();
        let (mut frames, mut received, mut rest) = (Frames::default(), Vec::new(), &bytes[..]);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rng.usize(1..=rest.len().min(9_000)));
            frames.room().extend_from_slice(piece);
            while let Some(frame) = frames.next().unwrap() {
                received.push(frame);
            }
            rest = after;
        }
        assert_eq!(received, sent);
    }

    #[test]
    fn an_unknown_kind_and_a_length_beyond_the_bound_are_refused_before_memory_is_taken() {
        let longest = u32::try_from(FRAME_BYTES_MAX).unwrap();
        for (kind, length, expected) in [
            (0, 0, Err(Malformed)),
            (8, 0, Err(Malformed)),
            (2, longest + 1, Err(Malformed)),
            (2, u32::MAX, Err(Malformed)),
            (2, longest, Ok(None)),
            (2, 1, Ok(None)),
        ] {
            let mut frames = Frames::default();
            frames.room().extend_from_slice(&length.to_le_bytes());
            frames.room().extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(frames.next(), expected, "kind {kind}, length {length}");
            assert!(frames.buffer.capacity() < 4 * READ_BYTES);
        }
    }

    #[test]
    fn the_memory_of_a_large_frame_goes_back() {
        let mut frames = Frames::default();
        frames.room().extend_from_slice(&head(FrameKind::Note, 1, 8 << 20));
        frames.room().resize(HEAD_BYTES + (8 << 20), 1);
        assert_eq!(frames.next().unwrap().unwrap().bytes.len(), 8 << 20);
        assert!(frames.room().capacity() <= 4 * READ_BYTES);
    }
}
