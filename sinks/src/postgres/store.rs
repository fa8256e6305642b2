//! One batch as statements of one transaction: prepared first, then written whole; or, when the server refuses a row, written by halves
//! until that row is alone, which goes to the dead letters with the server's words while all the others are stored.

use std::ops::Range;
use std::sync::Arc;

use model::{FleetMinute, LogicalTime, MachineId, Output, Resent, Timestamp, Width};
use runtime::metrics::{Counter, Registry};
use tracing::{error, warn};

use super::error::{Failure, message};
use super::frames::{Encoder, Frames};
use super::ids::Ids;
use super::letters::{self, Letter};
use super::names;
use super::rows;
use super::session::Session;
use super::value::{Time, sql_t};
use super::windows::{self, Verdict, WindowRow, Windows};
use crate::sink::Group;
use crate::status::LETTERS_DROPPED;

#[derive(Clone)]
pub(super) struct Meters {
    /// Transitions that changed nothing: a Fired for what fires, a Resolved for what does not.
    pub(super) unchanged: Counter,
    /// Rows that the server refused.
    pub(super) refused: Counter,
    /// Dead letters that retention removed.
    pub(super) letters_dropped: Counter,
}

impl Meters {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[("sink", super::error::NAME)]);
        Self {
            unchanged: counter("sinks_alerts_unchanged_total", "Alert transitions that found nothing to change."),
            refused: counter("sinks_rows_refused_total", "Rows that the server refused: they are in its dead letters."),
            letters_dropped: counter(LETTERS_DROPPED.0, LETTERS_DROPPED.1),
        }
    }
}

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each kind of rows at once.
    Whole,
    /// By halves where the server refuses something.
    Halves,
    /// As `Whole`, what a dead letter kept: a frame stands behind those of its moment that are there.
    Again,
}

