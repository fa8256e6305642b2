//! Names that the server refuses: what is written under one goes to the dead letters with the server's words, everything else is stored.
//!
//! In: the outputs of a batch of which some name was refused, inside the transaction that writes them. Out: those that can be written, in
//! their order, and those that cannot: all of a machine that is refused; of frames and windows the refused series and no others.
//! Bounded: each refused name costs some twenty statements per output that uses it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashSet;
use model::batch::{Batch, Layout, Positions, Times};
use model::bound::{BoundLayout, Roster, Slots};
use model::{Aggregates, Bound, LogicalTime, Output, Rows, Slot};

use super::error::{Failure, message};
use super::ids::{Ids, machine_of, roster_of};
use super::session::Session;

/// What became of a batch.
#[derive(Default)]
pub(super) struct Named {
    /// Every name of these has an id.
    pub(super) outputs: Vec<(LogicalTime, Output)>,
    pub(super) refused: Vec<Refused>,
}

pub(super) struct Refused {
    pub(super) t: LogicalTime,
    pub(super) output: Output,
    /// The server's.
    pub(super) words: String,
}

/// An output, or some of its series.
struct Part {
    place: usize,
    /// Of the series that it has values of; none for the output as it is, which may know more series than it has values of.
    series: Option<Range<usize>>,
}

/// An output that cannot be written as it is.
#[derive(Default)]
struct Fate {
    is_refused: bool,
    series: HashSet<Slot>,
    words: String,
}

/// Learns the names of these outputs one half after the other, until those that the server refuses are alone.
pub(super) async fn learn(
    session: &Session,
    ids: &mut Ids,
    outputs: &[(LogicalTime, &Output)],
) -> Result<Named, Failure> {
    let mut places: Vec<usize> = (0..outputs.len()).collect();
    // Those of one machine side by side, so that they are mostly halved together.
    places.sort_by_key(|place| machine_of(outputs[*place].1));
    let mut waiting: Vec<Vec<Part>> = vec![places.into_iter().map(|place| Part { place, series: None }).collect()];
    let mut fates: BTreeMap<usize, Fate> = BTreeMap::new();
    while let Some(parts) = waiting.pop() {
        let some: Vec<Output> = parts.iter().filter_map(|part| part.of(outputs[part.place].1)).collect();
        let Some(words) = refusal(session, ids, &some).await? else { continue };
        if let [part] = parts.as_slice() {
            let output = outputs[part.place].1;
            let is_of_machine = part.series.is_none() && machine_is_refused(session, ids, output).await?;
            let fate = fates.entry(part.place).or_default();
            fate.words = words;
            fate.is_refused |= is_of_machine || roster_of(output).is_none();
            waiting.extend(if fate.is_refused { Vec::new() } else { part.split(output, &mut fate.series) });
        } else {
            waiting.extend(halves(parts));
        }
    }
    let mut named = Named::default();
    for (place, (t, output)) in outputs.iter().enumerate() {
        named.add(*t, output, fates.get(&place));
    }
    // Once more together: a memory of names is kept tidy by what is asked of it at once.
    let all: Vec<&Output> = named.outputs.iter().map(|(_, output)| output).collect();
    ids.learn(session, &all).await?;
    Ok(named)
}

impl Named {
    fn add(&mut self, t: LogicalTime, output: &Output, fate: Option<&Fate>) {
        let Some(fate) = fate else {
            self.outputs.push((t, output.clone()));
            return;
        };
        let words = || fate.words.clone();
        if fate.is_refused {
            self.refused.push(Refused { t, output: output.clone(), words: words() });
            return;
        }
        self.outputs.extend(only(output, |slot| !fate.series.contains(&slot)).map(|output| (t, output)));
        let refused = only(output, |slot| fate.series.contains(&slot));
        self.refused.extend(refused.map(|output| Refused { t, output, words: words() }));
    }
}

impl Part {
    fn of(&self, output: &Output) -> Option<Output> {
        let Some(range) = &self.series else { return Some(output.clone()) };
        let used = used(output);
        let some: HashSet<Slot> = used[range.clone()].iter().copied().collect();
        only(output, |slot| some.contains(&slot))
    }

