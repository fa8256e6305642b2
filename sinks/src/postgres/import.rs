//! Import: an embedded history into the server, machine by machine, as if its outputs came from the graph; a run that was cut off goes on
//! where it was.
//!
//! Each machine is one transaction with the import's own cursor. What the hub's replay has brought by itself is not taken twice: windows stand
//! by revision, of a sample stored twice the first stands, and of events those are left out that are there already.

use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;
use model::batch::{Batch, Positions, Times};
use model::{Alert, Bound, DeadLetter, Output, Rejected, Resolution, SeriesKey, Timestamp};
use runtime::clock::SharedClock;
use runtime::metrics::Registry;

use super::config::PostgresSettings;
use super::error::{Failure, sink_error};
use super::ids::Ids;
use super::read::series_key;
use super::repair;
use super::rows::json_text;
use super::session::Session;
use super::store::{Meters, Mode, Store};
use super::upkeep;
use super::value::{Time, real, sql_t, text};
use crate::error::SinkError;
use crate::sink::Group;
use crate::sqlite::export::{Export, Exported, ExportedRepair};

const SINK: &str = "import";
/// The cursor's place behind every machine: alerts, dead letters and the fleet are there too.
const ALL: i64 = i64::MAX;

/// How often an event is there: series, time in microseconds, and the value's bits.
type Events = HashMap<(Arc<SeriesKey>, i64, u64), usize>;

/// How far an import is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    pub machines: usize,
    pub machines_total: usize,
    /// Of these an earlier run did so many.
    pub machines_before: usize,
    pub samples: u64,
    pub windows: u64,
    pub alerts: u64,
    pub dead_letters: u64,
    /// Windows on the repair list.
    pub repairs: u64,
}

/// Copies the history in a data folder; `told` hears of each machine that is done.
///
/// # Errors
/// When either side cannot be used, or the hub has not yet run with the server: its journal must come first.
pub async fn import(
    dir: &Path,
    settings: &PostgresSettings,
    clock: &SharedClock,
    mut told: impl FnMut(&Imported),
) -> Result<Imported, SinkError> {
    let export = Export::open(dir)?;
    let machines = export.machines()?;
    let failed = |failure| sink_error("import", failure);
    let mut importer = Importer::start(settings, clock).await.map_err(failed)?;
    let mut imported = Imported { machines_total: machines.len(), ..Imported::default() };
    for exported in &machines {
        imported.machines += 1;
        if exported.id <= importer.cursor {
            imported.machines_before += 1;
            continue;
        }
        let (outputs, repairs) = (export.of_machine(exported)?, export.repairs(exported)?);
        importer.machine(exported, (outputs, repairs), &mut imported).await.map_err(failed)?;
        told(&imported);
    }
    if importer.cursor < ALL {
        importer.rest(&export, &mut imported).await?;
    }
    Ok(imported)
}

struct Importer<'a> {
    settings: &'a PostgresSettings,
    session: Session,
    ids: Ids,
    meters: Meters,
    writer: i64,
    now: Timestamp,
    /// The id of the last machine that is done.
    cursor: i64,
}

impl<'a> Importer<'a> {
    async fn start(settings: &'a PostgresSettings, clock: &SharedClock) -> Result<Self, Failure> {
        let session = Session::open(&settings.url, settings.statement_within).await?;
        let now = upkeep::now(clock);
        upkeep::prepare(&session, settings, now).await?;
        let history = "SELECT coalesce(max(t), 0) FROM sink_cursor WHERE hub = $1 AND sink = 'history'";
        let followed: i64 = session.one(history, &[&settings.hub]).await?.get(0);
        if followed == 0 {
            return Err(Failure::TooEarly);
        }
        let writer = fastrand::i64(..);
        let take = include_str!("../../../sql/queries/take_cursor.sql");
        let row = session.one(take, &[&settings.hub, &settings.process, &SINK, &writer]).await?;
        let meters = Meters::new(&Registry::new());
        Ok(Self { settings, session, ids: Ids::default(), meters, writer, now, cursor: row.get(0) })
    }

    async fn machine(
        &mut self,
        exported: &Exported,
        (outputs, repairs): (Vec<Output>, Vec<ExportedRepair>),
        imported: &mut Imported,
    ) -> Result<(), Failure> {
        self.begin(exported.id).await?;
        let mut known = self.events(exported).await?;
        let outputs: Vec<Output> = outputs.into_iter().map(|output| without(output, &mut known)).collect();
        for output in &outputs {
            match output {
                Output::Samples(bound) => imported.samples += bound.batch.len() as u64,
                Output::Minute(rows) | Output::Hour(rows) => imported.windows += rows.rows.len() as u64,
                _ => {}
            }
        }
        self.write(outputs).await?;
        // Behind the windows, which stand as they are: what is still due is made again from here on.
        // Of a machine that the server refuses there is nothing to be made again.
        let Ok(machine) = self.ids.machine(&exported.machine) else { return self.commit(exported.id).await };
        for ExportedRepair { is_hour, start, t, is_done } in repairs {
            let add = include_str!("../../../sql/queries/import_repair.sql");
            imported.repairs += self.session.execute(add, &[&machine, &is_hour, &Time(start), &t, &is_done]).await?;
        }
        self.commit(exported.id).await
    }

