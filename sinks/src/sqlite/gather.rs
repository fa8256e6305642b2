//! Gathering: raw batches of each machine wait here until they are worth a chunk.
//!
//! In: bound batches with their logical time. Out: chunks of one machine, sorted by time, late samples in their own.
//! State: shared pointers to the batches, bounded in bytes; what is here is in the journal too, so a restart loses nothing.
//! Loss: of two samples of one series at one time the first one stands, unless the metric is an event: each of those counts.

use std::sync::Arc;

use hashbrown::HashMap;
use model::{Bound, LogicalTime, MachineId, Roster, SeriesKey, Timestamp};

use crate::roster::longer;
use crate::samples::{Sample, sort_samples};

use super::chunk::{self, Column, ROWS_MAX};

/// Longest span of one chunk in microseconds: a reader looks this far back before its range. Never made smaller: stored chunks rely on it.
pub(super) const SPAN_MAX: i64 = 900_000_000;
/// Struct, allocation and shared parts of a batch, beside its columns.
const BATCH_BYTES: usize = 240;

pub(super) type Batches = Vec<(LogicalTime, Bound)>;

/// Batches whose slots mean the same series, with the longest of their rosters.
pub(super) type Run<'a> = (Arc<Roster>, &'a [(LogicalTime, Bound)]);

#[derive(Default)]
pub(super) struct Gathered {
    machines: HashMap<MachineId, Waiting>,
    pub(super) bytes: usize,
    /// Bytes of everything that ever came.
    passed: u64,
}

struct Waiting {
    batches: Batches,
    /// Bytes that had come before the first of them.
    since: u64,
}

/// When a machine's batches make a chunk; any of these is enough.
pub(super) struct Due {
    /// As many batches.
    pub(super) batches: usize,
    /// The first is of this T, or older.
    pub(super) before: LogicalTime,
    /// As many bytes of all machines have come since the first. It holds the cursor back, and with it in memory what is behind: one slow
    /// machine must not make that grow with the fleet.
    pub(super) behind: u64,
}

/// One row of the table `raw_chunks`.
pub(super) struct RawChunk {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) data: Vec<u8>,
}

impl Gathered {
    pub(super) fn add(&mut self, t: LogicalTime, bound: &Bound) {
        let (bytes, since) = (bytes_of(bound), self.passed);
        self.bytes += bytes;
        self.passed += bytes as u64;
        let machine = &bound.roster().machine;
        match self.machines.get_mut(machine) {
            Some(waiting) => waiting.batches.push((t, bound.clone())),
            None => {
                let waiting = Waiting { batches: vec![(t, bound.clone())], since };
                self.machines.insert(machine.clone(), waiting);
            }
        }
    }

    pub(super) fn of(&self, machine: &MachineId) -> &[(LogicalTime, Bound)] {
        self.machines.get(machine).map_or(&[], |waiting| waiting.batches.as_slice())
    }

    /// Machines whose batches are due, in id order, at most `count_max`.
    pub(super) fn due(&self, due: &Due, count_max: usize) -> Vec<MachineId> {
        let is_due = |Waiting { batches, since }: &Waiting| {
            due.batches <= batches.len()
                || due.behind <= self.passed - since
                || batches.first().is_some_and(|(t, _)| *t <= due.before)
        };
        let due = self.machines.iter().filter(|(_, waiting)| is_due(waiting));
        let mut due: Vec<MachineId> = due.map(|(machine, _)| machine.clone()).take(count_max).collect();
        due.sort();
        due
    }

    /// T of the oldest batch of any machine but these.
    pub(super) fn oldest_without(&self, machines: &[MachineId]) -> Option<LogicalTime> {
        let others = self.machines.iter().filter(|(machine, _)| machines.binary_search(machine).is_err());
        others.filter_map(|(_, waiting)| waiting.batches.first().map(|(t, _)| *t)).min()
    }

    pub(super) fn remove(&mut self, machines: &[MachineId]) {
        for machine in machines {
            let removed = self.machines.remove(machine).map_or_else(Vec::new, |waiting| waiting.batches);
            self.bytes -= removed.iter().map(|(_, bound)| bytes_of(bound)).sum::<usize>();
        }
    }
}

