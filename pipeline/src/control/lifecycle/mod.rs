//! Lifecycle: how each firing alert stands (active, silenced, inhibited) and the groups they form, in differential, on top of the
//! transitions (ADR 0016).
//!
//! In: transitions of evaluate and presence, coarse facts of machines and silences, the alerts that fired before the restart with how
//! they stood. Out: each change of a standing and of a group, once. A transition is a breach and leaves at once, without waiting for this.
//! Time: 100 ms boundaries, nothing before `live_from`: owed = desired - persisted, so that a clean restart says nothing.
//! Cost: per change, never per binding; nothing periodic but the frontier's own progress.
//! Invariants: A-5 what leaves is exactly the difference of how alerts stand and how they are known to stand, A-6 groups are those of the rules.

pub mod breach;
mod enter;
mod groups;
mod silences;
mod standing;
mod tell;

use std::sync::Arc;

use differential_dataflow::{Hashable, VecCollection};
use model::{LogicalTime, Output, Standing, Transition};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::vec::Map;

use crate::control::coarsen::{FactUpdates, boundary_after};
use crate::control::facts::{Fact, RuleFact};
use crate::operators::presence::{PresenceOutput, machine_down};
use crate::settings::Settings;
use crate::stage::Records;
use breach::Breach;

/// Differential updates.
pub type Updates<'s, D> = StreamVec<'s, LogicalTime, (D, LogicalTime, isize)>;

/// What the lifecycle looks at.
pub struct Inputs<'s> {
    pub transitions: Records<'s, Arc<Transition>>,
    pub presence: Records<'s, PresenceOutput>,
    pub facts: FactUpdates<'s>,
}

/// The standings and groups of all alerts. `worker` is this one's index.
pub fn lifecycle<'s>(inputs: Inputs<'s>, settings: &Settings, worker: usize) -> Records<'s, Output> {
    let Inputs { transitions, presence, facts } = inputs;
    let (floor, workers) = (boundary_after(settings.live_from), settings.peers());
    let scope = facts.scope();
    let own = settings.firing_of(worker);
    let firing: Vec<Breach> = own.clone().map(Breach::of_alert).collect();
    let stood_before: Vec<(Breach, Standing)> =
        own.filter_map(|alert| Some((Breach::of_alert(alert), alert.standing.clone()?))).collect();
    let machines = facts.clone().flat_map(move |(fact, t, diff)| match fact {
        Fact::Machine(machine) => Some((machine, t.max(floor), diff)),
        Fact::Series(_) | Fact::Rule(_) | Fact::Silence(_) | Fact::RulesKnown | Fact::Forgotten(_) => None,
    });
    let rules = facts.clone().flat_map(move |(fact, t, diff)| match fact {
        Fact::Rule(rule) => Some((rule, t.max(floor), diff)),
        Fact::Series(_) | Fact::Machine(_) | Fact::Silence(_) | Fact::RulesKnown | Fact::Forgotten(_) => None,
    });
    let silences = facts.flat_map(|(fact, t, diff)| match fact {
        Fact::Silence(silence) => Some((silence, t, diff)),
        Fact::Series(_) | Fact::Rule(_) | Fact::Machine(_) | Fact::RulesKnown | Fact::Forgotten(_) => None,
    });
    // The built-in one is nobody's record.
    let built_in = if worker == 0 { vec![RuleFact::new(Arc::new(machine_down()))] } else { Vec::new() };
    let rules = VecCollection::new(rules.concat(enter::given(scope, built_in, floor)));
    let breaches = VecCollection::new(enter::breaches(transitions, presence, firing, floor));
    let silences = VecCollection::new(silences::in_force(silences, floor));
    let placed = standing::placed(breaches, VecCollection::new(machines));
    let stood = standing::standings(placed, silences, workers);
    let members = groups::members(stood.clone(), rules);
    let mut groups = groups::Groups::default();
    let desired = stood.map(|(breach, (standing, _))| (breach, standing));
    let persisted = VecCollection::new(enter::given(scope, stood_before, floor));
    let owed = desired.concat(persisted.negate()).inner;
    let standings = tell::tell(owed, "tell", |(breach, _)| breach.machine.mix(), standing::told);
    standings.concat(tell::tell(
        members.inner,
        "tell groups",
        |(key, _)| key.hashed(),
        move |changes| groups.told(changes),
    ))
}
