//! The fleet: rollups per tag and minute, and the hottest machines per metric.
//!
//! In: minute updates; facts of machines. Out: `Output::Fleet` (a whole revision of one group's minute) and `Output::Hottest`.
//! Plain code makes one contribution per machine and minute; differential joins them with the machines' tags, regroups, rolls up. All of it at
//! multiples of ten seconds of logical time: a minute is told when it is complete, so nothing is computed in between.
//! State: contributions to the newest three minutes, shared by pointer between the arrangements; tags of machines.
//! Loss: tags and metrics beyond the limits, counted; changes of minutes that have left.
//! Invariants: F-1 order and workers do not matter, F-2 each contribution counts once, F-3 groups are bounded.

mod admit;
mod contribute;
mod contribution;
mod roll;

use std::sync::Arc;

use differential_dataflow::VecCollection;
use model::{FleetMinute, FleetRow, Hottest, HottestOf, LogicalTime, MachineId, Output, Tag, Timestamp, Width};
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::InspectCore;
use timely::dataflow::operators::vec::Map;

use crate::control::coarsen::coarsen;
use crate::control::facts::{Change, Fact};
use crate::counters::Counters;
use crate::operators::window::MinuteUpdate;
use crate::settings::{FleetSettings, Settings, ticks};
use crate::stage::{At, Records, stage};
pub use admit::TagLimits;
use admit::{Admission, admit};
use contribute::Contributions;
use contribution::Shared;
use roll::{Rolled, roll};

/// Contributions and tags change at multiples of this logical time only.
const TICK: LogicalTime = 10_000_000;

/// The first tick at or after `t`.
const fn tick_at(t: LogicalTime) -> LogicalTime {
    t.div_ceil(TICK).saturating_mul(TICK)
}

/// The first tick after `t`.
const fn tick_after(t: LogicalTime) -> LogicalTime {
    (t / TICK + 1).saturating_mul(TICK)
}

/// A group of machines in one minute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Group {
    /// `None`: all machines.
    tag: Option<Tag>,
    /// Start, in microseconds.
    minute: i64,
}

type Collection<'s, D> = VecCollection<'s, LogicalTime, D, isize>;

/// Builds the fleet's part of the graph.
pub fn fleet<'s>(
    minutes: Records<'s, MinuteUpdate>,
    facts: Records<'s, Change>,
    settings: &Settings,
    counters: &Arc<Counters>,
) -> Records<'s, Output> {
    let (limits, catalogue) = (settings.fleet.clone(), settings.catalogue);
    let contributions = Contributions::new(limits.clone(), catalogue, Arc::clone(counters));
    let told = stage(minutes, "contribute", contributions);
    let contributions = VecCollection::new(coarsen(told, "coarsen contributions", tick_at));
    let tags = facts.flat_map(|At { t, item: (fact, diff) }| match fact {
        Fact::Machine(machine) => Some(At { t, item: (machine, diff) }),
        Fact::Series(_) | Fact::Rule(_) | Fact::Silence(_) | Fact::RulesKnown | Fact::Forgotten(_) => None,
    });
    let tags = VecCollection::new(coarsen(tags, "coarsen tags", tick_at)).flat_map(|machine| {
        let tags = Arc::clone(&machine.tags);
        let tags: Vec<Tag> = tags.iter().map(|(name, value)| Tag::new(name, value)).collect();
        tags.into_iter().map(move |tag| (tag, machine.machine.clone()))
    });
    let members = admitted(tags, limits.tags, counters);
    let by_tag = contributions
        .clone()
        .map(|contribution: Shared| (contribution.machine.clone(), contribution))
        .join_map(members, |_, contribution, tag| (Group::of(Some(tag.clone()), contribution), contribution.clone()));
    let everyone = contributions.map(|contribution| (Group::of(None, &contribution), contribution));
    let own_max = limits.metrics_max;
    let everyone = rolled(everyone, "roll up the fleet", model::fleet::HOTTEST_MAX, own_max);
    let by_tag = rolled(by_tag, "roll up tags", 0, own_max);
    let gone = gone(by_tag.clone(), &limits);
    let counters = Arc::clone(counters);
    let everyone = published(everyone, move |rolled| counters.fleet_left_out.add(rolled.left_out as usize));
    let by_tag = published(by_tag, |_| {});
    let scope = gone.scope();
    scope.concatenate([everyone, by_tag, gone])
}

