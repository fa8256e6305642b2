//! Agree: what the processes find in their data folders, put together, so that they replay their journals into one graph from the same moment.
//!
//! In: each one's stores as it found them. Out: the same everywhere: from which T on all replay, which windows that covers, which
//! alerts fire, when live begins. The state of process 0 counts, because rules, silences and the audit record are kept there.
//! A store that belonged to other processes, or to fewer or more, is taken over only when it lacks nothing.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use model::audit::Entry;
use model::command::RuleListing;
use model::silence::Silence;
use model::{Alert, LogicalTime, Timestamp};
use runtime::file::replace;
use serde::{Deserialize, Serialize};
use sinks::memory::KnownMachine;

/// In the data folder: whose it is.
const FILE: &str = "cluster.json";

/// Which process of how many a data folder belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) process: usize,
    pub(crate) processes: usize,
}

/// What one process found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Found {
    /// None: the folder was of no cluster.
    pub(crate) was: Option<Membership>,
    pub(crate) newest_t: Option<LogicalTime>,
    /// The oldest T that this process' stores and windows need; none when it has neither.
    pub(crate) from_t: Option<LogicalTime>,
    /// Up to where its stores lack nothing of what alerts did.
    pub(crate) behind: LogicalTime,
    /// Up to where its stores have everything.
    pub(crate) stored: LogicalTime,
    /// The newest T that one of its stores has seen.
    pub(crate) t_floor: LogicalTime,
    pub(crate) now: LogicalTime,
}

/// What all of them make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) from_t: LogicalTime,
    pub(crate) live_from: LogicalTime,
    pub(crate) behind: LogicalTime,
    /// The newest T of all journals and stores.
    pub(crate) newest: LogicalTime,
    /// Another number of processes than before: the stores begin here.
    pub(crate) is_changed: bool,
    /// A journal that was there is not there any more: windows up to here may lack samples.
    pub(crate) lost_until: Option<LogicalTime>,
}

/// What the keeper of the state knows.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct KnownState {
    pub(crate) machines: Vec<KnownMachine>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) owed: Vec<Alert>,
    pub(crate) kept: KeptNow,
}

/// What is kept at process 0 and followed by the others, as it is at the start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct KeptNow {
    pub(crate) rules: RuleListing,
    pub(crate) silences: Arc<Vec<Arc<Silence>>>,
    /// Newest last.
    pub(crate) audit: Vec<Arc<Entry>>,
}

