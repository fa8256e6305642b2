//! Bindings: rules joined with the series they apply to, kept up to date as either changes.
//!
//! In: the facts that have room (`admit.rs`), at coarse times. Out: bindings with +1 or -1, on the worker that owns the series' machine; a repeated fact gives nothing.
//! The join is on the metric; machine, tag and label matchers are a residual filter in it: what does not apply is looked at, never made.
//! State: both inputs, arranged by metric and worker. Loss: none.
//! Bounded: what would be more than `bindings_max` is not joined at all. Otherwise all of it would be there at once, some 210 bytes each.

use std::sync::Arc;

use differential_dataflow::VecCollection;
use model::LogicalTime;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::Map;

use crate::control::admit::{Admission, admit};
use crate::control::arranged::by_key;
use crate::control::coarsen::FactUpdates;
use crate::control::facts::Binding;

/// Differential updates of bindings, consolidated.
pub type BindingUpdates<'s> = StreamVec<'s, LogicalTime, (Binding, LogicalTime, isize)>;

pub fn bindings<'s>(facts: FactUpdates<'s>, admission: Admission) -> BindingUpdates<'s> {
    let facts = admit(facts, admission);
    let series = facts.clone().flat_map(|(fact, t, diff)| {
        let series = fact.series()?.clone();
        Some((((Arc::clone(&series.key.metric), series.worker), series), t, diff))
    });
    // Each worker has let the rules in for its own series.
    let worker = u32::try_from(facts.scope().index()).unwrap_or(0);
    let rules = facts.flat_map(move |(fact, t, diff)| {
        let rule = fact.rule()?.clone();
        Some((((Arc::from(rule.rule.metric.as_str()), worker), rule), t, diff))
    });
    by_key(VecCollection::new(series), "series by metric")
        .join_core(by_key(VecCollection::new(rules), "rules by metric"), |_, series, rule| {
            let applies = rule.applies(&series.machine, &series.tags, &series.key);
            applies.then(|| Binding { series: series.clone(), rule: rule.clone() })
        })
        .consolidate()
        .inner
}
