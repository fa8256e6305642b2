//! Wire: the messages of one tick as bytes, each with its gRPC head, made once; a copy of them differs in its time alone.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use model::catalogue::ALIASES;
use prost::Message;
use proto::pb;

/// Not compressed, then the length in four bytes.
pub(super) const HEAD_BYTES: usize = 5;
/// A time in milliseconds has 41 bits until 2039 and 42 until 2109.
const TIME_BYTES: usize = 6;
/// The least time that needs so many.
const TIME_MIN: i64 = 1 << 35;

/// A machine's messages of one tick.
#[derive(Debug, Clone)]
pub(super) struct Tick {
    bytes: Bytes,
    /// Where the time of each message lies.
    times_at: Vec<usize>,
}

impl Tick {
    /// `series` messages: numbers of the catalogue in turn, told apart by a label from the second round on.
    pub(super) fn new(machine: &str, series: usize) -> Self {
        let (mut bytes, mut times_at) = (BytesMut::new(), Vec::with_capacity(series));
        for (number, alias) in ALIASES.iter().cycle().take(series).enumerate() {
            let round = number / ALIASES.len();
            let labels =
                if round == 0 { BTreeMap::new() } else { BTreeMap::from([("device".to_owned(), format!("d{round}"))]) };
            let metric = pb::Metric {
                machine_id: machine.to_owned(),
                timestamp: TIME_MIN,
                r#type: alias.number,
                value: 1.0 + (number % 60) as f64,
                labels,
            };
            let length = u32::try_from(metric.encoded_len()).unwrap_or(u32::MAX);
            bytes.put_u8(0);
            bytes.put_u32(length);
            // Fields go in the order of their numbers: the machine's, then the time's key.
            let machine_bytes = pb::Metric { machine_id: machine.to_owned(), ..pb::Metric::default() }.encoded_len();
            times_at.push(bytes.len() + machine_bytes + 1);
            bytes.put_slice(&metric.encode_to_vec());
        }
        Self { bytes: bytes.freeze(), times_at }
    }

    /// The tick once for each of `times_ms`.
    pub(super) fn chunk(&self, times_ms: &[i64]) -> Bytes {
        let mut out = BytesMut::with_capacity(self.bytes.len() * times_ms.len());
        for time_ms in times_ms {
            let from = out.len();
            out.extend_from_slice(&self.bytes);
            let stamp = stamp((*time_ms).max(TIME_MIN));
            for at in &self.times_at {
                out[from + at..from + at + TIME_BYTES].copy_from_slice(&stamp);
            }
        }
        out.freeze()
    }
}

/// A time of 36 to 42 bits as protobuf writes it.
fn stamp(time_ms: i64) -> [u8; TIME_BYTES] {
    let time = time_ms.cast_unsigned();
    std::array::from_fn(|index| {
        let seven = (time >> (7 * index) & 0x7f) as u8;
        if index + 1 == TIME_BYTES { seven } else { seven | 0x80 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_the_messages_of_each_tick_at_its_time() {
        let times = [1_763_700_000_000, 1_763_700_005_000];
        let chunk = Tick::new("synthetic-load-0001", 60).chunk(&times);
        let (mut rest, mut seen) = (&chunk[..], Vec::new());
        while let Some((head, after)) = rest.split_first_chunk::<HEAD_BYTES>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            seen.push(pb::Metric::decode(&after[..length]).unwrap());
            rest = &after[length..];
        }
        assert!(rest.is_empty() && seen.len() == 120);
        assert!(seen[..60].iter().all(|metric| metric.timestamp == times[0]));
        assert!(seen[60..].iter().all(|metric| metric.timestamp == times[1]));
        assert!(seen.iter().all(|metric| metric.machine_id == "synthetic-load-0001"));
        let series: std::collections::BTreeSet<_> =
            seen.iter().map(|metric| (metric.r#type, metric.labels.clone())).collect();
        assert_eq!(series.len(), 60);
    }
}
