//! One batch as statements of one transaction: prepared first, then written whole; or, when the server refuses a row, written by halves
//! until that row is alone, which goes to the dead letters with the server's words while all the others are stored.

use std::ops::Range;
use std::sync::Arc;

use model::ids::stable_hash;
use model::{FleetMinute, LogicalTime, MachineId, Output, RejectReason, Resent, Source, Timestamp, Width};
use runtime::metrics::{Counter, Registry};
use tracing::{error, warn};

use super::error::{Failure, is_refusal, message};
use super::frames::{Encoder, Frames};
use super::ids::Ids;
use super::resend;
use super::rows::{self, Letter};
use super::session::Session;
use super::value::{Time, text};
use super::windows::{self, Verdict, WindowRow, Windows};
use crate::sink::Group;
use crate::status::LETTERS_DROPPED;

/// Of what was refused, so much is kept for a person.
const PAYLOAD_CHARS_MAX: usize = 2_000;
const DETAIL_CHARS_MAX: usize = 512;

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
}

/// What a batch becomes.
#[derive(Default)]
struct Prepared<'a> {
    repairs: Vec<(LogicalTime, &'a Output)>,
    frames: Frames,
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
    Frames(&'a Frames, Range<usize>),
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
        self.ids.learn(self.session, groups).await?;
        let Prepared { repairs, frames, windows, mut fleets, mut letters, resent, rest, seen } =
            self.prepare(groups)?;
        // Requests before the windows that they are about: a window of the same batch then makes its request due again.
        let mut refused = self.work(Work::Outputs(&repairs)).await?;
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

    fn prepare<'g>(&mut self, groups: &[&'g Group]) -> Result<Prepared<'g>, Failure> {
        let mut prepared = Prepared::default();
        let mut encoder = Encoder::new(self.ids);
        let mut seen: Vec<(&MachineId, Timestamp)> = Vec::new();
        for (t, output) in groups.iter().flat_map(|group| group.outputs.iter().map(|output| (group.t, output))) {
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
        for (t, output) in groups.iter().flat_map(|group| group.outputs.iter().map(|output| (group.t, output))) {
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
        if self.mode == Mode::Whole {
            self.write_work(&work).await?;
            return Ok(letters);
        }
        // The first half last, so that it is written first.
        let mut waiting = vec![work];
        while let Some(work) = waiting.pop() {
            self.session.batch("SAVEPOINT part").await?;
            match self.write_work(&work).await {
                Ok(()) => self.session.batch("RELEASE SAVEPOINT part").await?,
                Err(Failure::Sql(error)) if is_refusal(&error) => {
                    self.session.batch("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part").await?;
                    match work.halves() {
                        Some((first, second)) => waiting.extend([second, first]),
                        None => letters.push(work.letter(&message(&error), self.now)),
                    }
                }
                Err(other) => return Err(other),
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
            Work::Letters(letters) => rows::letters(self.session, letters).await?,
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
        let (machine, count, payload, output) = match self {
            Self::Outputs(outputs) => {
                let (t, output) = outputs[0];
                let machine = machine_of(output).map(ToString::to_string);
                (machine, 1, format!("{output:?}"), resend::keep_output(t, output.clone()))
            }
            Self::Frames(frames, range) => {
                let row = frames.row(range.start);
                let batch = &row.bound.batch;
                let count = (0..batch.len()).filter(|index| batch.time(*index) == row.time).count();
                let samples = (0..batch.len()).filter(|index| batch.time(*index) == row.time);
                let samples: Vec<String> = samples
                    .map(|index| format!("{}={}", row.bound.roster().key(row.bound.slot(index)), batch.values[index]))
                    .collect();
                let payload = format!("{} {}", row.time, samples.join(" "));
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                (Some(batch.machine().to_string()), count, payload, resend::keep_frame(frames, range.start))
            }
            Self::Windows(width, _, rows) => {
                let row = &rows[0];
                let machine = row.of.as_ref().map(|(of, _)| of.roster.machine.to_string());
                let payload = format!("{width:?} {} series {} {:?}", row.start, row.series, row.row);
                (machine, 1, payload, row.output().and_then(|(t, output)| resend::keep_output(t, output)))
            }
            Self::Fleets(fleets) => {
                let (payload, output) = (format!("{:?}", fleets[0]), Output::Fleet(Arc::clone(&fleets[0])));
                (None, 1, payload, resend::keep_output(fleets[0].revision, output))
            }
            Self::Letters(letters) => return letters[0].clone(),
        };
        let machine = machine.unwrap_or_else(|| "fleet".to_owned());
        let whole = format!("{machine} {} {words} {payload}", now.micros());
        Letter {
            key: format!("{:016x}", stable_hash(&[whole.as_bytes(), output.as_deref().unwrap_or_default()].concat())),
            output,
            machine,
            reason: RejectReason::StoreRefused,
            count,
            arrival: now,
            detail: text(&words.chars().take(DETAIL_CHARS_MAX).collect::<String>()),
            source: Source::Postgres.as_str(),
            payload: Some(text(&payload.chars().take(PAYLOAD_CHARS_MAX).collect::<String>())),
        }
    }
}

fn machine_of(output: &Output) -> Option<&MachineId> {
    match output {
        Output::Transition(transition) => Some(&transition.machine),
        Output::Standing(change) => Some(&change.machine),
        Output::Presence(presence) => Some(&presence.machine),
        Output::Machine(info) => Some(&info.machine),
        Output::Processes(table) => Some(&table.machine),
        Output::Repair(repair) => Some(&repair.machine),
        Output::Samples(_)
        | Output::Minute(_)
        | Output::Hour(_)
        | Output::Rejected(_)
        | Output::Resent(_)
        | Output::Fleet(_)
        | Output::Hottest(_)
        | Output::Group(_) => None,
    }
}