    /// Smaller parts of a frame or window that was refused; a series that is alone goes to `refused`.
    fn split(&self, output: &Output, refused: &mut HashSet<Slot>) -> Vec<Vec<Part>> {
        let used = used(output);
        let part = |range: Range<usize>| vec![Part { place: self.place, series: Some(range) }];
        match &self.series {
            None if used.is_empty() => Vec::new(),
            None => vec![part(0..used.len())],
            Some(range) if range.len() < 2 => {
                refused.extend(used[range.clone()].iter().copied());
                Vec::new()
            }
            Some(range) => {
                let middle = range.start + range.len() / 2;
                vec![part(middle..range.end), part(range.start..middle)]
            }
        }
    }
}

/// The second half first: the last one is taken next.
fn halves(mut parts: Vec<Part>) -> [Vec<Part>; 2] {
    let second = parts.split_off(parts.len() / 2);
    [second, parts]
}

/// The server's words when it refuses a name of these outputs; their ids are forgotten then.
async fn refusal(session: &Session, ids: &mut Ids, outputs: &[Output]) -> Result<Option<String>, Failure> {
    let some: Vec<&Output> = outputs.iter().collect();
    let done = session.part(ids.learn(session, &some)).await?;
    let Err(error) = done else { return Ok(None) };
    ids.forget(some.iter().filter_map(|output| machine_of(output)));
    Ok(Some(message(&error)))
}

async fn machine_is_refused(session: &Session, ids: &mut Ids, output: &Output) -> Result<bool, Failure> {
    let Some(machine) = machine_of(output) else { return Ok(false) };
    let done = session.part(ids.learn_machines(session, std::iter::once(machine))).await?;
    if done.is_err() {
        ids.forget(std::iter::once(machine));
    }
    Ok(done.is_err())
}

/// The series that a frame or window has values of, ascending.
fn used(output: &Output) -> Vec<Slot> {
    let mut slots: Vec<Slot> = match output {
        Output::Samples(bound) => (0..bound.batch.len()).map(|index| bound.slot(index)).collect(),
        Output::Minute(rows) | Output::Hour(rows) => rows.rows.iter().map(|(slot, _)| slot).collect(),
        _ => Vec::new(),
    };
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// A frame or window with some of its series, which are all that it then names; none when nothing is left.
fn only(output: &Output, is_wanted: impl Fn(Slot) -> bool) -> Option<Output> {
    let wanted: Vec<Slot> = used(output).into_iter().filter(|slot| is_wanted(*slot)).collect();
    let roster = roster_of(output)?;
    if wanted.is_empty() {
        return None;
    }
    let series = wanted.iter().map(|slot| Arc::clone(roster.key(*slot))).collect();
    let roster = Arc::new(Roster { machine: roster.machine.clone(), index: roster.index, series });
    // Fewer than the slots of a machine, which are u32.
    let place = |slot: Slot| wanted.binary_search(&slot).ok().and_then(|place| u32::try_from(place).ok());
    match output {
        Output::Samples(bound) => Some(Output::Samples(samples(bound, roster, place))),
        Output::Minute(rows) => Some(Output::Minute(windows(rows, roster, place))),
        Output::Hour(rows) => Some(Output::Hour(windows(rows, roster, place))),
        _ => None,
    }
}

fn samples(bound: &Bound, roster: Arc<Roster>, place: impl Fn(Slot) -> Option<u32>) -> Bound {
    let batch = bound.batch.as_ref();
    let kept: Vec<(usize, u16)> =
        (0..batch.len()).filter_map(|index| Some((index, u16::try_from(place(bound.slot(index))?).ok()?))).collect();
    let times = match &batch.times {
        Times::One(time) => Times::One(*time),
        Times::Each(times) => Times::Each(kept.iter().map(|(index, _)| times[*index]).collect()),
    };
    let keys = roster.series.iter().map(|key| key.as_ref().clone()).collect();
    let layout = Arc::new(Layout::new(roster.machine.clone(), keys));
    let positions = Positions::List(kept.iter().map(|(_, position)| *position).collect());
    let values = kept.iter().map(|(index, _)| batch.values[*index]).collect();
    let batch = Batch { layout, positions, times, values, ..batch.clone() };
    Bound::new(Arc::new(batch), Arc::new(BoundLayout::new(roster, Slots::Identity)))
}

fn windows(rows: &Aggregates, roster: Arc<Roster>, place: impl Fn(Slot) -> Option<u32>) -> Arc<Aggregates> {
    let kept: Rows = rows.rows.iter().filter_map(|(slot, row)| Some((Slot(place(slot)?), row))).collect();
    Arc::new(Aggregates { rows: kept, roster, ..rows.clone() })
}
