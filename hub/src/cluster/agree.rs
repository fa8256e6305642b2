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
    /// Drawn anew when the processes change: who was away meanwhile is told by it.
    pub(crate) epoch: u64,
    /// The one before: a change that a crash cut in two is made again.
    pub(crate) before: Option<u64>,
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
    /// Other processes than before.
    pub(crate) is_changed: bool,
    pub(crate) epoch: u64,
    pub(crate) before: Option<u64>,
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

impl Found {
    /// Of no cluster, and not the hub that this one begins with.
    pub(crate) fn is_new(&self) -> bool {
        self.was.is_none() && self.newest_t.is_none()
    }
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

/// `start` is drawn anew for each start of the cluster.
///
/// # Errors
/// When a data folder is another process', or the stores do not fit another number of processes yet.
pub(crate) fn agree(found: &[Found], start: u64) -> Result<Agreed> {
    let processes = found.len();
    check_folders(found)?;
    let newest = found.iter().filter_map(|one| one.newest_t).max();
    let counts = |one: &Found| one.was.map_or(usize::from(one.newest_t.is_some()), |was| was.processes);
    let before = found.iter().map(counts).max().unwrap_or(0);
    let has_new = newest.is_some() && found.iter().any(Found::is_new);
    let is_changed = before != 0 && (before != processes || has_new);
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
    let kept = found.first().and_then(|keeper| keeper.was);
    let (epoch, before_it) = match kept {
        Some(kept) if !is_changed => (kept.epoch, kept.before),
        kept => (start, kept.map(|kept| kept.epoch)),
    };
    let live = found.iter().map(|one| one.now.max(one.newest_t.map_or(0, |newest| newest + 1))).max();
    Ok(Agreed {
        from_t: found.iter().filter_map(|one| one.from_t).min().unwrap_or(0),
        live_from: live.unwrap_or(0),
        behind: found.iter().map(|one| one.behind).min().unwrap_or(LogicalTime::MAX),
        newest: newest_seen,
        is_changed,
        epoch,
        before: before_it,
        lost_until: (processes < before).then_some(newest_seen),
    })
}

/// Each its own folder, and of this cluster.
fn check_folders(found: &[Found]) -> Result<()> {
    let keeper = found.first().and_then(|keeper| keeper.was);
    for (process, one) in found.iter().enumerate() {
        let Some(was) = one.was else {
            if 0 < process && one.newest_t.is_some() {
                return Err(anyhow!(
                    "the data folder of process {process} is that of a hub that was alone, and has rules of its own: give \
                     it an empty one, or make it process 0"
                ));
            }
            continue;
        };
        if was.process != process {
            return Err(anyhow!(
                "the data folder of process {process} is that of process {}: start each with its own folder, or put the \
                 hosts file back into its order",
                was.process
            ));
        }
        let is_cut = |keeper: Membership| keeper.before == Some(was.epoch) && process < keeper.processes;
        if keeper.is_none_or(|keeper| keeper.epoch != was.epoch && !is_cut(keeper)) {
            return Err(anyhow!(
                "the data folder of process {process} is of another cluster, or was away while this one changed: what it \
                 has is old; give it an empty one"
            ));
        }
    }
    Ok(())
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
            was: was.map(|processes| Membership { process, processes, epoch: 1, before: None }),
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
        let agreed = agree(&[found(0, Some(2), 900, 500, 880), found(1, Some(2), 910, 300, 890)], 7).unwrap();
        let expected = Agreed {
            from_t: 300,
            live_from: 1_000,
            behind: 880,
            newest: 910,
            is_changed: false,
            epoch: 1,
            before: None,
            lost_until: None,
        };
        assert_eq!(agreed, expected);
    }

    #[test]
    fn a_first_start_has_nothing_to_agree_on() {
        let agreed = agree(&[found(0, None, 0, 0, 0), found(1, None, 0, 0, 0)], 7).unwrap();
        assert_eq!((agreed.from_t, agreed.is_changed, agreed.lost_until, agreed.epoch), (0, false, None, 7));
    }

    #[test]
    fn a_cluster_grows_and_shrinks_only_with_stores_that_lack_nothing() {
        let new = || found(2, None, 0, 0, 0);
        let behind = [found(0, Some(2), 900, 500, 880), found(1, Some(2), 910, 300, 910), new()];
        assert!(agree(&behind, 7).unwrap_err().to_string().contains("there were 2 processes and are 3 now"));
        let settled = [found(0, Some(2), 900, 500, 910), found(1, Some(2), 910, 300, 911), new()];
        let agreed = agree(&settled, 7).unwrap();
        assert_eq!((agreed.is_changed, agreed.lost_until, agreed.newest), (true, None, 911));
        assert_eq!((agreed.epoch, agreed.before), (7, Some(1)));
        let shrunk = agree(&[found(0, Some(3), 900, 500, 910), found(1, Some(3), 910, 300, 911)], 7).unwrap();
        assert_eq!((shrunk.is_changed, shrunk.lost_until), (true, Some(911)));
        // A hub that was alone until now.
        let alone = agree(&[found(0, None, 900, 500, 910), found(1, None, 0, 0, 0)], 7).unwrap();
        assert!(alone.is_changed);
    }

    #[test]
    fn folders_that_were_exchanged_are_refused() {
        let other = Found {
            was: Some(Membership { process: 1, processes: 2, epoch: 1, before: None }),
            ..found(0, None, 900, 1, 900)
        };
        let refused = agree(&[other, found(1, Some(2), 900, 1, 900)], 7).unwrap_err().to_string();
        assert!(refused.contains("the data folder of process 0 is that of process 1"), "{refused}");
    }

    #[test]
    fn a_hub_that_was_alone_can_only_become_the_first() {
        let refused = agree(&[found(0, None, 0, 0, 0), found(1, None, 900, 1, 900)], 7).unwrap_err().to_string();
        assert!(refused.contains("process 1 is that of a hub that was alone"), "{refused}");
    }

    #[test]
    fn who_was_away_while_the_processes_changed_is_refused_and_a_change_that_was_cut_in_two_is_made_again() {
        let of = |process, processes, epoch, before| Found {
            was: Some(Membership { process, processes, epoch, before }),
            ..found(process, None, 900, 500, 910)
        };
        // Three became two, and the third comes back with what it had.
        let back = [of(0, 2, 2, Some(1)), of(1, 2, 2, Some(1)), of(2, 3, 1, None)];
        let refused = agree(&back, 7).unwrap_err().to_string();
        assert!(refused.contains("process 2 is of another cluster, or was away"), "{refused}");
        // Two were to become three, and only the first had written it down.
        let cut = [of(0, 3, 2, Some(1)), of(1, 2, 1, None), found(2, None, 0, 0, 0)];
        let agreed = agree(&cut, 7).unwrap();
        assert_eq!((agreed.is_changed, agreed.epoch, agreed.before), (true, 7, Some(2)));
        // A process of some other cluster.
        assert!(agree(&[found(0, None, 0, 0, 0), of(1, 2, 1, None)], 7).is_err());
    }

    #[test]
    fn clocks_that_nobody_sets_are_refused_with_their_names() {
        let at = |now| Found { now, ..found(0, None, 0, 0, 0) };
        check_clocks(&[at(5_000_000), at(0)]).unwrap();
        let refused = check_clocks(&[at(0), at(9_000_000)]).unwrap_err().to_string();
        assert!(refused.contains("process 1 is 9 s ahead of that of process 0"), "{refused}");
    }
}
