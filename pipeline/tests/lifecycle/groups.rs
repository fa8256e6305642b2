//! Groups of alerts, through the whole graph, against a naive oracle.

use std::collections::BTreeMap;

use super::*;
use model::group::MEMBERS_MAX;
use model::{AlertGroup, GroupBy, GroupKey, GroupMember};

/// What the hot store shows after these outputs.
fn shown(outputs: &[(LogicalTime, Output)]) -> BTreeMap<GroupKey, AlertGroup> {
    let mut groups = BTreeMap::new();
    let mut ordered: Vec<_> = outputs.iter().collect();
    ordered.sort_by_key(|(t, _)| *t);
    for (_, output) in ordered {
        if let Output::Group(change) = output {
            match &change.group {
                Some(group) => drop(groups.insert(change.key.clone(), group.as_ref().clone())),
                None => drop(groups.remove(&change.key)),
            }
        }
    }
    groups
}

fn said(outputs: &[(LogicalTime, Output)]) -> Vec<String> {
    let line = |(key, group): (&GroupKey, &AlertGroup)| {
        let key: Vec<String> = key.0.iter().map(|(by, value)| format!("{by}={value}")).collect();
        let AlertGroup { active, silenced, inhibited, .. } = group;
        format!("{} {active}+{silenced}+{inhibited} {:?}", key.join(","), group.severity_active)
    };
    shown(outputs).iter().map(line).collect()
}

