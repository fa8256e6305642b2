//! The program from outside: exit codes, `--once`, and a drain that leaves everything in the spool.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use testkit::eventually_blocking;

const LONG: Duration = Duration::from_secs(20);

fn program(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sysmonstm-collector"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command
}

fn output(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    program(arguments, variables).output().expect("the program starts")
}

#[test]
fn the_exit_code_tells_settings_from_usage() {
    let bad = output(&["--check-config"], &[("COLLECTOR_TAGS", "x"), ("COLLECTOR_ALLOW", "shell")]);
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert_eq!(bad.status.code(), Some(78), "{said}");
    assert!(said.contains("2 problems") && said.contains("COLLECTOR_TAGS") && said.contains("COLLECTOR_ALLOW"));
    assert_eq!(output(&["--no-such-flag"], &[]).status.code(), Some(2));
    assert_eq!(output(&["--check-config"], &[]).status.code(), Some(0));
    assert_eq!(output(&["--collection-interval", "1ms"], &[]).status.code(), Some(78));
}

#[test]
fn once_prints_what_the_sources_read() {
    let printed = output(&["--once"], &[]);
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.status.success());
    assert!(text.lines().any(|line| line.starts_with("system.cpu.utilization ") && !line.ends_with('-')), "{text}");
}

#[test]
#[cfg(unix)]
fn a_drain_leaves_what_the_hub_did_not_get_in_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let variables = [
        ("COLLECTOR_AGGREGATOR_URL", "127.0.0.1:1"),
        ("COLLECTOR_COLLECTION_INTERVAL", "1s"),
        ("COLLECTOR_SPOOL_DIR", spool.to_str().unwrap()),
        ("LOG_LEVEL", "debug"),
    ];
    let mut collector = program(&[], &variables).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(collector.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("frame_sampled")));
    // What it says later must not fill the pipe.
    let reading = std::thread::spawn(move || lines.count());
    let second = output(&[], &variables);
    assert_eq!(second.status.code(), Some(1), "the folder is taken");
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another process"));
    terminate(&collector);
    let ended = eventually_blocking(LONG, || collector.try_wait().unwrap(), Option::is_some).unwrap();
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    assert!(has_records(&spool) && reading.join().unwrap() > 0);
}

#[cfg(unix)]
fn terminate(collector: &Child) {
    let killed = Command::new("kill").args(["-TERM", &collector.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
}

fn has_records(spool: &Path) -> bool {
    let entries = std::fs::read_dir(spool).expect("the spool is a folder");
    entries.filter_map(Result::ok).any(|entry| entry.path().extension().is_some_and(|kind| kind == "journal"))
}
