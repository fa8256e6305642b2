//! Names become ids once and are remembered; after a failed transaction the memory is thrown away, for the ids may not be there.
//!
//! What a batch needs is looked up together, and only what is missing is added: an insert that meets a conflict would use up an id.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use model::catalogue::{Catalogue, Kind};
use model::ids::stable_hash;
use model::{Bound, MachineId, Output, Roster, SeriesKey, Timestamp, Width, Window, catalogue};

use super::error::Failure;
use super::session::Session;

/// Values of one row: 1.6 KB, below what the server moves out of the row.
pub(super) const ROW_VALUES_MAX: usize = 200;
/// Series of a machine remembered beyond twice its roster.
const SPARE_KEYS: usize = 256;
/// Layouts of a machine remembered; the usual machine has one.
const LAYOUTS_MAX: usize = 256;
/// Rosters of a machine remembered: the newest, and the one before it.
const ROSTERS_MAX: usize = 4;

/// Ids of machines, series and layouts, as far as they were needed.
#[derive(Default)]
pub(super) struct Ids {
    machines: HashMap<MachineId, MachineIds>,
}

#[derive(Default)]
struct MachineIds {
    id: i32,
    series: HashMap<Arc<SeriesKey>, i32>,
    rosters: Vec<(Arc<Roster>, Arc<[i32]>)>,
    /// By the layout's content hash and the piece of it.
    layouts: HashMap<(u64, usize), i32>,
    /// As the table says, or is about to.
    seen: Option<Timestamp>,
    /// Starts of the newest minute and the newest hour that were written since the machine was learnt.
    windows: [Option<Timestamp>; 2],
}

/// A name's place in a table: its machine and its hash.
type Key = (i32, i64);

impl Ids {
    pub(super) fn clear(&mut self) {
        self.machines.clear();
    }

    /// Of a machine that was learnt.
    pub(super) fn machine(&self, machine: &MachineId) -> Result<i32, Failure> {
        self.machines.get(machine).map(|ids| ids.id).ok_or_else(|| unlearnt(machine))
    }

    /// The series id of each slot of a roster that was learnt.
    pub(super) fn slots(&mut self, roster: &Arc<Roster>) -> Result<Arc<[i32]>, Failure> {
        let ids = self.machines.get_mut(&roster.machine).ok_or_else(|| unlearnt(&roster.machine))?;
        if let Some((_, slots)) = ids.rosters.iter().find(|(known, _)| Arc::ptr_eq(known, roster)) {
            return Ok(Arc::clone(slots));
        }
        let slots = roster.series.iter().map(|key| ids.series.get(key).copied());
        let slots: Option<Arc<[i32]>> = slots.collect();
        let slots = slots.ok_or_else(|| unlearnt(&roster.machine))?;
        if ids.rosters.len() == ROSTERS_MAX {
            ids.rosters.remove(0);
        }
        ids.rosters.push((Arc::clone(roster), Arc::clone(&slots)));
        Ok(slots)
    }

    /// Of a piece of a batch's layout that was learnt.
    pub(super) fn layout(&self, bound: &Bound, piece: usize) -> Result<i32, Failure> {
        let machine = &bound.roster().machine;
        let ids = self.machines.get(machine).ok_or_else(|| unlearnt(machine))?;
        ids.layouts.get(&(bound.batch.layout.id.0, piece)).copied().ok_or_else(|| unlearnt(machine))
    }

    /// True, and remembered, when the table's `last_seen` lags so far that it is worth a write.
    pub(super) fn is_news(&mut self, machine: &MachineId, seen: Timestamp) -> bool {
        const WORTH: std::time::Duration = std::time::Duration::from_secs(60);
        let Some(ids) = self.machines.get_mut(machine) else { return false };
        let is_news = ids.seen.is_none_or(|known| known + WORTH <= seen);
        if is_news {
            ids.seen = Some(seen);
        }
        is_news
    }

    /// Whether a window is newer than all that were written of its machine. Of the first one since the machine was learnt nobody knows.
    pub(super) fn goes_ahead(&mut self, machine: &MachineId, window: Window) -> bool {
        let Some(ids) = self.machines.get_mut(machine) else { return false };
        let newest = &mut ids.windows[usize::from(window.width == Width::Hour)];
        let goes_ahead = newest.is_some_and(|newest| newest < window.start);
        *newest = (*newest).max(Some(window.start));
        goes_ahead
    }