fn hot_by(by: &str) -> model::Rule {
    rule(&HOT.replace('}', &format!(r#","group_by":{by}}}"#)))
}

#[test]
fn alerts_gather_by_what_their_rules_say_and_an_edit_regroups_them() {
    let records = |until: usize| {
        let all = [
            stamped(t(0.5), rules(1, vec![hot_by(r#"["tag:role"]"#)])),
            silences(1.0, &[silence("s", r#"{"machines":["b"]}"#, 0.0, 90.0)]),
            tagged("a", 2.0, "db"),
            tagged("b", 2.0, "db"),
            frame("a", 10.0, 50.0),
            frame("b", 10.0, 50.0),
            frame("c", 10.0, 50.0),
            stamped(t(20.0), rules(2, vec![hot_by(r#"["machine","rule"]"#)])),
            frame("a", 30.0, 1.0),
            tagged("b", 31.0, "web"),
            stamped(t(40.0), rules(3, vec![hot_by("[]")])),
            stamped(t(50.0), rules(4, vec![])),
        ];
        all[..until].to_vec()
    };
    for workers in [1, 3] {
        let after = |count, second| said(&run(&live(workers), &records(count), |_| true, t(second)));
        assert_eq!(after(7, 15.0), ["tag:role= 1+0+0 Some(Warning)", "tag:role=db 1+1+0 Some(Warning)"]);
        let by_machine = ["a 1+0+0 Some(Warning)", "b 0+1+0 None", "c 1+0+0 Some(Warning)"];
        assert_eq!(after(8, 25.0), by_machine.map(|line| format!("rule=hot,machine={line}")));
        assert_eq!(after(10, 35.0).len(), 2, "a has resolved");
        assert_eq!(after(11, 45.0), ["rule=hot 1+1+0 Some(Warning)"]);
        assert_eq!(after(12, 55.0), Vec::<String>::new());
    }
}

#[test]
fn a_large_group_counts_all_and_names_the_first_and_is_there_again_after_a_restart() {
    let mut records = vec![stamped(t(0.5), rules(1, vec![rule(HOT)]))];
    records.extend((0..100).map(|n| frame(&format!("m{n}"), 10.0 + f64::from(n) / 1_000.0, 50.0)));
    let first = run(&live(2), &records, |n| n % 7 == 0, t(15.0));
    let firing = kept(&[], &first);
    let settings = Settings { live_from: t(15.0), firing, ..settings(2) };
    for outputs in [first, run(&settings, &records, |_| false, t(20.0))] {
        let groups = shown(&outputs);
        let (key, group) = groups.first_key_value().unwrap();
        assert_eq!((groups.len(), key.0[0].1.as_ref(), group.count()), (1, "hot", 100));
        let named: Vec<&str> = group.members.iter().map(|member| member.machine.as_str()).collect();
        assert_eq!((named.len(), &named[..3]), (MEMBERS_MAX, &["m0", "m1", "m2"][..]));
    }
}

#[derive(Debug, Clone)]
enum Turn {
    Value(usize, bool),
    Tag(usize, bool),
    /// What the rule groups by, and whether it is critical; none: it is gone.
    Rule(Option<(usize, bool)>),
    Silence(Option<usize>),
}

const BY: [&str; 5] = ["[]", r#"["machine"]"#, r#"["tag:role"]"#, r#"["label:n","tag:role"]"#, r#"["tag:rack"]"#];

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => (0..NAMES.len(), any::<bool>()).prop_map(|(n, hot)| Turn::Value(n, hot)),
        2 => (0..NAMES.len(), any::<bool>()).prop_map(|(n, is_db)| Turn::Tag(n, is_db)),
        2 => prop::option::weighted(0.8, (0..BY.len(), any::<bool>())).prop_map(Turn::Rule),
        1 => prop::option::of(0..NAMES.len()).prop_map(Turn::Silence),
    ]
}

/// What counts of the history before a moment, beside the alerts.
struct Told {
    rules: Vec<model::Rule>,
    tags: BTreeMap<&'static str, BTreeMap<String, String>>,
}

fn told_before(turns: &[Turn]) -> Told {
    let mut told = Told { rules: vec![hot_by(BY[0])], tags: BTreeMap::new() };
    for turn in turns {
        match turn {
            Turn::Rule(edit) => told.rules = edited(*edit),
            Turn::Tag(n, is_db) => {
                drop(told.tags.insert(NAMES[*n], BTreeMap::from([("role".to_owned(), role(*is_db).to_owned())])));
            }
            Turn::Value(..) | Turn::Silence(_) => {}
        }
    }
    told
}

fn role(is_db: bool) -> &'static str {
    if is_db { "db" } else { "web" }
}

fn edited(edit: Option<(usize, bool)>) -> Vec<model::Rule> {
    let severity = |is_critical| if is_critical { model::Severity::Critical } else { model::Severity::Warning };
    edit.map(|(by, critical)| model::Rule { severity: severity(critical), ..hot_by(BY[by]) }).into_iter().collect()
}

fn expected(alerts: &[Alert], told: &Told) -> BTreeMap<GroupKey, AlertGroup> {
    let mut members: BTreeMap<GroupKey, Vec<Arc<GroupMember>>> = BTreeMap::new();
    for alert in alerts {
        let built_in = [pipeline::machine_down()];
        let Some(rule) = told.rules.iter().chain(&built_in).find(|rule| rule.name == alert.rule.name) else { continue };
        let none = BTreeMap::new();
        let tags = told.tags.get(alert.machine.as_str()).unwrap_or(&none);
        let by: &[GroupBy] = &rule.group_by;
        let key = GroupKey::of(by, (&rule.name, &alert.machine, &alert.series), tags);
        let member = GroupMember {
            rule: rule.name.as_str().into(),
            machine: alert.machine.clone(),
            series: Arc::clone(&alert.series),
            severity: rule.severity,
            since: alert.since,
            standing: alert.standing.clone().unwrap(),
        };
        members.entry(key).or_default().push(Arc::new(member));
    }
    members.values_mut().for_each(|members| members.sort_unstable());
    members.into_iter().map(|(key, members)| (key, AlertGroup::of(&members).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn groups_equal_the_oracles_and_each_change_leaves_once(
        turns in prop::collection::vec(turn(), 1..20),
        pause in 30_u32..120,
        workers in 1_usize..4,
        seals in any::<u32>(),
    ) {
        let mut records = vec![stamped(t(0.5), rules(1, vec![hot_by(BY[0])]))];
        for (n, turn) in turns.iter().enumerate() {
            let now = at(tenth(n, pause));
            records.push(match turn {
                Turn::Value(n, is_hot) => frame(NAMES[*n], now, if *is_hot { 50.0 } else { 1.0 }),
                Turn::Tag(n, is_db) => tagged(NAMES[*n], now, role(*is_db)),
                Turn::Rule(edit) => stamped(t(now), rules(n as u64 + 2, edited(*edit))),
                Turn::Silence(of) => {
                    let matchers = of.map_or(r#"{"rules":["*"]}"#.to_owned(), |n| format!(r#"{{"machines":["{}"]}}"#, NAMES[n]));
                    silences(now, &[silence("s", &matchers, 0.0, 9_999.0)])
                }
            });
        }
        let end = tick(tenth(turns.len(), pause) + 5);
        let outputs = run(&live(workers), &records, |n| seals >> (n % 32) & 1 == 1, end);
        // Before each turn, when what the one before it did is over.
        for n in 1..=turns.len() {
            // Groups are made anew at whole seconds.
            let until = tick(tenth(n, pause)) / 1_000_000 * 1_000_000;
            let upto: Vec<_> = outputs.iter().filter(|(when, output)| match output {
                Output::Transition(_) => *when < until,
                _ => *when <= until,
            }).cloned().collect();
            prop_assert_eq!(shown(&upto), expected(&kept(&[], &upto), &told_before(&turns[..n])), "before turn {}", n);
        }
        let mut known: BTreeMap<GroupKey, Option<AlertGroup>> = BTreeMap::new();
        let mut ordered: Vec<_> = outputs.iter().collect();
        ordered.sort_by_key(|(t, _)| *t);
        for (_, output) in ordered {
            if let Output::Group(change) = output {
                let now = change.group.as_deref().cloned();
                let before = known.insert(change.key.clone(), now.clone()).unwrap_or_default();
                prop_assert_ne!(before, now, "A-5: said twice");
            }
        }
    }
}
