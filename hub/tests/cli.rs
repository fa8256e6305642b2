//! The command line as a script meets it: the built program, its exit codes and what it says.

use std::path::Path;
use std::process::{Command, Output};

use testkit::servers::private_dir;

/// Runs the program in an empty environment, so that the developer's own settings do not matter.
fn run(args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_sysmonstm"))
        .args(args)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
    let code = output.status.code().expect("the program exits by itself");
    (code, text(output.stdout), text(output.stderr))
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the private folder takes a file");
    path.to_str().expect("the private folder's name is UTF-8").to_owned()
}

const RULE: &str = "# ours\n[[rule]]\nname = \"busy\"\nmetric = \"CPU_PERCENT\"\noperator = \">\"\nthreshold = 80\nseverity = \"warning\"\n";

#[test]
fn each_end_has_its_exit_code() {
    let folder = private_dir().unwrap();
    let broken = file(folder.path(), "broken.toml", "[[rule]]\nname = 3\n");
    let cases: [(&[&str], i32); 13] = [
        (&["--version"], 0),
        (&["help"], 0),
        (&["config", "check"], 0),
        (&["--no-such-flag"], 2),
        (&["no-such-command"], 2),
        (&["bench", "replay"], 2),
        (&["edge"], 78),
        (&["synth"], 2),
        (&["synth", "run", "--late", "2"], 2),
        (&["db", "migrate"], 1),
        (&["config", "check", "--log-format", "yaml"], 78),
        (&["rules", "validate", &broken], 78),
        (&["health", "--url", "http://127.0.0.1:1"], 1),
    ];
    for (args, code) in cases {
        let (exit, out, err) = run(args, &[]);
        assert_eq!(exit, code, "{args:?}: {out}{err}");
        assert!(code == 0 || (out.is_empty() && !err.is_empty()), "{args:?}: {out}");
    }
}

#[test]
fn logs_as_text_have_colours_on_a_terminal_only() {
    let folder = private_dir().unwrap();
    let taken = file(folder.path(), "data", "");
    let ports = ["--http-address", "127.0.0.1:0", "--grpc-address", "127.0.0.1:0"];
    let (code, out, _) = run(&[&["hub", "--log-format", "text", "--data-dir", &taken][..], &ports].concat(), &[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("ERROR") && !out.contains('\u{1b}'), "{out:?}");
}

#[test]
fn config_print_shows_values_with_their_sources_and_hides_secrets() {
    let folder = private_dir().unwrap();
    let settings = file(folder.path(), "hub.toml", "[journal]\nquota = \"2GiB\"\n");
    let secret = file(folder.path(), "redis", "redis://me:s3cret@cache\n");
    let variables = [("REDIS_URL_FILE", secret.as_str()), ("COLLECTOR_TAGS", "role=db,site=eu")];
    let (code, out, err) = run(&["config", "print", "--config", &settings, "--data-dir", "/d"], &variables);
    assert_eq!(code, 0, "{err}");
    for line in [
        "data_dir = \"/d\"  # flag --data-dir",
        "collector.tags = [\"role=db\", \"site=eu\"]  # environment COLLECTOR_TAGS",
        "http.address = \"127.0.0.1:8000\"  # default",
        "redis.url = \"redis://me:***@cache\"  # environment REDIS_URL_FILE",
    ] {
        assert!(out.lines().any(|shown| shown == line), "{line}\n{out}");
    }
    assert!(out.contains("journal.quota = \"2GiB\"  # file "), "{out}");
    assert!(!out.contains("s3cret"), "{out}");
}

#[test]
fn every_problem_of_the_settings_is_said_at_once() {
    let folder = private_dir().unwrap();
    let settings = file(folder.path(), "hub.toml", "[journal]\nqota = \"2GiB\"\n[web]\nclients_max = 0\n");
    let variables = [("HUB_PIPELINE_WORKERS", "many"), ("COLLECTOR_INTERVAL", "5s")];
    let (code, _, err) = run(&["config", "check", "--config", &settings, "--http-address", "0.0.0.0:80"], &variables);
    assert_eq!(code, 78, "{err}");
    for problem in [
        "5 problems with the settings",
        "unknown key \"journal.qota\"; did you mean \"journal.quota\"?",
        "web.clients_max is 0, not a whole number from 1 to 100000",
        "environment HUB_PIPELINE_WORKERS: pipeline.workers is \"many\", not a whole number",
        "environment COLLECTOR_INTERVAL: unknown variable",
        "http.address is 0.0.0.0:80, which other machines can reach",
    ] {
        assert!(err.contains(problem), "{problem}\n{err}");
    }
}

#[test]
fn rules_are_validated_imported_and_exported() {
    let folder = private_dir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let rules = file(folder.path(), "mine.toml", RULE);
    let (code, built_in, _) = run(&["rules", "export", "--data-dir", data], &[]);
    assert_eq!(code, 0);
    assert!(built_in.contains("name = \"disk-full\""), "{built_in}");
    let (code, out, err) = run(&["rules", "import", &rules, "--data-dir", data], &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (_, exported, _) = run(&["rules", "export", "--data-dir", data], &[]);
    assert!(exported.contains("metric = \"system.cpu.utilization\""), "{exported}");
    assert!(exported.contains("threshold = 0.8"), "{exported}");
    let again = file(folder.path(), "again.toml", &exported);
    assert_eq!(run(&["rules", "validate", &again], &[]).1, "1 rules are fine\n");
}

#[test]
fn an_import_with_problems_changes_nothing() {
    let folder = private_dir().unwrap();
    let rules = file(folder.path(), "mine.toml", "[[rule]]\nname = \"x\"\n");
    let data = folder.path().to_str().unwrap();
    let (code, _, err) = run(&["rules", "import", &rules, "--data-dir", data], &[]);
    assert_eq!(code, 78);
    assert!(err.contains("line 1: this rule has no `metric`"), "{err}");
    assert!(!folder.path().join("rules.toml").exists());
}