/// Machines with those of their tags that get rollups, by machine.
fn admitted<'s>(
    tags: Collection<'s, (Tag, MachineId)>,
    limits: TagLimits,
    counters: &Arc<Counters>,
) -> Collection<'s, (MachineId, Tag)> {
    let judged = tags.clone().map(|(tag, _)| ((), tag)).reduce_named("admit tags", move |(), tags, out| {
        // The multiplicity of a tag is the number of machines that have it.
        let counted = tags.iter().map(|(tag, machines)| (*tag, usize::try_from(*machines).unwrap_or(0)));
        out.extend(admit(counted, limits).into_iter().map(|admission| (admission, 1)));
    });
    let groups = judged.clone().flat_map(|((), admission)| match admission {
        Admission::Group(tag) => Some(tag),
        Admission::LeftOut(_) => None,
    });
    let left_out = judged.inner.flat_map(|(((), admission), t, diff)| match admission {
        Admission::Group(_) => None,
        Admission::LeftOut(tags) => Some((isize::try_from(tags).unwrap_or(isize::MAX).saturating_mul(diff), t)),
    });
    let counters = Arc::clone(counters);
    // Of one time at most two: what was left out until then, and since.
    let counted = left_out.inspect_container(move |event| {
        if let Ok((_, changes)) = event {
            let more: isize = changes.iter().map(|(more, _)| more).sum();
            counters.fleet_tags_refused.add(usize::try_from(more).unwrap_or(0));
        }
    });
    drop(counted);
    tags.semijoin(groups).map(|(tag, machine)| (machine, tag))
}

fn rolled<'s>(
    contributions: Collection<'s, (Group, Shared)>,
    name: &'static str,
    hottest_max: usize,
    own_max: usize,
) -> Collection<'s, (Group, Arc<Rolled>)> {
    contributions.reduce_named(name, move |_, contributions, out| {
        let each = contributions.iter().map(|(contribution, _)| contribution.0.as_ref());
        out.push((Arc::new(roll(each, hottest_max, own_max)), 1));
    })
}

/// What a reduction asserts, as outputs. It is consolidated: a reduction gives the difference to what it gave before, per key and time.
fn published<'s>(
    rolled: Collection<'s, (Group, Arc<Rolled>)>,
    mut seen: impl FnMut(&Rolled) + 'static,
) -> Records<'s, Output> {
    rolled.inner.flat_map(move |((group, rolled), t, diff)| {
        let mut outputs = Vec::new();
        if diff > 0 {
            seen(&rolled);
            outputs.extend(group.hottest(&rolled, t).map(|hottest| Output::Hottest(Arc::new(hottest))));
            outputs.push(Output::Fleet(Arc::new(group.minute(&rolled, t))));
        }
        outputs.into_iter().map(move |item| At { t, item })
    })
}

/// Groups that lost their last machine while their minute is held: an empty revision, or the one before would stand.
fn gone<'s>(rolled: Collection<'s, (Group, Arc<Rolled>)>, settings: &FleetSettings) -> Records<'s, Output> {
    let held_for = ticks(settings.held_for);
    // What was replaced cancels out here.
    rolled.map(|(group, _)| group).consolidate().inner.flat_map(move |(group, t, diff)| {
        let is_held = t < tick_at(group.end().saturating_add(held_for));
        let nothing = Rolled { rows: Vec::new(), left_out: 0 };
        let item = (diff < 0 && is_held).then(|| Output::Fleet(Arc::new(group.minute(&nothing, t))));
        item.map(|item| At { t, item })
    })
}

impl Group {
    fn of(tag: Option<Tag>, contribution: &Shared) -> Self {
        Self { tag, minute: contribution.minute }
    }

    fn end(&self) -> LogicalTime {
        u64::try_from(self.minute.saturating_add(Width::Minute.micros())).unwrap_or(0)
    }

    fn minute(&self, rolled: &Rolled, revision: LogicalTime) -> FleetMinute {
        let rows = rolled.rows.iter().map(|row| FleetRow {
            metric: Arc::clone(&row.metric),
            machines: row.machines,
            count: row.count,
            sum: row.sum.value(),
            min: row.min.0,
            max: row.max.0,
        });
        let minute = Timestamp::from_micros(self.minute);
        FleetMinute { tag: self.tag.clone(), minute, revision, rows: rows.collect() }
    }

    /// Only of the whole fleet.
    fn hottest(&self, rolled: &Rolled, revision: LogicalTime) -> Option<Hottest> {
        let metrics = rolled.rows.iter().map(|row| HottestOf {
            metric: Arc::clone(&row.metric),
            machines: row.hottest.iter().map(|(value, machine)| (machine.clone(), value.0)).collect(),
        });
        let minute = Timestamp::from_micros(self.minute);
        self.tag.is_none().then(|| Hottest { minute, revision, metrics: metrics.collect() })
    }
}
