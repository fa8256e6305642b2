//! The rule file: what is read, what is refused and in which words, and that edits take effect while the hub runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::{Expect, expect};
use hub::audit::Audit;
use hub::rules::{BUILT_IN, Location, OwnRules, Watcher, parse, to_toml};
use model::command::RuleStore;
use model::{Catalogue, RuleSet};
use runtime::clock::ManualClock;
use runtime::drain::Drain;
use runtime::metrics::Registry;
use testkit::eventually;
use testkit::servers::private_dir;

fn problems(text: &str, expected: &Expect) {
    let notes = parse(text).expect_err("the file has problems");
    let lines: Vec<String> = notes.iter().map(|note| format!("{note}\n")).collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn a_rule_with_everything_is_written_as_it_was_read() {
    let text = r#"[[rule]]
name = "db-slow"
metric = "system.cpu.utilization"
input = "minute_max"
operator = "gte"
threshold = 0.9
clear = 0.8
for = "10m"
severity = "critical"
enabled = false
machines = ["db-*", "x"]
tags = { role = "db*" }
labels = { cpu = "0" }
group_by = ["rule", "tag:site", "label:cpu"]
summary = "a busy database"
"#;
    let parsed = parse(text).unwrap();
    assert_eq!(parsed.warnings, []);
    assert_eq!(to_toml(&parsed.rules), text);
}

#[test]
fn an_older_metric_name_brings_its_unit_along() {
    let parsed = parse(
        "[[rule]]\nname='a'\nmetric='CPU_PERCENT'\noperator='>'\nthreshold=80\nclear=75.0\nseverity='info'\nfor=60\n\
         [[rule]]\nname='b'\nmetric='CPU_PERCENT'\ninput='minute_count'\noperator='<'\nthreshold=3\nseverity='info'\n",
    );
    let rules = parsed.unwrap().rules;
    assert_eq!(rules[0].metric, "system.cpu.utilization");
    assert_eq!((rules[0].threshold, rules[0].clear, rules[0].for_s), (0.8, Some(0.75), 60));
    assert!((rules[1].threshold - 3.0).abs() < f64::EPSILON, "a count has no unit");
}

#[test]
fn every_problem_is_reported_with_its_line() {
    problems(
        r#"rules = 1
[[rule]]
name = "Bad Name"
metric = "system.cpu.utilization"
operator = "above"
threshold = "high"
treshold = 1
severity = "warning"

[[rule]]
name = "twice"
metric = "system.cpu.utilization"
operator = "lt"
threshold = 0.5
clear = 0.4
for = "1s500ms"
severity = "warning"
machines = "db"
tags = { role = 3 }

[[rule]]
name = "nothing-else"
"#,
        &expect![[r#"
            line 1: unknown key "rules"; a file has only [[rule]]; did you mean "rule"?
            line 5: `operator` must be one of gt, gte, lt, lte, eq, ne, >, >=, <, <=, ==, !=
            line 6: `threshold` must be a number
            line 7: unknown key "treshold"; did you mean "threshold"?
            line 10: rule twice: `clear` must lie on the calm side of the threshold: below it for gt and gte, above it for lt and lte, absent for eq and ne
            line 16: `for` must be whole seconds, like "10m" or 600
            line 18: `machines` must be a list of texts, like ["db-*", "web-1"]
            line 19: `tags` must be names with texts, like { role = "db*" }
            line 21: this rule has no `metric`
            line 21: this rule has no `operator`
            line 21: this rule has no `threshold`
            line 21: this rule has no `severity`
        "#]],
    );
}

#[test]
fn broken_toml_and_repeated_names_are_problems() {
    problems(
        "[[rule]\nname = \n",
        &expect![[r#"
        line 1: this is not TOML: unclosed array table, expected `]`
        line 2: unknown key "name"; a file has only [[rule]]
    "#]],
    );
    let rule = "[[rule]]\nname='a'\nmetric='m'\noperator='gt'\nthreshold=1\nseverity='info'\n";
    problems(
        &rule.repeat(2),
        &expect![[r#"
        rule a: the name is used twice
    "#]],
    );
}

#[test]
fn a_metric_that_is_not_listed_is_a_warning_with_the_nearest_name() {
    let parsed =
        parse("[[rule]]\nname='a'\nmetric='system.cpu.utilisation'\noperator='gt'\nthreshold=1\nseverity='info'\n");
    let warnings = parsed.unwrap().warnings;
    expect![[r#"line 3: rule a: "system.cpu.utilisation" is not in the catalogue of metrics; did you mean "system.cpu.utilization"?"#]].assert_eq(&warnings[0].to_string());
}

#[test]
fn an_empty_file_means_no_rules() {
    assert_eq!(parse("").unwrap().rules, []);
}

#[test]
fn the_built_in_rules_watch_listed_metrics() {
    let parsed = parse(BUILT_IN).unwrap();
    assert_eq!(parsed.warnings, []);
    for rule in &parsed.rules {
        assert!(Catalogue::standard().find(&rule.metric).is_some() && !rule.summary.is_empty(), "{}", rule.name);
    }
    RuleSet::new(1, parsed.rules).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_valid_edit_is_published_and_an_invalid_one_keeps_the_rules() {
    const WAIT: Duration = Duration::from_secs(60);
    let folder = private_dir().unwrap();
    let location = Location { path: folder.path().join("rules.toml"), is_required: false };
    let path = location.path.clone();
    let registry = Registry::new();
    let own = OwnRules::open(folder.path().join("rules.json")).unwrap();
    let clock = ManualClock::at(7).shared();
    let audit = Arc::new(Audit::open(&folder.path().join("audit.jsonl"), ManualClock::at(7).shared()).unwrap());
    let watcher = Watcher::start(location, own, (clock, audit), &registry).unwrap();
    let rules = watcher.rules();
    let first = rules.rules();
    assert!(first.rules.len() > 5 && first.version >= 7, "the built-in rules");
    let published: Arc<Mutex<Vec<Arc<RuleSet>>>> = Arc::default();
    let (sink, drain) = (Arc::clone(&published), Drain::new());
    let token = drain.token();
    let publish = move |set| {
        sink.lock().unwrap().push(set);
        std::future::ready(Ok(()))
    };
    let task = tokio::spawn(watcher.run(publish, token));

    let rule = "[[rule]]\nname='a'\nmetric='m'\noperator='gt'\nthreshold=1\nseverity='info'\n";
    std::fs::write(&path, rule).unwrap();
    eventually(WAIT, async || rules.rules(), |set| set.rules.len() == 1).await.unwrap();
    assert!(rules.rules().version > first.version);

    std::fs::write(&path, "[[rule]]\nname='b'\n").unwrap();
    let is_refused = |text: &String| text.contains("config_last_reload_successful{file=\"rules\"} 0\n");
    eventually(WAIT, async || registry.render(), is_refused).await.unwrap();
    assert_eq!(rules.rules().rules[0].name, "a");

    std::fs::remove_file(&path).unwrap();
    eventually(WAIT, async || rules.rules(), |set| set.rules.len() > 5).await.unwrap();
    drain.begin();
    task.await.unwrap().unwrap();
    let versions: Vec<u64> = published.lock().unwrap().iter().map(|set| set.version).collect();
    assert!(versions.len() == 2 && versions.is_sorted(), "{versions:?}");
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let location = Location { path: "/nowhere/rules.toml".into(), is_required: true };
    let error = location.load().unwrap_err().to_string();
    assert!(error.contains("cannot read rule file /nowhere/rules.toml"), "{error}");
}