/// What a batch becomes.
#[derive(Default)]
struct Prepared<'a> {
    repairs: Vec<(LogicalTime, &'a Output)>,
    frames: Frames<'a>,
    windows: Windows,
    fleets: Vec<Arc<FleetMinute>>,
    letters: Vec<Letter>,
    resent: Vec<&'a Resent>,
    rest: Vec<(LogicalTime, &'a Output)>,
    seen: (Vec<i32>, Vec<Time>),
}

/// Rows of one kind.
#[derive(Clone)]
enum Work<'a> {
    Outputs(&'a [(LogicalTime, &'a Output)]),
    Frames(&'a Frames<'a>, Range<usize>),
    Windows(Width, Verdict, &'a [WindowRow]),
    Fleets(&'a [Arc<FleetMinute>]),
    Letters(&'a [Letter]),
}

/// Writes outputs, inside the caller's transaction.
pub(super) struct Store<'a> {
    pub(super) session: &'a Session,
    pub(super) ids: &'a mut Ids,
    pub(super) meters: &'a Meters,
    pub(super) mode: Mode,
    /// Stamps what the server refuses.
    pub(super) now: Timestamp,
}

impl Store<'_> {
    pub(super) async fn write(&mut self, groups: &[&Group]) -> Result<(), Failure> {
        let each = groups.iter().flat_map(|group| group.outputs.iter().map(|output| (group.t, output)));
        let outputs: Vec<(LogicalTime, &Output)> = each.collect();
        if self.mode != Mode::Halves {
            let all: Vec<&Output> = outputs.iter().map(|(_, output)| *output).collect();
            self.ids.learn(self.session, &all).await?;
            return self.write_named(&outputs, Vec::new()).await;
        }
        let named = names::learn(self.session, self.ids, &outputs).await?;
        let letter =
            |refused: &names::Refused| Letter::of_output((refused.t, &refused.output), &refused.words, self.now);
        let refused = named.refused.iter().map(letter).collect();
        let outputs: Vec<(LogicalTime, &Output)> = named.outputs.iter().map(|(t, output)| (*t, output)).collect();
        self.write_named(&outputs, refused).await
    }

    /// Writes outputs whose names have ids, and the letters of those whose names were refused.
    async fn write_named(
        &mut self,
        outputs: &[(LogicalTime, &Output)],
        mut refused: Vec<Letter>,
    ) -> Result<(), Failure> {
        let first_part = if self.mode == Mode::Again { self.next_part(outputs).await? } else { 0 };
        let Prepared { repairs, frames, windows, mut fleets, mut letters, resent, rest, seen } =
            self.prepare(outputs, first_part)?;
        // Requests before the windows that they are about: a window of the same batch then makes its request due again.
        refused.extend(self.work(Work::Outputs(&repairs)).await?);
        refused.extend(self.work(Work::Frames(&frames, 0..frames.len())).await?);
        for (width, verdict, rows) in windows.sort(self.session).await? {
            refused.extend(self.work(Work::Windows(width, verdict, &rows)).await?);
        }
        rows::newest_fleets(&mut fleets);
        refused.extend(self.work(Work::Fleets(&fleets)).await?);
        refused.extend(self.work(Work::Outputs(&rest)).await?);
        if !seen.0.is_empty() {
            let set = include_str!("../../../sql/queries/set_seen.sql");
            self.session.execute(set, &[&seen.0, &seen.1]).await?;
        }
        if !refused.is_empty() {
            warn!(
                rows = refused.len(),
                first = refused[0].detail,
                "database refused rows: they are in its dead letters"
            );
            self.meters.refused.add(refused.len() as u64);
        }
        letters.extend(refused);
        for letter in self.work(Work::Letters(&letters)).await? {
            error!(letter = ?letter, "database refused a dead letter, which is lost but for this line");
        }
        // Behind the letters: one may be in the same batch.
        for resent in resent {
            let set = include_str!("../../../sql/queries/set_resent.sql");
            self.session.execute(set, &[&resent.id, &Time(resent.at)]).await?;
        }
        Ok(())
    }

    /// Of the frames of one letter.
    async fn next_part(&self, outputs: &[(LogicalTime, &Output)]) -> Result<i32, Failure> {
        let Some((t, Output::Samples(bound))) = outputs.first() else { return Ok(0) };
        let batch = &bound.batch;
        let times = || (0..batch.len()).map(|index| batch.time(index));
        let (Some(from), Some(to)) = (times().min(), times().max()) else { return Ok(0) };
        let machine = self.ids.machine(batch.machine())?;
        let next = include_str!("../../../sql/queries/next_part.sql");
        Ok(self.session.one(next, &[&machine, &sql_t(*t), &Time(from), &Time(to)]).await?.get(0))
    }

    fn prepare<'g>(&mut self, outputs: &[(LogicalTime, &'g Output)], first_part: i32) -> Result<Prepared<'g>, Failure> {
        let mut prepared = Prepared::default();
        let mut encoder = Encoder::new(self.ids, first_part);
        let mut seen: Vec<(&MachineId, Timestamp)> = Vec::new();
        for (t, output) in outputs.iter().copied() {
            match output {
                Output::Samples(bound) => {
                    encoder.add(t, bound)?;
                    seen.push((&bound.roster().machine, bound.batch.arrival));
                }
                Output::Repair(_) => prepared.repairs.push((t, output)),
                Output::Fleet(fleet) => prepared.fleets.push(Arc::clone(fleet)),
                Output::Rejected(rejected) => prepared.letters.push(Letter::of(t, rejected)),
                Output::Resent(resent) => prepared.resent.push(resent),
                Output::Transition(_)
                | Output::Standing(_)
                | Output::Presence(_)
                | Output::Machine(_)
                | Output::Processes(_) => prepared.rest.push((t, output)),
                Output::Minute(_) | Output::Hour(_) | Output::Hottest(_) | Output::Group(_) => {}
            }
        }
        prepared.frames = encoder.finish();
        for (t, output) in outputs.iter().copied() {
            if let Output::Minute(rows) | Output::Hour(rows) = output {
                prepared.windows.add(self.ids, t, rows)?;
            }
        }
        seen.sort_unstable();
        for of_machine in seen.chunk_by(|a, b| a.0 == b.0) {
            let (machine, newest) = of_machine[of_machine.len() - 1];
            if self.ids.is_news(machine, newest) {
                prepared.seen.0.push(self.ids.machine(machine)?);
                prepared.seen.1.push(Time(newest));
            }
        }
        Ok(prepared)
    }

    /// Writes rows; answers with those that the server refused, as dead letters.
    async fn work(&self, work: Work<'_>) -> Result<Vec<Letter>, Failure> {
        let mut letters = Vec::new();
        if work.len() == 0 {
            return Ok(letters);
        }
        if self.mode != Mode::Halves {
            self.write_work(&work).await?;
            return Ok(letters);
        }
        // The first half last, so that it is written first.
        let mut waiting = vec![work];
        while let Some(work) = waiting.pop() {
            let Err(error) = self.session.part(self.write_work(&work)).await? else { continue };
            match work.halves() {
                Some((first, second)) => waiting.extend([second, first]),
                None => letters.push(work.letter(&message(&error), self.now)),
            }
        }
        Ok(letters)
    }

    async fn write_work(&self, work: &Work<'_>) -> Result<(), Failure> {
        match work {
            Work::Outputs(outputs) => {
                for (t, output) in *outputs {
                    rows::one(self.session, self.ids, (*t, output), &self.meters.unchanged).await?;
                }
            }
            Work::Frames(frames, range) => {
                let copy = include_str!("../../../sql/queries/copy_frames.sql");
                self.session.copy_in(copy, frames.copy(range.clone())).await?;
            }
            Work::Windows(width, verdict, rows) => windows::write(self.session, *width, *verdict, rows).await?,
            Work::Fleets(fleets) => rows::fleets(self.session, fleets).await?,
            Work::Letters(letters) => letters::write(self.session, letters).await?,
        }
        Ok(())
    }
}

