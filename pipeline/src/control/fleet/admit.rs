//! Admit: which tags get rollups of their own. The ones that most machines have, so that a machine that makes up tags displaces none of the
//! others'; equal ones by name.
//!
//! Invariants: F-3 groups are bounded whatever tags machines claim to have.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use model::Tag;
use serde::{Deserialize, Serialize};

/// Bounds of the groups, each with the reason beside its default.
#[derive(Debug, Clone, Copy)]
pub struct TagLimits {
    pub names_max: usize,
    /// Values of one name.
    pub values_max: usize,
    pub tags_max: usize,
}

impl Default for TagLimits {
    fn default() -> Self {
        // A fleet is looked at by a handful of tags (role, site, version); a name with more values tells machines apart, it does not group them.
        // All together: 512 groups of 27 metrics are 14 k rows a minute, about what the minute tier has of 230 machines.
        Self { names_max: 16, values_max: 200, tags_max: 512 }
    }
}

/// What is said of the tags there are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Admission {
    Group(Tag),
    /// Tags beyond the limits.
    LeftOut(usize),
}

/// A tag with the number of machines that have it.
type Counted<'a> = (usize, &'a Tag);

/// Judges tags, each with the number of machines that have it.
pub(super) fn admit<'a>(tags: impl Iterator<Item = (&'a Tag, usize)>, limits: TagLimits) -> Vec<Admission> {
    let mut by_name: BTreeMap<&str, (usize, Vec<Counted<'_>>)> = BTreeMap::new();
    let mut all = 0;
    for (tag, machines) in tags {
        let (total, values) = by_name.entry(&tag.name).or_default();
        *total += machines;
        values.push((machines, tag));
        all += 1;
    }
    let rank = |(machines, tag): &Counted<'_>| (Reverse(*machines), (*tag).clone());
    let mut names: Vec<_> = by_name.into_iter().collect();
    names.sort_by_key(|(_, (total, _))| Reverse(*total));
    names.truncate(limits.names_max);
    let mut admitted: Vec<Counted<'_>> = Vec::new();
    for (_, (_, mut values)) in names {
        values.sort_by_cached_key(rank);
        admitted.extend(values.into_iter().take(limits.values_max));
    }
    admitted.sort_by_cached_key(rank);
    admitted.truncate(limits.tags_max);
    let left_out = all - admitted.len();
    let groups = admitted.into_iter().map(|(_, tag)| Admission::Group(tag.clone()));
    groups.chain((left_out > 0).then_some(Admission::LeftOut(left_out))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name=value` with its machines, and what is admitted under limits of names, values and tags.
    fn check(tags: &[(&str, usize)], (names_max, values_max, tags_max): (usize, usize, usize), expected: &str) {
        let parse = |text: &str| text.split_once('=').map(|(name, value)| Tag::new(name, value)).unwrap();
        let tags: Vec<(Tag, usize)> = tags.iter().map(|(text, machines)| (parse(text), *machines)).collect();
        let limits = TagLimits { names_max, values_max, tags_max };
        let text = |admission: &Admission| match admission {
            Admission::Group(tag) => tag.to_string(),
            Admission::LeftOut(count) => format!("+{count}"),
        };
        let judged: Vec<String> =
            admit(tags.iter().map(|(tag, machines)| (tag, *machines)), limits).iter().map(text).collect();
        assert_eq!(judged.join(" "), expected);
    }

    #[test]
    fn the_tags_of_most_machines_are_admitted() {
        check(&[("a=1", 1), ("b=1", 2)], (9, 9, 9), "b=1 a=1");
        check(&[("a=1", 1), ("a=2", 3), ("a=3", 2)], (9, 2, 9), "a=2 a=3 +1");
        check(&[("a=1", 1), ("a=2", 1), ("b=1", 3), ("c=1", 2)], (2, 9, 9), "b=1 a=1 a=2 +1");
        check(&[("a=1", 1), ("a=2", 1), ("b=1", 1)], (9, 9, 2), "a=1 a=2 +1");
        check(&[], (9, 9, 9), "");
    }

    #[test]
    fn a_flood_of_made_up_tags_displaces_no_tag_of_many_machines() {
        let made_up: Vec<(String, usize)> = (0..10_000).map(|n| (format!("junk=x{n}"), 1)).collect();
        let mut tags: Vec<(&str, usize)> = made_up.iter().map(|(text, machines)| (text.as_str(), *machines)).collect();
        tags.push(("role=db", 2));
        let parsed: Vec<(Tag, usize)> = tags
            .iter()
            .map(|(text, machines)| (text.split_once('=').map(|(n, v)| Tag::new(n, v)).unwrap(), *machines))
            .collect();
        let judged = admit(parsed.iter().map(|(tag, machines)| (tag, *machines)), TagLimits::default());
        assert_eq!(judged[0], Admission::Group(Tag::new("role", "db")));
        assert_eq!(judged.len(), 1 + 200 + 1);
        assert_eq!(judged.last(), Some(&Admission::LeftOut(10_000 - 200)));
    }
}