fn bytes_of(bound: &Bound) -> usize {
    BATCH_BYTES + bound.batch.len() * 10
}

/// Makes chunks of one run of a machine's batches. `series` has the id of each slot of its longest roster.
pub(super) fn chunks(batches: &[(LogicalTime, Bound)], roster: &Roster, series: &[i64]) -> Vec<RawChunk> {
    let mut slots = by_slot(batches, roster);
    let rows = row_times(&slots);
    let mut order: Vec<usize> = (0..slots.len()).filter(|slot| !slots[*slot].is_empty()).collect();
    order.sort_by_key(|slot| series[*slot]);
    let mut made = Vec::new();
    let mut from = 0;
    while from < rows.len() {
        let is_inside = |row: &&i64| row.saturating_sub(rows[from]) < SPAN_MAX;
        let to = from + rows[from..].iter().take(ROWS_MAX).take_while(is_inside).count();
        let times = &rows[from..to];
        let columns: Vec<Column> = order
            .iter()
            .map(|slot| column(series[*slot], times, &mut slots[*slot]))
            .filter(|column| !column.values.is_empty())
            .collect();
        made.push(RawChunk { start: times[0], end: times[times.len() - 1], data: chunk::encode(times, &columns) });
        from = to;
    }
    made
}

/// A series' samples, taken from the front.
struct Samples {
    list: Vec<Sample>,
    taken: usize,
}

impl Samples {
    fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

fn by_slot(batches: &[(LogicalTime, Bound)], roster: &Roster) -> Vec<Samples> {
    let mut lists: Vec<Vec<Sample>> = (0..roster.series.len()).map(|_| Vec::with_capacity(batches.len())).collect();
    for (_, bound) in batches {
        for (index, value) in bound.batch.values.iter().enumerate() {
            if let Some(list) = lists.get_mut(bound.slot(index).index()) {
                list.push((bound.batch.time(index).micros(), *value));
            }
        }
    }
    for (key, list) in roster.series.iter().zip(&mut lists) {
        sort_samples(list, key);
    }
    lists.into_iter().map(|list| Samples { list, taken: 0 }).collect()
}

/// Every time that occurs, as often as it occurs most in one series.
fn row_times(slots: &[Samples]) -> Vec<i64> {
    let mut rows: Vec<i64> = Vec::new();
    for Samples { list, .. } in slots {
        let is_known = list.iter().map(|(time, _)| *time).eq(rows.iter().copied());
        if !is_known && !list.is_empty() {
            rows = merge(&rows, list);
        }
    }
    rows
}

fn merge(rows: &[i64], list: &[Sample]) -> Vec<i64> {
    let mut merged = Vec::with_capacity(rows.len().max(list.len()));
    let (mut a, mut b) = (rows.iter().copied().peekable(), list.iter().map(|(time, _)| *time).peekable());
    while let Some(next) = a.peek().into_iter().chain(b.peek()).min().copied() {
        a.next_if_eq(&next);
        b.next_if_eq(&next);
        merged.push(next);
    }
    merged
}

/// The samples of one series that fall on these rows.
fn column(series: i64, times: &[i64], samples: &mut Samples) -> Column {
    let (mut rows, mut values) = (Vec::with_capacity(times.len()), Vec::with_capacity(times.len()));
    for (row, time) in (0..).zip(times) {
        if let Some((_, value)) = samples.list.get(samples.taken).filter(|(at, _)| at == time) {
            rows.push(row);
            values.push(*value);
            samples.taken += 1;
        }
    }
    Column { series, rows, values }
}

/// Cuts a machine's batches where their slots change their meaning: the graph forgot the machine and met it again.
pub(super) fn runs(batches: &[(LogicalTime, Bound)]) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    let mut rest = batches;
    while let Some((_, first)) = rest.first() {
        let (mut longest, mut count) = (first.roster(), 0);
        while let Some((_, bound)) = rest.get(count)
            && let Some(roster) = longer(longest, bound.roster())
        {
            (longest, count) = (roster, count + 1);
        }
        let (run, others) = rest.split_at(count);
        runs.push((Arc::clone(longest), run));
        rest = others;
    }
    runs
}

