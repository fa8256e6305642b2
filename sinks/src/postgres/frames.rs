//! Frames: batches as rows of `raw_frames`, encoded as the server's binary COPY takes them.
//!
//! In: bound batches with their logical time. Out: one row per moment of a batch; a moment with more than `ROW_VALUES_MAX` positions has
//! several, and so has one with several values of one series: each row holds a series once. `part` keeps them apart and in order.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use hashbrown::HashMap;
use model::batch::{Positions, Times};
use model::{Bound, LogicalTime, Timestamp};

use super::error::Failure;
use super::ids::{Ids, ROW_VALUES_MAX};
use super::value::{COPY_HEADER, COPY_TRAILER, server_us, sql_t};

/// The server's number of the type `double precision`.
const FLOAT8: i32 = 701;
const VALUE_BYTES: i32 = 12;
const ARRAY_HEADER: i32 = 20;

/// The rows of a batch of outputs.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Bytes,
    rows: Vec<Row>,
}

/// One row, and what it was made from.
pub(super) struct Row {
    /// Place in `bytes`.
    at: Range<usize>,
    pub(super) bound: Bound,
    pub(super) time: Timestamp,
}

impl Frames {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row(&self, index: usize) -> &Row {
        &self.rows[index]
    }

    /// These rows with header and end, without copying any.
    pub(super) fn copy(&self, rows: Range<usize>) -> impl Iterator<Item = Bytes> {
        let mut pieces = vec![Bytes::from_static(COPY_HEADER)];
        for run in self.rows[rows].chunk_by(|a, b| a.at.end == b.at.start) {
            let (first, last) = (&run[0], &run[run.len() - 1]);
            pieces.push(self.bytes.slice(first.at.start..last.at.end));
        }
        pieces.push(Bytes::from_static(COPY_TRAILER));
        pieces.into_iter()
    }
}

/// Makes the rows of one write.
pub(super) struct Encoder<'a> {
    ids: &'a Ids,
    out: BytesMut,
    rows: Vec<Row>,
    /// The next part of a machine and a moment, all of one logical time.
    parts: HashMap<(i32, i64), i32>,
    first_part: i32,
    t: LogicalTime,
}

/// What the rows of one batch share.
struct Of<'a> {
    bound: &'a Bound,
    machine: i32,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(ids: &'a Ids, first_part: i32) -> Self {
        Self { ids, out: BytesMut::new(), rows: Vec::new(), parts: HashMap::new(), first_part, t: 0 }
    }

    pub(super) fn add(&mut self, t: LogicalTime, bound: &Bound) -> Result<(), Failure> {
        if bound.batch.is_empty() {
            return Ok(());
        }
        if t != self.t {
            self.parts.clear();
            self.t = t;
        }
        let of = Of { bound, machine: self.ids.machine(&bound.roster().machine)? };
        match (&bound.batch.positions, &bound.batch.times) {
            (Positions::All, Times::One(time)) => {
                for (piece, values) in bound.batch.values.chunks(ROW_VALUES_MAX).enumerate() {
                    self.row(&of, (*time, piece), values.len(), values.iter().map(|value| Some(*value)))?;
                }
                Ok(())
            }
            _ => self.scattered(&of),
        }
    }

    /// By moment, then by how often a series has had a value of that moment, then by piece.
    fn scattered(&mut self, of: &Of<'_>) -> Result<(), Failure> {
        let batch = &of.bound.batch;
        let mut samples: Vec<(Timestamp, usize, usize)> =
            (0..batch.len()).map(|index| (batch.time(index), batch.position(index), index)).collect();
        samples.sort_unstable();
        let mut rows: BTreeMap<(Timestamp, usize, usize), Vec<(usize, f64)>> = BTreeMap::new();
        for twins in samples.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            for (nth, (time, position, index)) in twins.iter().enumerate() {
                let row = rows.entry((*time, nth, position / ROW_VALUES_MAX)).or_default();
                row.push((position % ROW_VALUES_MAX, batch.values[*index]));
            }
        }
        for ((time, _, piece), present) in rows {
            // In order of position; what follows the last one need not be said.
            let length = present.last().map_or(0, |(position, _)| position + 1);
            let mut present = present.into_iter().peekable();
            let values = (0..length).map(|at| present.next_if(|(position, _)| *position == at).map(|(_, value)| value));
            self.row(of, (time, piece), length, values)?;
        }
        Ok(())
    }

    fn row(
        &mut self,
        of: &Of<'_>,
        (time, piece): (Timestamp, usize),
        length: usize,
        values: impl Iterator<Item = Option<f64>>,
    ) -> Result<(), Failure> {
        let layout = self.ids.layout(of.bound, piece)?;
        let part = self.parts.entry((of.machine, time.micros())).or_insert(self.first_part);
        let (start, out) = (self.out.len(), &mut self.out);
        out.reserve(64 + length * 12);
        out.put_i16(6);
        for id in [of.machine, layout] {
            out.put_i32(4);
            out.put_i32(id);
        }
        for long in [server_us(time), sql_t(self.t)] {
            out.put_i32(8);
            out.put_i64(long);
        }
        out.put_i32(4);
        out.put_i32(*part);
        *part += 1;
        put_array(out, length, values);
        let at = start..out.len();
        self.rows.push(Row { at, bound: of.bound.clone(), time });
        Ok(())
    }

    pub(super) fn finish(self) -> Frames {
        Frames { bytes: self.out.freeze(), rows: self.rows }
    }
}

fn put_array(out: &mut BytesMut, length: usize, values: impl Iterator<Item = Option<f64>>) {
    let length = i32::try_from(length).expect("a row has at most ROW_VALUES_MAX values");
    let start = out.len();
    out.put_i32(ARRAY_HEADER + VALUE_BYTES * length);
    out.put_i32(1);
    out.put_i32(0);
    out.put_i32(FLOAT8);
    out.put_i32(length);
    out.put_i32(1);
    let mut absent = 0;
    for value in values {
        match value {
            Some(value) => {
                out.put_i32(8);
                out.put_f64(value);
            }
            None => {
                out.put_i32(-1);
                absent += 1;
            }
        }
    }
    if 0 < absent {
        let bytes = ARRAY_HEADER + VALUE_BYTES * length - 8 * absent;
        out[start..start + 4].copy_from_slice(&bytes.to_be_bytes());
        // Says that some are NULL.
        out[start + 8..start + 12].copy_from_slice(&1_i32.to_be_bytes());
    }
}
