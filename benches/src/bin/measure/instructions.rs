//! Instructions a sample of the hot path, counted by callgrind: they are the same on a noisy machine, so a regression shows where times do not.
//!
//! Each goal is what it was when it was written down here, and a little more: a change that needs more raises it with its reason.

use std::process::{Command, Stdio};

use benches::fleet;
use benches::report::Figure;

use crate::parts::{self, FRAMES, ROUNDS, SAMPLES};
use crate::{Arguments, Result};

/// What is counted, the part of `measure parts` that it is in, the function whose instructions count, with all that it calls, samples of a run,
/// and instructions a sample at most.
const COUNTS: &[(&str, &str, &str, u64, f64)] = &[
    (
        "columnar frames of 60, read",
        "decode",
        "*parts*read_columnar*",
        FRAMES * fleet::WIDTH as u64 * ROUNDS as u64,
        54.0,
    ),
    ("one sample a message, read", "decode", "*parts*read_single*", SAMPLES * ROUNDS as u64, 640.0),
    ("the graph on one worker", "graph", "*step_or_park*", graph_samples(), 400.0),
];

/// Each machine has a frame each 5 s.
const fn graph_samples() -> u64 {
    parts::MACHINES as u64 * parts::MINUTES as u64 * 12 * fleet::WIDTH as u64
}

pub(crate) fn run(_args: Arguments) -> Result<()> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Err(
            "instructions are counted by valgrind, which is not installed (Debian: apt-get install valgrind)".into()
        );
    }
    for (what, part, function, samples, most) in COUNTS {
        let collected = count(part, function)?;
        let each = collected as f64 / *samples as f64;
        Figure::new(format!("instructions: {what}"), each, "a sample").at_most(*most).print();
    }
    Ok(())
}

fn count(part: &str, function: &str) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    command.arg(format!("--toggle-collect={function}")).arg(std::env::current_exe()?).args(["parts", part]);
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted = said.lines().rev().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match counted.filter(|count| output.status.success() && 0 < *count) {
        Some(count) => Ok(count),
        None => Err(format!("valgrind counted nothing of {function}: {}\n{said}", output.status).into()),
    }
}
