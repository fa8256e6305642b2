//! Sample: a message of the one-sample wire, read where it lies: no string and no map for each.
//!
//! In: the bytes of one `Metric`. Out: its numbers, and where in the bytes its machine and its labels are. What real senders write is read in one
//! pass; whatever else protobuf allows goes through prost and is written anew in that shape. So both take the same, and a property holds one against the other.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::decode_varint;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use crate::pb;

/// Keys of the message's fields, number and wire type.
const MACHINE: u8 = 1 << 3 | 2;
const TIMESTAMP: u8 = 2 << 3;
const KIND: u8 = 3 << 3;
const VALUE: u8 = 4 << 3 | 1;
const LABEL: u8 = 5 << 3 | 2;
/// And of a label's.
const LABEL_NAME: u8 = 1 << 3 | 2;
const LABEL_VALUE: u8 = 2 << 3 | 2;

/// One sample as it was sent.
#[derive(Debug, Clone)]
pub struct Sample {
    bytes: Bytes,
    fields: Fields,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Fields {
    machine: Range<usize>,
    /// All labels with their keys and lengths, one behind the other.
    labels: Range<usize>,
    timestamp_ms: i64,
    kind: i32,
    value: f64,
}

impl Sample {
    /// # Errors
    /// When the bytes are no such message.
    pub fn read(bytes: Bytes) -> Result<Self, prost::DecodeError> {
        if let Some(fields) = Fields::read(&bytes)
            && [&fields.machine, &fields.labels].iter().all(|text| bytes[(*text).clone()].is_ascii())
        {
            return Ok(Self { bytes, fields });
        }
        pb::Metric::decode(bytes).map(|metric| Self::from(&metric))
    }

    #[must_use]
    pub fn machine(&self) -> &str {
        // Checked when it was read.
        std::str::from_utf8(&self.bytes[self.fields.machine.clone()]).unwrap_or_default()
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp_ms(&self) -> i64 {
        self.fields.timestamp_ms
    }

    /// The metric's number.
    #[must_use]
    pub fn kind(&self) -> i32 {
        self.fields.kind
    }

    #[must_use]
    pub fn value(&self) -> f64 {
        self.fields.value
    }

    /// The labels as they were spelled: equal bytes are equal labels, though equal labels may be spelled in several ways.
    #[must_use]
    pub fn spelled_labels(&self) -> &[u8] {
        &self.bytes[self.fields.labels.clone()]
    }

    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        // A message of nothing but labels; what is no such message was refused when it was read.
        pb::Metric::decode(self.spelled_labels()).unwrap_or_default().labels
    }
}

impl From<&pb::Metric> for Sample {
    fn from(metric: &pb::Metric) -> Self {
        let bytes = Bytes::from(metric.encode_to_vec());
        let fields = Fields::read(&bytes).expect("prost writes labels one behind the other, names first");
        Self { bytes, fields }
    }
}

impl Fields {
    /// None for what real senders do not write: unknown fields, labels here and there.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut fields, mut rest) = (Self::default(), bytes);
        while let Some((key, after)) = rest.split_first() {
            let key_at = bytes.len() - rest.len();
            rest = after;
            match *key {
                MACHINE => fields.machine = text(bytes, &mut rest)?,
                TIMESTAMP => fields.timestamp_ms = decode_varint(&mut rest).ok()?.cast_signed(),
                KIND => {
                    #[expect(clippy::cast_possible_truncation, reason = "protobuf's rule for a 32-bit number")]
                    let kind = decode_varint(&mut rest).ok()?.cast_signed() as i32;
                    fields.kind = kind;
                }
                VALUE => {
                    let (value, after) = rest.split_first_chunk::<8>()?;
                    (fields.value, rest) = (f64::from_le_bytes(*value), after);
                }
                LABEL => {
                    let label = text(bytes, &mut rest)?;
                    if fields.labels.is_empty() {
                        fields.labels.start = key_at;
                    } else if fields.labels.end != key_at {
                        return None;
                    }
                    fields.labels.end = label.end;
                    is_label(&bytes[label]).then_some(())?;
                }
                _ => return None,
            }
        }
        Some(fields)
    }
}

