//! Standing: how each firing alert stands. One reduce per machine joins its tags and finds whether it is down; breaches meet silences in
//! shards; one reduce per alert takes the strongest claim. Two reduces hold what three antijoins would, in a third of the arrangements.
//!
//! A silence is a person's word and comes before inhibition, so that an alert stays silenced while its machine goes down and up.
//! Of several silences the one that ends last is named. An alert of a machine whose tags are not known carries none.

use std::cmp::Reverse;
use std::sync::Arc;

use differential_dataflow::VecCollection;
use model::{LogicalTime, MachineId, Output, Silence, Standing, Timestamp};
use serde::{Deserialize, Serialize};

use super::breach::{Breach, Tags};
use crate::control::facts::MachineFact;
use crate::operators::presence::MACHINE_DOWN;

/// Breaches are spread over more shards than there are workers: their hash does not spread evenly.
const SHARDS_PER_WORKER: u64 = 4;

/// What is known of one machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Known {
    Tags(Tags),
    Breach(Breach),
}

/// A breach with what its machine says of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Placed {
    pub(super) breach: Breach,
    /// None where the machine has none, or is not known in this run.
    pub(super) tags: Option<Tags>,
    pub(super) is_inhibited: bool,
}

/// Why an alert stands as it does; the least one decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Claim {
    /// It fires.
    Placed {
        tags: Option<Tags>,
        is_inhibited: bool,
    },
    Silence {
        ends_at: Reverse<Timestamp>,
        id: Arc<str>,
    },
}

/// How a breach stands, and its machine's tags.
pub(super) type Stood = (Breach, (Standing, Option<Tags>));

/// Breaches with their machines' tags and whether a machine-down hides them.
pub(super) fn placed<'s>(
    breaches: VecCollection<'s, LogicalTime, Breach, isize>,
    machines: VecCollection<'s, LogicalTime, MachineFact, isize>,
) -> VecCollection<'s, LogicalTime, Placed, isize> {
    let tags = machines.map(|MachineFact { machine, tags }| (machine, Known::Tags(tags)));
    let known = breaches.map(|breach| (breach.machine.clone(), Known::Breach(breach))).concat(tags);
    known.reduce_named("Machine", place).map(|(_, placed)| placed)
}

fn place(_machine: &MachineId, known: &[(&Known, isize)], out: &mut Vec<(Placed, isize)>) {
    let breaches = || {
        known.iter().filter_map(|(known, count)| match known {
            Known::Breach(breach) if 0 < *count => Some(breach),
            Known::Breach(_) | Known::Tags(_) => None,
        })
    };
    // Sorted after other tags only for a moment in which a machine changes them at one boundary.
    let tags = known.iter().find_map(|(known, count)| match known {
        Known::Tags(tags) if 0 < *count => Some(tags),
        Known::Tags(_) | Known::Breach(_) => None,
    });
    let is_down = breaches().any(|breach| breach.rule.as_ref() == MACHINE_DOWN);
    for breach in breaches() {
        let is_inhibited = is_down && breach.rule.as_ref() != MACHINE_DOWN;
        out.push((Placed { breach: breach.clone(), tags: tags.cloned(), is_inhibited }, 1));
    }
}

/// How each breach stands.
pub(super) fn standings<'s>(
    placed: VecCollection<'s, LogicalTime, Placed, isize>,
    silences: VecCollection<'s, LogicalTime, Arc<Silence>, isize>,
    workers: usize,
) -> VecCollection<'s, LogicalTime, Stood, isize> {
    let shards = if workers <= 1 { 1 } else { workers as u64 * SHARDS_PER_WORKER };
    let here =
        placed.clone().map(|Placed { breach, tags, is_inhibited }| (breach, Claim::Placed { tags, is_inhibited }));
    let spread = silences.flat_map(move |silence| (0..shards).map(move |shard| (shard, Arc::clone(&silence))));
    let silenced = placed
        .map(move |placed| (placed.breach.machine.mix() % shards, placed))
        .arrange_by_key_named("Breaches by shard")
        .join_core(spread.arrange_by_key_named("Silences by shard"), |_, placed, silence| claim(placed, silence));
    here.concat(silenced).reduce_named("Standing", stand)
}

fn claim(placed: &Placed, silence: &Silence) -> Option<(Breach, Claim)> {
    let Placed { breach, tags, .. } = placed;
    let none = Tags::default();
    let tags = tags.as_ref().unwrap_or(&none);
    let fits = silence.matchers.match_alert(&breach.rule, &breach.machine, tags, &breach.series.labels);
    let (ends_at, id) = (Reverse(silence.ends_at), silence.id.as_str().into());
    fits.then(|| (breach.clone(), Claim::Silence { ends_at, id }))
}

fn stand(_breach: &Breach, claims: &[(&Claim, isize)], out: &mut Vec<((Standing, Option<Tags>), isize)>) {
    let (mut placed, mut silence) = (None, None);
    // In order: of the silences the one that ends last comes first.
    for (claim, _) in claims.iter().filter(|(_, count)| 0 < *count) {
        match claim {
            Claim::Placed { tags, is_inhibited } => placed = placed.or(Some((tags, *is_inhibited))),
            Claim::Silence { id, .. } => silence = silence.or(Some(id)),
        }
    }
    let Some((tags, is_inhibited)) = placed else { return };
    let standing = match silence {
        Some(id) => Standing::Silenced(Arc::clone(id)),
        None if is_inhibited => Standing::Inhibited,
        None => Standing::Active,
    };
    out.push(((standing, tags.clone()), 1));
}

/// Of a boundary's differences those that came leave: an alert whose standing only went has resolved, which its transition says.
pub(super) fn told(changes: &[((Breach, Standing), isize)]) -> Vec<Output> {
    let came = changes.iter().filter(|(_, diff)| 0 < *diff);
    came.map(|((breach, standing), _)| Output::Standing(Arc::new(breach.clone().stands(standing.clone())))).collect()
}