    /// What a part of a transaction that was undone may have learnt.
    pub(super) fn forget<'m>(&mut self, machines: impl Iterator<Item = &'m MachineId>) {
        machines.for_each(|machine| drop(self.machines.remove(machine)));
    }

    /// Learns every name that these outputs use. Call it in the transaction that writes them.
    pub(super) async fn learn(&mut self, session: &Session, outputs: &[&Output]) -> Result<(), Failure> {
        let outputs = || outputs.iter().copied();
        self.learn_machines(session, outputs().filter_map(machine_of)).await?;
        self.learn_series(session, &rosters_of(outputs())).await?;
        let samples = outputs().filter_map(|output| match output {
            Output::Samples(bound) => Some(bound),
            _ => None,
        });
        let samples: Vec<&Bound> = samples.collect();
        self.learn_layouts(session, &samples).await
    }

    pub(super) async fn learn_machines(
        &mut self,
        session: &Session,
        machines: impl Iterator<Item = &MachineId>,
    ) -> Result<(), Failure> {
        let missing: HashSet<&MachineId> = machines.filter(|machine| !self.machines.contains_key(*machine)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut names: Vec<&str> = missing.iter().map(|machine| machine.as_str()).collect();
        // In one order for all writers, so that none waits for another in a circle.
        names.sort_unstable();
        let find = include_str!("../../../sql/queries/find_machines.sql");
        let mut rows = session.query(find, &[&names]).await?;
        if rows.len() < names.len() {
            let known: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
            let new: Vec<&str> = names.iter().copied().filter(|name| !known.contains(*name)).collect();
            session.execute(include_str!("../../../sql/queries/add_machines.sql"), &[&new]).await?;
            rows = session.query(find, &[&names]).await?;
        }
        for row in rows {
            let name: String = row.get(0);
            // The name that was asked for.
            if let Ok(machine) = MachineId::parse(&name) {
                self.machines.insert(machine, MachineIds { id: row.get(1), ..MachineIds::default() });
            }
        }
        Ok(())
    }

    async fn learn_series(&mut self, session: &Session, rosters: &[&Arc<Roster>]) -> Result<(), Failure> {
        let mut missing: HashMap<Key, (&MachineId, &Arc<SeriesKey>, String)> = HashMap::new();
        for roster in rosters {
            let ids = self.machines.get_mut(&roster.machine).ok_or_else(|| unlearnt(&roster.machine))?;
            if ids.rosters.iter().any(|(known, _)| Arc::ptr_eq(known, roster)) {
                continue;
            }
            // Series that went out of use must not be remembered for good.
            if 2 * roster.series.len() + SPARE_KEYS < ids.series.len() {
                ids.series.clear();
                ids.rosters.clear();
            }
        }
        for roster in rosters {
            let ids = self.machines.get(&roster.machine).ok_or_else(|| unlearnt(&roster.machine))?;
            for key in roster.series.iter().filter(|key| !ids.series.contains_key(*key)) {
                let labels = serde_json::to_string(&key.labels)?;
                let hash = stable_hash(format!("{}\u{0}{labels}", key.metric).as_bytes()).cast_signed();
                missing.insert((ids.id, hash), (&roster.machine, key, labels));
            }
        }
        let find = include_str!("../../../sql/queries/find_series.sql");
        let mut found = find_keys(session, find, missing.keys().copied()).await?;
        let new: Vec<Key> = missing.keys().filter(|key| !found.contains_key(*key)).copied().collect();
        if !new.is_empty() {
            add_series(session, &new, &missing).await?;
            found.extend(find_keys(session, find, new.into_iter()).await?);
        }
        for (place, (machine, key, _)) in missing {
            let ids = self.machines.get_mut(machine).ok_or_else(|| unlearnt(machine))?;
            let id = found.get(&place).ok_or_else(|| unlearnt(machine))?;
            ids.series.insert(Arc::clone(key), *id);
        }
        Ok(())
    }

    async fn learn_layouts(&mut self, session: &Session, samples: &[&Bound]) -> Result<(), Failure> {
        for bound in samples {
            if let Some(ids) = self.machines.get_mut(&bound.roster().machine)
                && LAYOUTS_MAX < ids.layouts.len()
            {
                ids.layouts.clear();
            }
        }
        let mut missing: HashMap<(&MachineId, u64, usize), (Key, Vec<i32>)> = HashMap::new();
        let mut met = HashSet::new();
        for bound in samples {
            let (machine, layout) = (&bound.roster().machine, &bound.batch.layout);
            let is_known = self.machines.get(machine).is_some_and(|ids| ids.layouts.contains_key(&(layout.id.0, 0)));
            if is_known || !met.insert((machine, layout.id.0)) {
                continue;
            }
            let (slots, id) = (self.slots(bound.roster())?, self.machine(machine)?);
            let series = (0..layout.series.len()).map(|position| slots.get(bound.slot_at(position).index()).copied());
            let series: Option<Vec<i32>> = series.collect();
            let series = series.ok_or_else(|| unlearnt(machine))?;
            for (piece, series) in series.chunks(ROW_VALUES_MAX).enumerate() {
                let bytes: Vec<u8> = series.iter().flat_map(|id| id.to_le_bytes()).collect();
                let key = (id, stable_hash(&bytes).cast_signed());
                missing.insert((machine, layout.id.0, piece), (key, series.to_vec()));
            }
        }
        let find = include_str!("../../../sql/queries/find_layouts.sql");
        let mut found = find_keys(session, find, missing.values().map(|(key, _)| *key)).await?;
        let absent = missing.values().filter(|(key, _)| !found.contains_key(key));
        let new: HashMap<Key, Vec<i32>> = absent.cloned().collect();
        if !new.is_empty() {
            add_layouts(session, &new).await?;
            found.extend(find_keys(session, find, new.keys().copied()).await?);
        }
        for ((machine, layout, piece), (key, _)) in missing {
            let ids = self.machines.get_mut(machine).ok_or_else(|| unlearnt(machine))?;
            ids.layouts.insert((layout, piece), *found.get(&key).ok_or_else(|| unlearnt(machine))?);
        }
        Ok(())
    }
}