/// Where a field with a length lies; `rest` is behind it then.
fn text(bytes: &[u8], rest: &mut &[u8]) -> Option<Range<usize>> {
    let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
    let from = bytes.len() - rest.len();
    *rest = rest.get(length..)?;
    Some(from..from + length)
}

/// A name, then a value, each at most once: what is empty is left out.
fn is_label(entry: &[u8]) -> bool {
    let mut rest = entry;
    for key in [LABEL_NAME, LABEL_VALUE] {
        if let Some(after) = rest.strip_prefix(&[key]) {
            rest = after;
            if text(entry, &mut rest).is_none() {
                return false;
            }
        }
    }
    rest.is_empty()
}

/// Messages in, one acknowledgement out.
#[derive(Debug, Clone, Copy, Default)]
pub struct SampleCodec;

/// Reads [`Sample`]s.
#[derive(Debug, Clone, Copy, Default)]
pub struct SampleDecoder;

impl Codec for SampleCodec {
    type Encode = pb::StreamAck;
    type Decode = Sample;
    type Encoder = ProstEncoder<pb::StreamAck>;
    type Decoder = SampleDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<pb::StreamAck, pb::Metric>::default().encoder()
    }

    fn decoder(&mut self) -> SampleDecoder {
        SampleDecoder
    }
}

impl Decoder for SampleDecoder {
    type Item = Sample;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Sample>, Status> {
        let bytes = source.copy_to_bytes(source.remaining());
        // As prost's own codec says it.
        Sample::read(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(sample: &Sample) -> pb::Metric {
        pb::Metric {
            machine_id: sample.machine().to_owned(),
            timestamp: sample.timestamp_ms(),
            r#type: sample.kind(),
            value: sample.value(),
            labels: sample.labels(),
        }
    }

    fn check(bytes: &[u8]) {
        let read = Sample::read(Bytes::copy_from_slice(bytes)).map(|sample| told(&sample).encode_to_vec());
        let expected = pb::Metric::decode(bytes).map(|metric| metric.encode_to_vec());
        assert_eq!(read.map_err(drop), expected.map_err(drop), "{bytes:?}");
    }

    #[test]
    fn what_is_unusual_is_read_as_prost_reads_it() {
        let label = |name: &str, value: &str| {
            pb::Metric { labels: [(name.to_owned(), value.to_owned())].into(), ..pb::Metric::default() }.encode_to_vec()
        };
        let machine = pb::Metric { machine_id: "db-1".into(), timestamp: -5, r#type: -1, ..pb::Metric::default() };
        let (a, b, machine) = (label("a", "1"), label("b", "2"), machine.encode_to_vec());
        // Labels apart from each other, one name twice, an unknown field, a label without its value, text that is none.
        check(&[&a[..], &machine, &b].concat());
        check(&[&b[..], &a, &label("b", "3"), &machine].concat());
        check(&[&machine[..], &[15 << 3, 7], &a].concat());
        check(&[&machine[..], &[LABEL, 3, LABEL_NAME, 1, b'a']].concat());
        check(&[&machine[..], &[LABEL, 1, 0xff]].concat());
        check(&[MACHINE, 2, 0xff, 0xfe]);
        check(&[MACHINE, 9, b'a']);
        check(&[VALUE, 1, 2]);
        check(&label("ort", "Köln"));
        check(&[]);
    }

    proptest! {
        #[test]
        fn every_message_is_read_as_prost_reads_it(
            machine_id in ".{0,20}", timestamp: i64, r#type: i32, value: f64,
            labels in prop::collection::btree_map("[a-zä]{0,9}", ".{0,200}", 0..5),
        ) {
            check(&pb::Metric { machine_id, timestamp, r#type, value, labels }.encode_to_vec());
        }

        #[test]
        fn any_bytes_are_read_as_prost_reads_them(
            mut bytes in prop::collection::vec(any::<u8>(), 0..40), metric_first: bool, at: prop::sample::Index, to: u8,
        ) {
            if metric_first {
                let labels = [("core".to_owned(), "1".to_owned()), ("x".to_owned(), String::new())].into();
                let metric = pb::Metric { machine_id: "web-1".into(), timestamp: 1_700_000_000_000, r#type: 6, value: 0.5, labels };
                bytes = metric.encode_to_vec();
                *at.get_mut(&mut bytes) = to;
            }
            check(&bytes);
        }
    }
}