/// Appends what a machine's waiting batches have of one series in `[from, to)`.
pub(super) fn read(
    batches: &[(LogicalTime, Bound)],
    key: &SeriesKey,
    range: (Timestamp, Timestamp),
    out: &mut Vec<Sample>,
) {
    let mut known: Option<(&Arc<Roster>, Option<usize>)> = None;
    for (_, bound) in batches {
        let roster = bound.roster();
        let slot = match known {
            Some((of, slot)) if Arc::ptr_eq(of, roster) => slot,
            _ => roster.series.iter().position(|other| other.as_ref() == key),
        };
        known = Some((roster, slot));
        let Some(slot) = slot else { continue };
        for (index, value) in bound.batch.values.iter().enumerate() {
            let time = bound.batch.time(index);
            if bound.slot(index).index() == slot && range.0 <= time && time < range.1 {
                out.push((time.micros(), *value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::Chunk;
    use super::*;
    use crate::fixtures::{at, frame, payments, roster, samples};

    fn gather(bounds: Vec<Bound>) -> Batches {
        (1..).zip(bounds).collect()
    }

    /// Start and end in seconds, and the samples of series 10 and 20, of each chunk.
    fn shown(chunks: &[RawChunk]) -> Vec<String> {
        let show = |chunk: &RawChunk| {
            let open = Chunk::open(&chunk.data).unwrap();
            let list = |series| -> Vec<String> {
                let samples = open.samples(series).unwrap();
                samples.iter().map(|(time, value)| format!("{}={value}", time / 1_000_000)).collect()
            };
            format!(
                "{}-{}: {} | {}",
                chunk.start / 1_000_000,
                chunk.end / 1_000_000,
                list(10).join(" "),
                list(20).join(" ")
            )
        };
        chunks.iter().map(show).collect()
    }

    #[test]
    fn a_slow_machine_is_due_when_much_has_come_behind_it() {
        let (slow, busy, mut gathered) = (roster("slow", 1), roster("busy", 1), Gathered::default());
        for (t, roster) in (1..).zip([&slow, &busy, &busy, &busy]) {
            gathered.add(t, &frame(roster, at(1), &[1.0]));
        }
        let frames = |count: usize| (count * (BATCH_BYTES + 10)) as u64;
        let due = |behind| gathered.due(&Due { batches: 9, before: 0, behind }, 9);
        assert_eq!((due(frames(4) + 1).len(), due(frames(4))), (0, vec![slow.machine.clone()]));
        assert_eq!(due(frames(3)).len(), 2);
        let machines = due(frames(3));
        gathered.remove(&machines);
        assert_eq!((gathered.bytes, gathered.oldest_without(&[])), (0, None));
    }

    #[test]
    fn late_samples_make_their_own_chunk() {
        let roster = roster("a", 2);
        let bounds = [5_000, 5_005, 1_000, 5_010].map(|s| frame(&roster, at(s), &[1.0, 2.0]));
        let made = chunks(&gather(bounds.into()), &roster, &[10, 20]);
        assert_eq!(
            shown(&made),
            ["1000-1000: 1000=1 | 1000=2", "5000-5010: 5000=1 5005=1 5010=1 | 5000=2 5005=2 5010=2"]
        );
    }

    #[test]
    fn split_frames_share_rows_and_of_a_repeated_sample_the_first_stands() {
        let roster = roster("a", 2);
        let bounds = vec![
            samples(&roster, &[(0, at(1), 1.0)]),
            samples(&roster, &[(1, at(1), 2.0)]),
            samples(&roster, &[(0, at(1), 9.0), (1, at(2), 3.0)]),
        ];
        let made = chunks(&gather(bounds), &roster, &[20, 10]);
        assert_eq!(shown(&made), ["1-2: 1=2 2=3 | 1=1"]);
        assert_eq!(Chunk::open(&made[0].data).unwrap().times.len(), 2);
    }

    #[test]
    fn events_of_one_moment_are_all_kept() {
        let roster = payments("a");
        let bounds = vec![samples(&roster, &[(0, at(1), 5.0), (0, at(1), 5.0), (0, at(2), 7.0), (0, at(1), 6.0)])];
        assert_eq!(shown(&chunks(&gather(bounds), &roster, &[10])), ["1-2: 1=5 1=5 1=6 2=7 | "]);
    }
}
