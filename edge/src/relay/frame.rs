//! Frame: WebSocket frames as bytes that every viewer can share, and the little that viewers say.
//!
//! A server's frames are not masked, so the same bytes serve all; a library's socket would copy each message into a buffer per viewer and
//! keep that buffer. Viewers only answer pings and say good-bye: data frames are refused by their header alone, and nothing is kept of them.

use std::io::Cursor;

use bytes::{Buf, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

/// The largest that the protocol lets a control frame be; a header has 14 bytes at most.
const CONTROL_BYTES_MAX: u64 = 125;

/// What a viewer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Ping(Bytes),
    Pong,
    Close,
}

/// What a viewer must not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misheard {
    /// It asks for something; there is nothing to ask for.
    Data,
    Protocol,
}

/// Bytes of a viewer that are not a whole frame yet: 139 at most.
#[derive(Debug, Default)]
pub(super) struct Ear {
    pub(super) bytes: BytesMut,
}

pub(super) fn text(text: String) -> Bytes {
    whole(Frame::message(text, OpCode::Data(Data::Text), true))
}

pub(super) fn ping() -> Bytes {
    whole(Frame::ping(Bytes::new()))
}

pub(super) fn pong(payload: Bytes) -> Bytes {
    whole(Frame::pong(payload))
}

pub(super) fn close(code: CloseCode, reason: &'static str) -> Bytes {
    whole(Frame::close(Some(CloseFrame { code, reason: reason.into() })))
}

fn whole(frame: Frame) -> Bytes {
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).expect("a Vec takes any bytes");
    bytes.into()
}

impl Ear {
    /// The next whole frame, if it is here.
    pub(super) fn next(&mut self) -> Result<Option<Heard>, Misheard> {
        let mut cursor = Cursor::new(&self.bytes[..]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_unreadable| Misheard::Protocol)?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let control = match header.opcode {
            OpCode::Control(control) => control,
            OpCode::Data(_) => return Err(Misheard::Data),
        };
        let Some(mask) = header.mask else { return Err(Misheard::Protocol) };
        if CONTROL_BYTES_MAX < length || !header.is_final || header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Misheard::Protocol);
        }
        let (start, length) = (cursor.position(), usize::try_from(length).expect("at most 125"));
        let start = usize::try_from(start).expect("at most 14");
        if self.bytes.len() < start + length {
            return Ok(None);
        }
        self.bytes.advance(start);
        let masked = self.bytes.split_to(length);
        match control {
            Control::Ping => {
                let payload: Vec<u8> = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
                Ok(Some(Heard::Ping(payload.into())))
            }
            Control::Pong => Ok(Some(Heard::Pong)),
            Control::Close => Ok(Some(Heard::Close)),
            Control::Reserved(_) => Err(Misheard::Protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
        let mut bytes = Vec::new();
        header.format(payload.len() as u64, &mut bytes).unwrap();
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn hear(bytes: &[u8]) -> Result<Vec<Heard>, Misheard> {
        let mut ear = Ear { bytes: bytes.into() };
        let mut heard = Vec::new();
        while let Some(one) = ear.next()? {
            heard.push(one);
        }
        Ok(heard)
    }

    #[test]
    fn viewers_answer_pings_and_leave_and_say_nothing_else() {
        let ping = said(OpCode::Control(Control::Ping), b"there?");
        let pong = said(OpCode::Control(Control::Pong), b"");
        let close = said(OpCode::Control(Control::Close), &[3, 232]);
        let all = [&ping[..], &pong, &close].concat();
        assert_eq!(hear(&all).unwrap(), [Heard::Ping(Bytes::from_static(b"there?")), Heard::Pong, Heard::Close]);
        assert_eq!(hear(&all[..ping.len() - 1]).unwrap(), []);
        assert_eq!(hear(&said(OpCode::Data(Data::Text), b"{}")), Err(Misheard::Data));
        let not_masked = ping_of(b"x");
        assert_eq!(hear(&not_masked), Err(Misheard::Protocol));
        assert_eq!(hear(&said(OpCode::Control(Control::Ping), &[0; 126])), Err(Misheard::Protocol));
    }

    fn ping_of(payload: &'static [u8]) -> Vec<u8> {
        whole(Frame::ping(payload)).to_vec()
    }

    proptest! {
        #[test]
        fn whatever_comes_is_heard_or_refused_and_little_is_kept(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut ear = Ear::default();
            for byte in bytes {
                ear.bytes.extend_from_slice(&[byte]);
                if ear.next().is_err() {
                    break;
                }
                prop_assert!(ear.bytes.len() < 139);
            }
        }
    }
}
