//! Table and property tests of `admit`: facts in, those that have room out.

use super::*;
use crate::operators::fixtures::settings;
use model::Labels;
use proptest::prelude::*;

fn rule(name: &str, machines: &str) -> Fact {
    let text = format!(
        r#"{{"name":"{name}","metric":"m","operator":"gt","threshold":1,"severity":"info","machines":["{machines}"]}}"#
    );
    Fact::Rule(RuleFact::new(Arc::new(serde_json::from_str(&text).unwrap())))
}

fn series(index: u32, slot: u32) -> Fact {
    let labels = Labels::parse([("n", slot.to_string().as_str())]).unwrap();
    let (machine, key) = (MachineId::parse(&format!("m{index}")).unwrap(), SeriesKey::parse("m", labels).unwrap());
    Fact::Series(SeriesFact { worker: 0, index, slot, machine, tags: Arc::default(), key: Arc::new(key) })
}

fn admission(bindings_max: usize) -> (Admission, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    (Admission::new(&Settings { bindings_max, ..settings() }, 0, Arc::clone(&counters)), counters)
}

/// What is joined after these changes, as `name` or `machine/slot`, each with its sign.
fn told(admission: &mut Admission, changes: &[(&Fact, isize)]) -> String {
    let out = admission.take(changes.iter().map(|(fact, diff)| ((*fact).clone(), *diff)).collect());
    let words = out.iter().map(|(fact, diff)| {
        let sign = if *diff > 0 { '+' } else { '-' };
        let rule = fact.rule().map(|fact| format!("{sign}{}", fact.rule.name));
        rule.or_else(|| fact.series().map(|fact| format!("{sign}{}/{}", fact.machine, fact.slot))).unwrap()
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn who_has_places_keeps_them_and_what_was_refused_comes_in_once_some_are_free() {
    let (mut admission, counters) = admission(4);
    let (all, first, second) = (rule("all", "*"), rule("first", "m1"), rule("second", "m2"));
    assert_eq!(told(&mut admission, &[(&all, 1), (&series(1, 0), 1), (&series(1, 1), 1)]), "+all +m1/0 +m1/1");
    assert_eq!(told(&mut admission, &[(&first, 1)]), "+first", "all four places are taken");
    assert_eq!(told(&mut admission, &[(&second, 1)]), "+second", "it needs none");
    assert_eq!(counters.bindings_refused.get(), 0);
    assert_eq!(told(&mut admission, &[(&series(2, 0), 1)]), "");
    assert_eq!(counters.bindings_refused.get(), 2, "under `all` and `second`");
    assert_eq!(["all", "first", "second"].map(|rule| counters.unjudged.of(rule)), [1, 0, 1]);
    assert_eq!(told(&mut admission, &[(&first, -1)]), "-first +m2/0");
    assert_eq!(told(&mut admission, &[(&first, 1)]), "", "two places wanted, none left");
    assert_eq!(counters.bindings_refused.get(), 4);
    assert_eq!(told(&mut admission, &[(&series(2, 0), -1)]), "-m2/0 +first");
}

#[test]
fn an_edited_rule_finds_its_places_and_a_refused_one_goes_unheard() {
    let (mut admission, _) = admission(1);
    let (wide, narrow) = (rule("a", "*"), rule("a", "m1"));
    assert_eq!(told(&mut admission, &[(&wide, 1), (&series(1, 0), 1)]), "+a +m1/0");
    assert_eq!(told(&mut admission, &[(&wide, -1), (&narrow, 1)]), "-a +a");
    assert_eq!(told(&mut admission, &[(&series(2, 0), 1)]), "+m2/0");
    assert_eq!(told(&mut admission, &[(&narrow, -1), (&wide, 1)]), "-a", "it would need two places now");
    assert_eq!(told(&mut admission, &[(&wide, -1)]), "");
}

/// Series that a rule applies to and is not held against.
fn unjudged(all: &BTreeSet<Fact>, joined: &BTreeSet<Fact>, rule: &Fact) -> usize {
    let applies = |of: &SeriesFact| rule.rule().is_some_and(|rule| rule.applies(&of.machine, &of.tags, &of.key));
    let is_judged = |fact: &Fact| joined.contains(rule) && joined.contains(fact);
    all.iter().filter(|fact| fact.series().is_some_and(applies) && !is_judged(fact)).count()
}

/// Places that these take together.
fn places(facts: &BTreeSet<Fact>) -> usize {
    let rules_on = |of: &SeriesFact| {
        let rules = facts.iter().filter_map(Fact::rule);
        rules.filter(|rule| rule.applies(&of.machine, &of.tags, &of.key)).count()
    };
    facts.iter().filter_map(Fact::series).map(rules_on).sum()
}

proptest! {
    #[test]
    fn what_is_joined_has_room_and_what_is_not_has_none(
        room in 0usize..40, steps in prop::collection::vec(prop::collection::vec((0usize..24, any::<bool>()), 1..6), 1..30)
    ) {
        let facts: Vec<Fact> = (0..6).map(|n| rule(&format!("r{n}"), ["*", "m1", "m?"][n % 3]))
            .chain((0..18).map(|n| series(n / 6, n % 6)))
            .collect();
        let (mut admission, counters) = admission(room);
        let (mut all, mut joined) = (BTreeSet::new(), BTreeSet::new());
        for step in steps {
            let mut changes = Vec::new();
            for (n, comes) in step {
                let is_change = if comes { all.insert(facts[n].clone()) } else { all.remove(&facts[n]) };
                changes.extend(is_change.then(|| (facts[n].clone(), if comes { 1 } else { -1 })));
            }
            let before = joined.clone();
            for (fact, diff) in admission.take(changes) {
                prop_assert!(if diff > 0 { joined.insert(fact) } else { joined.remove(&fact) }, "each once");
            }
            for rule in &facts[..6] {
                let expected = if all.contains(rule) { unjudged(&all, &joined, rule) } else { 0 };
                prop_assert_eq!(counters.unjudged.of(&rule.rule().unwrap().rule.name), expected);
            }
            let taken = places(&joined);
            prop_assert!(taken <= room && admission.room == room - taken);
            prop_assert!(joined.is_subset(&all));
            prop_assert!(joined.is_superset(&before.intersection(&all).cloned().collect()), "who has places keeps them");
            // Of the refused series, those behind the first one wait for it.
            let first = all.difference(&joined).find(|fact| fact.series().is_some());
            for refused in all.difference(&joined).filter(|fact| fact.rule().is_some()).chain(first) {
                let with: BTreeSet<Fact> = joined.iter().chain([refused]).cloned().collect();
                prop_assert!(room < places(&with) && 0 < counters.bindings_refused.get());
            }
        }
    }
}