impl Membership {
    /// # Errors
    /// When it cannot be read, or is not what the hub wrote.
    pub(crate) fn of(data_dir: &Path) -> Result<Option<Self>> {
        let path = data_dir.join(FILE);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).with_context(|| {
                format!("read {}: it says whose data folder this is; mend it, or restore it", path.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    pub(crate) fn save(self, data_dir: &Path) -> Result<()> {
        let path = data_dir.join(FILE);
        let text = serde_json::to_vec(&self).context("write whose data folder this is")?;
        replace(&path, &text).with_context(|| format!("write {}", path.display()))
    }
}

/// # Errors
/// When a data folder is another process', or the stores do not fit another number of processes yet.
pub(crate) fn agree(found: &[Found]) -> Result<Agreed> {
    let processes = found.len();
    for (process, one) in found.iter().enumerate() {
        if let Some(was) = one.was.filter(|was| was.process != process) {
            return Err(anyhow!(
                "the data folder of process {process} is that of process {}: start each with its own folder, or put the \
                 hosts file back into its order",
                was.process
            ));
        }
    }
    let alone = found.iter().skip(1).position(|one| one.was.is_none() && one.newest_t.is_some());
    if let Some(process) = alone.map(|at| at + 1) {
        return Err(anyhow!(
            "the data folder of process {process} is that of a hub that was alone, and has rules of its own: give it an \
             empty one, or make it process 0"
        ));
    }
    let newest = found.iter().filter_map(|one| one.newest_t).max();
    let counts = |one: &Found| one.was.map_or(usize::from(one.newest_t.is_some()), |was| was.processes);
    let before = found.iter().map(counts).max().unwrap_or(0);
    let is_changed = before != 0 && before != processes;
    if is_changed {
        let stored = found.iter().filter(|one| one.newest_t.is_some()).map(|one| one.stored).min();
        if stored < newest {
            return Err(anyhow!(
                "there were {before} processes and are {processes} now, and some stores do not have everything that is \
                 in the journals yet: start once more with the hosts file as it was, stop all processes with SIGTERM, \
                 and change it then"
            ));
        }
    }
    let t_floor = found.iter().map(|one| one.t_floor).max().unwrap_or(0);
    let newest_seen = newest.unwrap_or(0).max(t_floor);
    let live = found.iter().map(|one| one.now.max(one.newest_t.map_or(0, |newest| newest + 1))).max();
    Ok(Agreed {
        from_t: found.iter().filter_map(|one| one.from_t).min().unwrap_or(0),
        live_from: live.unwrap_or(0),
        behind: found.iter().map(|one| one.behind).min().unwrap_or(LogicalTime::MAX),
        newest: newest_seen,
        is_changed,
        lost_until: (processes < before).then_some(newest_seen),
    })
}

/// The latest of what each covers: a window is whole only when every journal has all of it.
pub(crate) fn covered(each: &[Timestamp]) -> Timestamp {
    each.iter().copied().max().unwrap_or(Timestamp::MIN)
}

/// The clocks of two machines may differ by no more than this; what is above it is no drift but a clock that nobody sets.
const APART_US_MAX: u64 = 5_000_000;

/// # Errors
/// When the clocks are further apart than a cluster can live with: every process waits for the slowest one's.
pub(crate) fn check_clocks(found: &[Found]) -> Result<()> {
    let first = |pick: fn(&Found) -> LogicalTime| found.iter().map(pick).enumerate();
    let Some((ahead, most)) = first(|one| one.now).max_by_key(|(_, now)| *now) else { return Ok(()) };
    let Some((behind, least)) = first(|one| one.now).min_by_key(|(_, now)| *now) else { return Ok(()) };
    if most - least <= APART_US_MAX {
        return Ok(());
    }
    let apart_s = (most - least) / 1_000_000;
    Err(anyhow!("the clock of process {ahead} is {apart_s} s ahead of that of process {behind}: let NTP set both"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(process: usize, was: Option<usize>, newest: u64, from: u64, stored: u64) -> Found {
        Found {
            was: was.map(|processes| Membership { process, processes }),
            newest_t: (0 < newest).then_some(newest),
            from_t: (0 < newest).then_some(from),
            behind: stored,
            stored,
            t_floor: stored,
            now: 1_000,
        }
    }

    #[test]
    fn all_replay_from_the_oldest_time_that_one_of_them_needs() {
        let agreed = agree(&[found(0, Some(2), 900, 500, 880), found(1, Some(2), 910, 300, 890)]).unwrap();
        let expected =
            Agreed { from_t: 300, live_from: 1_000, behind: 880, newest: 910, is_changed: false, lost_until: None };
        assert_eq!(agreed, expected);
    }

    #[test]
    fn a_first_start_has_nothing_to_agree_on() {
        let agreed = agree(&[found(0, None, 0, 0, 0), found(1, None, 0, 0, 0)]).unwrap();
        assert_eq!((agreed.from_t, agreed.is_changed, agreed.lost_until), (0, false, None));
    }

    #[test]
    fn a_cluster_grows_and_shrinks_only_with_stores_that_lack_nothing() {
        let new = || found(2, None, 0, 0, 0);
        let behind = [found(0, Some(2), 900, 500, 880), found(1, Some(2), 910, 300, 910), new()];
        assert!(agree(&behind).unwrap_err().to_string().contains("there were 2 processes and are 3 now"));
        let settled = [found(0, Some(2), 900, 500, 910), found(1, Some(2), 910, 300, 911), new()];
        let agreed = agree(&settled).unwrap();
        assert_eq!((agreed.is_changed, agreed.lost_until, agreed.newest), (true, None, 911));
        let shrunk = agree(&[found(0, Some(3), 900, 500, 910), found(1, Some(3), 910, 300, 911)]).unwrap();
        assert_eq!((shrunk.is_changed, shrunk.lost_until), (true, Some(911)));
        // A hub that was alone until now.
        let alone = agree(&[found(0, None, 900, 500, 910), found(1, None, 0, 0, 0)]).unwrap();
        assert!(alone.is_changed);
    }

    #[test]
    fn folders_that_were_exchanged_are_refused() {
        let other = Found { was: Some(Membership { process: 1, processes: 2 }), ..found(0, None, 900, 1, 900) };
        let refused = agree(&[other, found(1, Some(2), 900, 1, 900)]).unwrap_err().to_string();
        assert!(refused.contains("the data folder of process 0 is that of process 1"), "{refused}");
    }

    #[test]
    fn a_hub_that_was_alone_can_only_become_the_first() {
        let refused = agree(&[found(0, None, 0, 0, 0), found(1, None, 900, 1, 900)]).unwrap_err().to_string();
        assert!(refused.contains("process 1 is that of a hub that was alone"), "{refused}");
    }

    #[test]
    fn clocks_that_nobody_sets_are_refused_with_their_names() {
        let at = |now| Found { now, ..found(0, None, 0, 0, 0) };
        check_clocks(&[at(5_000_000), at(0)]).unwrap();
        let refused = check_clocks(&[at(0), at(9_000_000)]).unwrap_err().to_string();
        assert!(refused.contains("process 1 is 9 s ahead of that of process 0"), "{refused}");
    }
}