/// A fault of the program.
fn unlearnt(machine: &MachineId) -> Failure {
    Failure::Content(format!("a name of {machine} has no id"))
}

/// The machine whose id an output needs.
pub(super) fn machine_of(output: &Output) -> Option<&MachineId> {
    match output {
        Output::Samples(bound) => Some(&bound.roster().machine),
        Output::Minute(rows) | Output::Hour(rows) => Some(&rows.roster.machine),
        Output::Presence(presence) => Some(&presence.machine),
        Output::Machine(info) => Some(&info.machine),
        Output::Processes(table) => Some(&table.machine),
        Output::Repair(repair) => Some(&repair.machine),
        Output::Transition(_)
        | Output::Standing(_)
        | Output::Rejected(_)
        | Output::Resent(_)
        | Output::Fleet(_)
        | Output::Hottest(_)
        | Output::Group(_) => None,
    }
}

/// Each once.
fn rosters_of<'a>(outputs: impl Iterator<Item = &'a Output>) -> Vec<&'a Arc<Roster>> {
    let mut met = HashSet::new();
    outputs.filter_map(roster_of).filter(|roster| met.insert(Arc::as_ptr(roster))).collect()
}

/// The series of a frame or window.
pub(super) fn roster_of(output: &Output) -> Option<&Arc<Roster>> {
    match output {
        Output::Samples(bound) => Some(bound.roster()),
        Output::Minute(rows) | Output::Hour(rows) => Some(&rows.roster),
        _ => None,
    }
}

async fn find_keys(
    session: &Session,
    find: &str,
    keys: impl ExactSizeIterator<Item = Key>,
) -> Result<HashMap<Key, i32>, Failure> {
    if keys.len() == 0 {
        return Ok(HashMap::new());
    }
    let (machines, hashes): (Vec<i32>, Vec<i64>) = keys.unzip();
    let rows = session.query(find, &[&machines, &hashes]).await?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect())
}

async fn add_series(
    session: &Session,
    new: &[Key],
    missing: &HashMap<Key, (&MachineId, &Arc<SeriesKey>, String)>,
) -> Result<(), Failure> {
    let mut new: Vec<&Key> = new.iter().collect();
    new.sort_unstable();
    let rows = || new.iter().filter_map(|place| missing.get(*place));
    let machines: Vec<i32> = new.iter().map(|(machine, _)| *machine).collect();
    let hashes: Vec<i64> = new.iter().map(|(_, hash)| *hash).collect();
    let metrics: Vec<&str> = rows().map(|(_, key, _)| key.metric.as_ref()).collect();
    let labels: Vec<&str> = rows().map(|(_, _, labels)| labels.as_str()).collect();
    let units: Vec<&str> = rows().map(|(_, key, _)| catalogue::unit_of(&key.metric)).collect();
    let kinds: Vec<&str> = rows().map(|(_, key, _)| kind_of(&key.metric)).collect();
    let add = include_str!("../../../sql/queries/add_series.sql");
    session.execute(add, &[&machines, &hashes, &metrics, &labels, &units, &kinds]).await?;
    Ok(())
}

fn kind_of(metric: &str) -> &'static str {
    match Catalogue::standard().find(metric).map(|metric| metric.kind) {
        Some(Kind::Counter) => "counter",
        Some(Kind::Event) => "event",
        Some(Kind::Gauge) | None => "gauge",
    }
}

async fn add_layouts(session: &Session, new: &HashMap<Key, Vec<i32>>) -> Result<(), Failure> {
    let mut rows: Vec<(&Key, &Vec<i32>)> = new.iter().collect();
    rows.sort_unstable();
    let machines: Vec<i32> = rows.iter().map(|((machine, _), _)| *machine).collect();
    let hashes: Vec<i64> = rows.iter().map(|((_, hash), _)| *hash).collect();
    let lists: Vec<String> = rows.iter().map(|(_, series)| array_text(series)).collect();
    let add = include_str!("../../../sql/queries/add_layouts.sql");
    session.execute(add, &[&machines, &hashes, &lists]).await?;
    Ok(())
}

/// `{1,2,3}`: a list of lists has no other way to the server.
fn array_text(series: &[i32]) -> String {
    let ids: Vec<String> = series.iter().map(ToString::to_string).collect();
    format!("{{{}}}", ids.join(","))
}
