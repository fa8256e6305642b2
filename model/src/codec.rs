//! Records as journal bytes, and back.
//!
//! One kind byte, then the body, little-endian. Layouts and batches (the volume) are packed binary; what is rare is JSON, which older
//! and newer programs can both read. A batch names its layout by content hash: the decoder must have met the layout before,
//! which the journal's owner sees to by opening each segment with the layouts in use.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::batch::{BATCH_SAMPLES_MAX, Batch, Layout, LayoutId, Positions, Times};
use crate::ids::{InvalidName, MachineId, SessionId};
use crate::record::{Mark, Record};
use crate::series::{Labels, SeriesKey, SharedKeys};
use crate::time::Timestamp;

/// Layouts that one decoder remembers: above what a hub admits, so that only a forged journal meets it.
const LAYOUTS_MAX: usize = 1_000_000;

#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("record kind {0} is not known: it was written by a newer version; run that one")]
    UnknownKind(u8),
    #[error("record is cut short or inconsistent: {0}")]
    Malformed(&'static str),
    #[error("a batch names layout {0:016x}, which is not in the journal before it")]
    UnknownLayout(u64),
    #[error("record has unreadable JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("record has text that is not UTF-8")]
    Text(#[from] std::str::Utf8Error),
    #[error("record has a bad name")]
    Name(#[from] InvalidName),
}

const LAYOUT: u8 = 1;
const BATCH: u8 = 2;
const MACHINE: u8 = 3;
const PROCESSES: u8 = 4;
const REJECTED: u8 = 5;
const RULES: u8 = 6;
const MARK: u8 = 7;
const SILENCES: u8 = 8;
const RESENT: u8 = 9;

const HAS_LIST: u8 = 1;
const HAS_TIMES: u8 = 2;

/// Appends the record's bytes to `out`.
pub fn encode(record: &Record, out: &mut Vec<u8>) {
    let json = |out: &mut Vec<u8>, kind, value: serde_json::Result<Vec<u8>>| {
        out.push(kind);
        // Plain structs with string keys: serde_json has no reason to refuse them.
        out.extend_from_slice(&value.expect("plain data serializes"));
    };
    match record {
        Record::Layout(layout) => encode_layout(layout, out),
        Record::Batch(batch) => encode_batch(batch, (batch.layout.id, &batch.positions), out),
        Record::Machine(info) => json(out, MACHINE, serde_json::to_vec(info.as_ref())),
        Record::Processes(table) => json(out, PROCESSES, serde_json::to_vec(table.as_ref())),
        Record::Rejected(rejected) => json(out, REJECTED, serde_json::to_vec(rejected.as_ref())),
        Record::Resent(resent) => json(out, RESENT, serde_json::to_vec(resent.as_ref())),
        Record::Rules(rules) => json(out, RULES, serde_json::to_vec(rules.as_ref())),
        Record::Silences(silences) => json(out, SILENCES, serde_json::to_vec(silences.as_ref())),
        Record::Mark(mark) => {
            out.push(MARK);
            out.extend_from_slice(&mark.session.0.to_le_bytes());
            out.extend_from_slice(&mark.sequence.to_le_bytes());
            put_text(mark.machine.as_str(), out);
        }
    }
}

fn encode_layout(layout: &Layout, out: &mut Vec<u8>) {
    out.push(LAYOUT);
    put_text(layout.machine.as_str(), out);
    put_len(layout.series.len(), out);
    for key in &layout.series {
        put_text(&key.metric, out);
        put_len(key.labels.len(), out);
        for (name, value) in key.labels.iter() {
            put_text(name, out);
            put_text(value, out);
        }
    }
}

/// A batch as if it came under another layout, with the positions of its values there.
pub(crate) fn encode_batch(batch: &Batch, (layout, positions): (LayoutId, &Positions), out: &mut Vec<u8>) {
    let list = match positions {
        Positions::All => None,
        Positions::List(list) => Some(list),
    };
    let (first, each) = match &batch.times {
        Times::One(time) => (*time, None),
        Times::Each(times) => (Timestamp::EPOCH, Some(times)),
    };
    out.reserve(64 + batch.len() * 18);
    out.push(BATCH);
    out.push(if list.is_some() { HAS_LIST } else { 0 } | if each.is_some() { HAS_TIMES } else { 0 });
    out.extend_from_slice(&layout.0.to_le_bytes());
    out.extend_from_slice(&batch.session.0.to_le_bytes());
    out.extend_from_slice(&batch.sequence.to_le_bytes());
    out.extend_from_slice(&batch.arrival.micros().to_le_bytes());
    out.extend_from_slice(&batch.age_ms.to_le_bytes());
    put_len(batch.len(), out);
    if let Some(list) = list {
        put_column(out, list, u16::to_le_bytes);
    }
    match each {
        Some(times) => put_column(out, times, |t| t.micros().to_le_bytes()),
        None => out.extend_from_slice(&first.micros().to_le_bytes()),
    }
    put_column(out, &batch.values, f64::to_le_bytes);
}

/// Fixed-width values as bytes; compiles to a copy.
fn put_column<T: Copy, const N: usize>(out: &mut Vec<u8>, column: &[T], bytes: impl Fn(T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + column.len() * N, 0);
    for (to, value) in out[start..].as_chunks_mut::<N>().0.iter_mut().zip(column) {
        *to = bytes(*value);
    }
}

fn put_len(len: usize, out: &mut Vec<u8>) {
    // Layouts, batches and texts are bounded far below 2^32 where they are made.
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_len(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Reads records in journal order, remembering the layouts that batches refer to.
#[derive(Debug, Default)]
pub struct Decoder {
    layouts: HashMap<LayoutId, Arc<Layout>>,
    keys: SharedKeys,
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Layouts met so far.
    pub fn layouts(&self) -> impl Iterator<Item = &Arc<Layout>> {
        self.layouts.values()
    }

    pub fn decode(&mut self, bytes: &[u8]) -> Result<Record, CodecError> {
        let (kind, body) = bytes.split_first().ok_or(CodecError::Malformed("empty"))?;
        let mut input = Input(body);
        match *kind {
            LAYOUT => self.layout(&mut input).map(Record::Layout),
            BATCH => self.batch(&mut input).map(|b| Record::Batch(Arc::new(b))),
            MACHINE => Ok(Record::Machine(Arc::new(serde_json::from_slice(body)?))),
            PROCESSES => Ok(Record::Processes(Arc::new(serde_json::from_slice(body)?))),
            REJECTED => Ok(Record::Rejected(Arc::new(serde_json::from_slice(body)?))),
            RESENT => Ok(Record::Resent(Arc::new(serde_json::from_slice(body)?))),
            RULES => Ok(Record::Rules(Arc::new(serde_json::from_slice(body)?))),
            SILENCES => Ok(Record::Silences(Arc::new(serde_json::from_slice(body)?))),
            MARK => {
                let (session, sequence) = (SessionId(input.number()?), input.number()?);
                Ok(Record::Mark(Mark { machine: input.machine()?, session, sequence }))
            }
            other => Err(CodecError::UnknownKind(other)),
        }
    }

    fn layout(&mut self, input: &mut Input<'_>) -> Result<Arc<Layout>, CodecError> {
        let machine = input.machine()?;
        let count = input.len()?;
        let mut series = Vec::new();
        for _ in 0..count {
            let metric = input.text()?;
            let pairs: Vec<(&str, &str)> =
                (0..input.len()?).map(|_| Ok((input.text()?, input.text()?))).collect::<Result<_, CodecError>>()?;
            let labels = Labels::parse(pairs)?;
            series.push(self.keys.share(SeriesKey::parse(metric, labels)?));
        }
        let layout = Layout::new(machine, series);
        if let Some(known) = self.layouts.get(&layout.id) {
            return Ok(Arc::clone(known));
        }
        if self.layouts.len() == LAYOUTS_MAX {
            return Err(CodecError::Malformed("too many layouts"));
        }
        let layout = Arc::new(layout);
        self.layouts.insert(layout.id, Arc::clone(&layout));
        Ok(layout)
    }

    fn batch(&self, input: &mut Input<'_>) -> Result<Batch, CodecError> {
        let flags = input.take(1)?[0];
        let id = input.number()?;
        let (session, sequence) = (SessionId(input.number()?), input.number()?);
        let arrival = input.time()?;
        let age_ms = u32::from_le_bytes(input.array()?);
        let len = input.len()?;
        if len > BATCH_SAMPLES_MAX {
            return Err(CodecError::Malformed("batch too large"));
        }
        let positions = match flags & HAS_LIST {
            0 => Positions::All,
            _ => Positions::List(input.column(len, u16::from_le_bytes)?),
        };
        let times = match flags & HAS_TIMES {
            0 => Times::One(input.time()?),
            _ => Times::Each(input.column(len, |b| Timestamp::from_micros(i64::from_le_bytes(b)))?),
        };
        let values = input.column(len, f64::from_le_bytes)?;
        let layout = self.layouts.get(&LayoutId(id)).ok_or(CodecError::UnknownLayout(id))?;
        let batch = Batch { layout: Arc::clone(layout), session, sequence, arrival, age_ms, positions, times, values };
        if batch.is_consistent() { Ok(batch) } else { Err(CodecError::Malformed("batch does not fit its layout")) }
    }
}

/// What is left of a record's body.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(CodecError::Malformed("cut short"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(CodecError::Malformed("cut short"))?;
        self.0 = tail;
        Ok(*head)
    }

    fn number(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Result<Timestamp, CodecError> {
        self.array().map(|b| Timestamp::from_micros(i64::from_le_bytes(b)))
    }

    fn len(&mut self) -> Result<usize, CodecError> {
        self.array().map(|b| u32::from_le_bytes(b) as usize)
    }

    fn text(&mut self) -> Result<&'a str, CodecError> {
        let len = self.len()?;
        Ok(std::str::from_utf8(self.take(len)?)?)
    }

    fn machine(&mut self) -> Result<MachineId, CodecError> {
        Ok(MachineId::parse(self.text()?)?)
    }

    fn column<T, const N: usize>(&mut self, len: usize, read: impl Fn([u8; N]) -> T) -> Result<Box<[T]>, CodecError> {
        let bytes = self.take(len.checked_mul(N).ok_or(CodecError::Malformed("length"))?)?;
        Ok(bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::silence::SilenceSet;
    use proptest::prelude::*;

    fn layout(series: usize) -> Arc<Layout> {
        let keys = (0..series).map(|n| {
            let labels = Labels::parse([("n", n.to_string().as_str())]).unwrap();
            SeriesKey::parse("m", labels).unwrap()
        });
        Arc::new(Layout::new(MachineId::parse("db-1").unwrap(), keys.collect()))
    }

    fn batch(layout: &Arc<Layout>, samples: &[(u16, i64, f64)], is_frame: bool) -> Batch {
        let first = samples.first().map_or(0, |s| s.1);
        let times = if is_frame {
            Times::One(Timestamp::from_micros(first))
        } else {
            Times::Each(samples.iter().map(|s| Timestamp::from_micros(s.1)).collect())
        };
        Batch {
            layout: Arc::clone(layout),
            session: SessionId(7),
            sequence: 9,
            arrival: Timestamp::from_micros(5),
            age_ms: 3,
            positions: Positions::List(samples.iter().map(|s| s.0).collect()),
            times,
            values: samples.iter().map(|s| s.2).collect(),
        }
    }

    fn bytes(record: &Record) -> Vec<u8> {
        let mut out = Vec::new();
        encode(record, &mut out);
        out
    }

    proptest! {
        #[test]
        fn a_batch_reads_back_as_it_was(samples in prop::collection::vec((0u16..8, any::<i64>(), -1e9f64..1e9), 0..50), is_frame: bool) {
            let layout = layout(8);
            let batch = batch(&layout, &samples, is_frame);
            let mut decoder = Decoder::new();
            decoder.decode(&bytes(&Record::Layout(layout))).unwrap();
            let Record::Batch(back) = decoder.decode(&bytes(&Record::Batch(Arc::new(batch.clone())))).unwrap() else { panic!() };
            prop_assert_eq!(back.as_ref(), &batch);
        }

        #[test]
        fn garbage_is_refused_and_never_panics(kind in 0u8..10, body in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..120) {
            let layout = layout(4);
            let mut decoder = Decoder::new();
            let known = bytes(&Record::Layout(Arc::clone(&layout)));
            decoder.decode(&known).unwrap();
            let whole = bytes(&Record::Batch(Arc::new(batch(&layout, &[(0, 1, 1.0), (1, 1, 2.0)], true))));
            prop_assert!(decoder.decode(&whole[..cut.min(whole.len() - 1)]).is_err());
            let mut forged = vec![kind];
            forged.extend(body);
            drop(decoder.decode(&forged));
        }
    }

    #[test]
    fn a_batch_without_its_layout_is_refused() {
        let record = Record::Batch(Arc::new(batch(&layout(2), &[(0, 1, 1.0)], true)));
        assert!(matches!(Decoder::new().decode(&bytes(&record)), Err(CodecError::UnknownLayout(_))));
    }

    #[test]
    fn silences_read_back() {
        let silence = r#"{"id":"s","matchers":{"rules":["*"]},"starts_at":1,"ends_at":2,"author":"ana","created":1}"#;
        let set = SilenceSet { version: 3, silences: vec![Arc::new(serde_json::from_str(silence).unwrap())] };
        let record = Record::Silences(Arc::new(set.clone()));
        let Record::Silences(back) = Decoder::new().decode(&bytes(&record)).unwrap() else { panic!() };
        assert_eq!(back.as_ref(), &set);
    }

    #[test]
    fn a_mark_reads_back() {
        let mark = Mark { machine: MachineId::parse("a").unwrap(), session: SessionId(1), sequence: 2 };
        let Record::Mark(back) = Decoder::new().decode(&bytes(&Record::Mark(mark.clone()))).unwrap() else { panic!() };
        assert_eq!(back, mark);
    }
}