    async fn rest(&mut self, export: &Export, imported: &mut Imported) -> Result<(), SinkError> {
        let failed = |failure| sink_error("import", failure);
        self.begin(ALL).await.map_err(failed)?;
        self.write(export.fleet()?).await.map_err(failed)?;
        for alert in export.alerts()? {
            imported.alerts += self.alert(&alert).await.map_err(failed)?;
        }
        let mut after = 0;
        while let Some((letters, last)) = export.dead_letters(after)? {
            for letter in &letters {
                imported.dead_letters += self.letter(letter).await.map_err(failed)?;
            }
            after = last;
        }
        self.commit(ALL).await.map_err(failed)
    }

    async fn letter(&self, letter: &DeadLetter) -> Result<u64, Failure> {
        let Rejected { machine, reason, count, arrival, detail, source, kept } = &letter.rejected;
        let (count, arrival, detail) = (i64::from(*count), Time(*arrival), text(detail));
        let (machine, reason, source) = (machine.as_str(), reason.as_str(), source.as_str());
        let (payload, resent) = (kept.as_ref().map(|kept| kept.to_json()), letter.resent.map(Time));
        let add = include_str!("../../../sql/queries/import_dead_letter.sql");
        let params: super::session::Params<'_> =
            &[&machine, &reason, &count, &arrival, &detail, &source, &payload, &letter.id, &resent];
        Ok(self.session.execute(add, params).await?)
    }

    async fn begin(&self, upto: i64) -> Result<(), Failure> {
        self.session.batch("BEGIN").await?;
        let set = include_str!("../../../sql/queries/move_cursor.sql");
        let (hub, process) = (&self.settings.hub, &self.settings.process);
        let moved = self.session.execute(set, &[hub, process, &SINK, &self.writer, &upto]).await?;
        if moved == 0 { Err(Failure::Displaced) } else { Ok(()) }
    }

    async fn commit(&mut self, upto: i64) -> Result<(), Failure> {
        self.session.batch("COMMIT").await?;
        self.cursor = upto;
        Ok(())
    }

    /// Row by row where the server refuses one; T 0 is older than whatever a graph says.
    async fn write(&mut self, outputs: Vec<Output>) -> Result<(), Failure> {
        let group = Group { t: 0, outputs };
        let Self { session, ids, meters, now, .. } = self;
        let mut store = Store { session, ids, meters, mode: Mode::Halves, now: *now };
        store.write(&[&group]).await
    }

    /// Events of the machine that came from the graph.
    async fn events(&self, exported: &Exported) -> Result<Events, Failure> {
        let text = include_str!("../../../sql/queries/read_event_series.sql");
        let series = self.session.query(text, &[&exported.machine.as_str()]).await?;
        let mut events = Events::new();
        let Some(first) = series.first() else { return Ok(events) };
        let always = (Timestamp::EPOCH, Timestamp::from_micros(i64::MAX));
        let lists = repair::samples(&self.session, first.get(1), always).await?;
        for row in &series {
            let key = Arc::new(series_key(row.get(2), row.get(3))?);
            for (time, value) in lists.get(&row.get::<_, i32>(0)).into_iter().flatten() {
                *events.entry((Arc::clone(&key), *time, value.to_bits())).or_default() += 1;
            }
        }
        Ok(events)
    }

    /// As it stands; one that is there already stays.
    async fn alert(&self, alert: &Alert) -> Result<u64, Failure> {
        let (labels, rule) = (json_text(&alert.series.labels)?, json_text(alert.rule.as_ref())?);
        let severity = format!("{:?}", alert.rule.severity).to_lowercase();
        let state = if alert.resolved.is_some() { "resolved" } else { "firing" };
        let (name, machine, metric) = (text(&alert.rule.name), alert.machine.as_str(), alert.series.metric.as_ref());
        let (since, resolved, t) = (Time(alert.since), alert.resolved.map(Time), sql_t(alert.t));
        let standing = alert.standing.as_ref().map(model::Standing::as_str);
        let silence = alert.standing.as_ref().and_then(model::Standing::silence);
        let (cause, value) = (alert.cause.as_str(), real(alert.value));
        let resolution = alert.resolution.map(Resolution::as_str);
        let add = include_str!("../../../sql/queries/import_alert.sql");
        let params: super::session::Params<'_> = &[
            &alert.id,
            &name,
            &machine,
            &metric,
            &labels,
            &severity,
            &state,
            &cause,
            &value,
            &since,
            &resolved,
            &standing,
            &silence,
            &t,
            &rule,
            &resolution,
        ];
        Ok(self.session.execute(add, params).await?)
    }
}

/// The output without those of its events that are known, each of which stands for one.
fn without(output: Output, known: &mut Events) -> Output {
    let Output::Samples(bound) = &output else { return output };
    if known.is_empty() {
        return output;
    }
    let batch = &bound.batch;
    let mut is_new = |index: &usize| {
        let key = Arc::clone(bound.roster().key(bound.slot(*index)));
        match known.get_mut(&(key, batch.time(*index).micros(), batch.values[*index].to_bits())) {
            Some(left) if 0 < *left => {
                *left -= 1;
                false
            }
            _ => true,
        }
    };
    let left: Vec<usize> = (0..batch.len()).filter(|index| is_new(index)).collect();
    let batch = Batch {
        positions: Positions::List(
            left.iter().filter_map(|index| u16::try_from(batch.position(*index)).ok()).collect(),
        ),
        times: Times::Each(left.iter().map(|index| batch.time(*index)).collect()),
        values: left.iter().map(|index| batch.values[*index]).collect(),
        ..batch.as_ref().clone()
    };
    Output::Samples(Bound::new(Arc::new(batch), Arc::clone(&bound.layout)))
}
