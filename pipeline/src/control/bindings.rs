//! Bindings: rules joined with the series they apply to, kept up to date as either changes.
//!
//! In: facts at coarse times. Out: bindings with +1 or -1, on the worker that owns the series' machine; a repeated fact gives nothing.
//! The join is on the metric; machine, tag and label matchers are a residual filter in it: what does not apply is looked at, never made.
//! State: both inputs, arranged by metric. Loss: none.

use differential_dataflow::VecCollection;
use model::LogicalTime;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::Map;

use crate::control::arranged::by_key;
use crate::control::coarsen::FactUpdates;
use crate::control::facts::{Binding, Fact};

/// Differential updates of bindings, consolidated.
pub type BindingUpdates<'s> = StreamVec<'s, LogicalTime, (Binding, LogicalTime, isize)>;

pub fn bindings<'s>(facts: FactUpdates<'s>) -> BindingUpdates<'s> {
    let series = facts.clone().flat_map(|(fact, t, diff)| match fact {
        Fact::Series(series) => Some(((series.key.metric.to_string(), series), t, diff)),
        Fact::Rule(_) | Fact::Machine(_) | Fact::Silence(_) | Fact::RulesKnown | Fact::Forgotten(_) => None,
    });
    let rules = facts.flat_map(|(fact, t, diff)| match fact {
        Fact::Rule(rule) => Some(((rule.rule.metric.clone(), rule), t, diff)),
        Fact::Series(_) | Fact::Machine(_) | Fact::Silence(_) | Fact::RulesKnown | Fact::Forgotten(_) => None,
    });
    by_key(VecCollection::new(series), "series by metric")
        .join_core(by_key(VecCollection::new(rules), "rules by metric"), |_, series, rule| {
            let applies = rule.rule.enabled && rule.rule.matches(&series.machine, &series.tags, &series.key.labels);
            applies.then(|| Binding { series: series.clone(), rule: rule.clone() })
        })
        .consolidate()
        .inner
}
