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
/// With its length before it.
const VALUE_BYTES: usize = 12;
const ARRAY_HEADER: i32 = 20;

/// What a piece of rows has at least, but for the last one: small enough to stay in a cache until it is on its way.
const PIECE_BYTES: usize = 64 << 10;
/// Of one row.
const BYTES_MAX: usize = 80 + VALUE_BYTES * ROW_VALUES_MAX;

/// The rows of a batch of outputs.
#[derive(Default)]
pub(super) struct Frames<'a> {
    rows: Vec<Row<'a>>,
}

/// One row, and what it is made from.
pub(super) struct Row<'a> {
    pub(super) bound: &'a Bound,
    pub(super) time: Timestamp,
    t: LogicalTime,
    machine: i32,
    layout: i32,
    part: i32,
    values: Values,
}

/// The values of a row.
enum Values {
    /// These of the batch, none absent.
    Run(Range<usize>),
    /// One by one, as far as there are any.
    Some(Box<[Option<f64>]>),
}

impl<'a> Frames<'a> {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row(&self, index: usize) -> &Row<'a> {
        &self.rows[index]
    }

    /// These rows with header and end. Each piece is made when it is asked for, so that the server is at work on the one before meanwhile.
    pub(super) fn copy(&self, rows: Range<usize>) -> impl Iterator<Item = Bytes> {
        let mut rows = self.rows[rows].iter();
        let mut out = BytesMut::from(COPY_HEADER);
        let mut has_ended = false;
        std::iter::from_fn(move || {
            if has_ended {
                return None;
            }
            // All at once, so that it is the memory of a piece that was sent, if there is one.
            out.reserve(PIECE_BYTES + BYTES_MAX);
            while !has_ended && out.len() < PIECE_BYTES {
                match rows.next() {
                    Some(row) => row.put(&mut out),
                    None => {
                        out.put_slice(COPY_TRAILER);
                        has_ended = true;
                    }
                }
            }
            Some(out.split().freeze())
        })
    }
}

/// Finds the rows of one write.
pub(super) struct Encoder<'i, 'a> {
    ids: &'i Ids,
    rows: Vec<Row<'a>>,
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

impl<'i, 'a> Encoder<'i, 'a> {
    pub(super) fn new(ids: &'i Ids, first_part: i32) -> Self {
        Self { ids, rows: Vec::new(), parts: HashMap::new(), first_part, t: 0 }
    }

    pub(super) fn add(&mut self, t: LogicalTime, bound: &'a Bound) -> Result<(), Failure> {
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
                for (piece, start) in (0..bound.batch.len()).step_by(ROW_VALUES_MAX).enumerate() {
                    let end = bound.batch.len().min(start + ROW_VALUES_MAX);
                    self.row(&of, (*time, piece), Values::Run(start..end))?;
                }
                Ok(())
            }
            _ => self.scattered(&of),
        }
    }

    /// By moment, then by how often a series has had a value of that moment, then by piece.
    fn scattered(&mut self, of: &Of<'a>) -> Result<(), Failure> {
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
            self.row(of, (time, piece), Values::Some(values.collect()))?;
        }
        Ok(())
    }

    fn row(&mut self, of: &Of<'a>, (time, piece): (Timestamp, usize), values: Values) -> Result<(), Failure> {
        let layout = self.ids.layout(of.bound, piece)?;
        let part = self.parts.entry((of.machine, time.micros())).or_insert(self.first_part);
        let row = Row { bound: of.bound, time, t: self.t, machine: of.machine, layout, part: *part, values };
        *part += 1;
        self.rows.push(row);
        Ok(())
    }

    pub(super) fn finish(self) -> Frames<'a> {
        Frames { rows: self.rows }
    }
}

impl Row<'_> {
    fn put(&self, out: &mut BytesMut) {
        out.put_i16(6);
        for id in [self.machine, self.layout] {
            out.put_i32(4);
            out.put_i32(id);
        }
        for long in [server_us(self.time), sql_t(self.t)] {
            out.put_i32(8);
            out.put_i64(long);
        }
        out.put_i32(4);
        out.put_i32(self.part);
        match &self.values {
            Values::Run(range) => put_run(out, &self.bound.batch.values[range.clone()]),
            Values::Some(values) => put_some(out, values),
        }
    }
}

/// Before an array's values: its bytes with so many of them, and whether some are NULL.
fn put_head(out: &mut BytesMut, length: usize, present: usize) {
    let whole = |count: usize| i32::try_from(count).expect("a row has at most ROW_VALUES_MAX values");
    out.put_i32(ARRAY_HEADER + 4 * whole(length) + 8 * whole(present));
    out.put_i32(1);
    out.put_i32(i32::from(present < length));
    out.put_i32(FLOAT8);
    out.put_i32(whole(length));
    out.put_i32(1);
}

fn put_run(out: &mut BytesMut, values: &[f64]) {
    put_head(out, values.len(), values.len());
    let start = out.len();
    out.resize(start + VALUE_BYTES * values.len(), 0);
    for (cell, value) in out[start..].chunks_exact_mut(VALUE_BYTES).zip(values) {
        cell[..4].copy_from_slice(&8_i32.to_be_bytes());
        cell[4..].copy_from_slice(&value.to_be_bytes());
    }
}

fn put_some(out: &mut BytesMut, values: &[Option<f64>]) {
    put_head(out, values.len(), values.iter().flatten().count());
    for value in values {
        match value {
            Some(value) => {
                out.put_i32(8);
                out.put_f64(*value);
            }
            None => out.put_i32(-1),
        }
    }
}
