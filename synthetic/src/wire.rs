//! Wire: messages as bytes, and a codec that sends bytes as they are.
//!
//! Live messages are encoded by prost. Pre-encoded ones are made once: per message a copy and, in each frame, three fields written over:
//! sequence, time, and the value that tells the frame's number. That works because a varint may be written longer than it needs to be.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use proto::pb;
use proto::pb::push_request::Message as Sent;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder};

/// Frames in one message: some 30 KiB of sixty series.
pub(crate) const FRAMES_PER_MESSAGE: usize = 64;
/// The sender's number of its layout; it has only one.
pub(crate) const LAYOUT: u32 = 1;

/// Bytes that are messages already; answers are decoded.
pub(crate) struct RawCodec<A>(std::marker::PhantomData<A>);

pub(crate) struct RawEncoder;

impl<A> Default for RawCodec<A> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<A: Message + Default + Send + 'static> Codec for RawCodec<A> {
    type Encode = Bytes;
    type Decode = A;
    type Encoder = RawEncoder;
    type Decoder = ProstDecoder<A>;

    fn encoder(&mut self) -> RawEncoder {
        RawEncoder
    }

    fn decoder(&mut self) -> ProstDecoder<A> {
        ProstCodec::<A, A>::raw_decoder(BufferSettings::default())
    }
}

impl Encoder for RawEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

pub(crate) fn request(message: Sent) -> Bytes {
    pb::PushRequest { message: Some(message) }.encode_to_vec().into()
}

/// One message of one or more frames.
pub(crate) fn frames(mut frames: Vec<pb::Frame>) -> Bytes {
    match (frames.len(), frames.pop()) {
        (1, Some(frame)) => request(Sent::Frame(frame)),
        (_, last) => {
            frames.extend(last);
            request(Sent::Frames(pb::Frames { frames }))
        }
    }
}

/// What of a pre-encoded frame is its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stamp {
    pub(crate) sequence: u64,
    pub(crate) time_ms: i64,
    /// Written over the first value.
    pub(crate) number: u64,
}

/// A message of up to [`FRAMES_PER_MESSAGE`] frames, and where in each the stamps go.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Tag and length of the message's one field, then the frames.
    bytes: Bytes,
    head_bytes: usize,
    frame_bytes: usize,
    /// Within a frame.
    sequence_at: usize,
    time_at: usize,
    value_at: usize,
}

/// Field number and wire type as protobuf writes them in one byte.
const fn tag(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}
const VARINT: u8 = 0;
const DELIMITED: u8 = 2;
/// A varint of 64 bits has at most this many bytes, and is written with all of them.
const LONG: usize = 10;
/// Lengths get half of that.
const SHORT: usize = 5;

impl Template {
    /// `values` are those of every frame, but for the first.
    pub(crate) fn new(values: &[f64]) -> Self {
        let mut frame = BytesMut::new();
        frame.put_u8(tag(1, VARINT));
        let sequence_in_body = frame.len();
        put_varint(&mut frame, 0, LONG);
        frame.put_u8(tag(2, VARINT));
        put_varint(&mut frame, u64::from(LAYOUT), SHORT);
        frame.put_u8(tag(3, VARINT));
        let time_in_body = frame.len();
        put_varint(&mut frame, 0, LONG);
        frame.put_u8(tag(5, DELIMITED));
        put_varint(&mut frame, values.len() as u64 * 8, SHORT);
        let value_in_body = frame.len();
        values.iter().for_each(|value| frame.put_f64_le(*value));

        let frame_head = 1 + SHORT;
        let mut bytes = BytesMut::new();
        bytes.put_u8(tag(4, DELIMITED));
        put_varint(&mut bytes, 0, SHORT);
        let head_bytes = bytes.len();
        for _ in 0..FRAMES_PER_MESSAGE {
            bytes.put_u8(tag(1, DELIMITED));
            put_varint(&mut bytes, frame.len() as u64, SHORT);
            bytes.extend_from_slice(&frame);
        }
        Self {
            bytes: bytes.freeze(),
            head_bytes,
            frame_bytes: frame_head + frame.len(),
            sequence_at: frame_head + sequence_in_body,
            time_at: frame_head + time_in_body,
            value_at: frame_head + value_in_body,
        }
    }

    /// A message of as many frames as there are stamps, at most [`FRAMES_PER_MESSAGE`].
    pub(crate) fn message(&self, stamps: &[Stamp]) -> Bytes {
        let stamps = &stamps[..stamps.len().min(FRAMES_PER_MESSAGE)];
        let frames_bytes = stamps.len() * self.frame_bytes;
        let mut bytes = BytesMut::from(&self.bytes[..self.head_bytes + frames_bytes]);
        write_varint(&mut bytes[1..self.head_bytes], frames_bytes as u64);
        for (index, stamp) in stamps.iter().enumerate() {
            let at = self.head_bytes + index * self.frame_bytes;
            let frame = &mut bytes[at..at + self.frame_bytes];
            write_varint(&mut frame[self.sequence_at..self.sequence_at + LONG], stamp.sequence);
            write_varint(&mut frame[self.time_at..self.time_at + LONG], stamp.time_ms.cast_unsigned());
            if let Some(value) = frame.get_mut(self.value_at..self.value_at + 8) {
                value.copy_from_slice(&(stamp.number as f64).to_le_bytes());
            }
        }
        bytes.freeze()
    }
}

/// A varint of exactly `width` bytes.
fn put_varint(out: &mut BytesMut, value: u64, width: usize) {
    let at = out.len();
    out.put_bytes(0, width);
    write_varint(&mut out[at..], value);
}

fn write_varint(out: &mut [u8], mut value: u64) {
    let last = out.len() - 1;
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = (value & 0x7f) as u8 | if index == last { 0 } else { 0x80 };
        value >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_frame_travels_alone_and_several_together() {
        let frame = |sequence| pb::Frame { sequence, layout: LAYOUT, values: vec![1.0], ..pb::Frame::default() };
        let one = pb::PushRequest::decode(frames(vec![frame(1)])).unwrap();
        assert_eq!(one.message, Some(Sent::Frame(frame(1))));
        let two = pb::PushRequest::decode(frames(vec![frame(1), frame(2)])).unwrap();
        assert_eq!(two.message, Some(Sent::Frames(pb::Frames { frames: vec![frame(1), frame(2)] })));
    }

    proptest! {
        #[test]
        fn a_pre_encoded_message_is_read_as_what_was_stamped(
            values in prop::collection::vec(-1e9_f64..1e9, 1..70),
            stamps in prop::collection::vec((1_u64.., 0_i64..1 << 50, 0_u64..1 << 50), 1..=FRAMES_PER_MESSAGE),
        ) {
            let stamps: Vec<Stamp> =
                stamps.into_iter().map(|(sequence, time_ms, number)| Stamp { sequence, time_ms, number }).collect();
            let read = pb::PushRequest::decode(Template::new(&values).message(&stamps)).unwrap();
            let expected = stamps.iter().map(|stamp| {
                let mut values = values.clone();
                values[0] = stamp.number as f64;
                let (sequence, time_ms) = (stamp.sequence, stamp.time_ms);
                pb::Frame { sequence, layout: LAYOUT, time_ms, age_ms: 0, values, present: Vec::new() }
            });
            prop_assert_eq!(read.message, Some(Sent::Frames(pb::Frames { frames: expected.collect() })));
        }
    }
}