impl<'a> Work<'a> {
    fn len(&self) -> usize {
        match self {
            Self::Outputs(outputs) => outputs.len(),
            Self::Frames(_, range) => range.len(),
            Self::Windows(_, _, rows) => rows.len(),
            Self::Fleets(fleets) => fleets.len(),
            Self::Letters(letters) => letters.len(),
        }
    }

    /// None of a single row.
    fn halves(&self) -> Option<(Work<'a>, Work<'a>)> {
        let half = self.len() / 2;
        (0 < half).then(|| match self {
            Self::Outputs(outputs) => (Work::Outputs(&outputs[..half]), Work::Outputs(&outputs[half..])),
            Self::Frames(frames, range) => {
                let middle = range.start + half;
                (Work::Frames(frames, range.start..middle), Work::Frames(frames, middle..range.end))
            }
            Self::Windows(width, verdict, rows) => {
                (Work::Windows(*width, *verdict, &rows[..half]), Work::Windows(*width, *verdict, &rows[half..]))
            }
            Self::Fleets(fleets) => (Work::Fleets(&fleets[..half]), Work::Fleets(&fleets[half..])),
            Self::Letters(letters) => (Work::Letters(&letters[..half]), Work::Letters(&letters[half..])),
        })
    }

    /// The single row as a dead letter.
    fn letter(&self, words: &str, now: Timestamp) -> Letter {
        match self {
            Self::Outputs(outputs) => Letter::of_output(outputs[0], words, now),
            Self::Frames(frames, range) => Letter::of_frame(frames, range.start, words, now),
            Self::Windows(width, _, rows) => Letter::of_window(*width, &rows[0], words, now),
            Self::Fleets(fleets) => {
                Letter::of_output((fleets[0].revision, &Output::Fleet(Arc::clone(&fleets[0]))), words, now)
            }
            Self::Letters(letters) => letters[0].clone(),
        }
    }
}
