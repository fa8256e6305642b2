//! The hub under its own generator, `sysmonstm synth run`, both of the release build on the same cores: columnar live and encoded beforehand, and
//! one sample a message.
//!
//! What the generator could do is told by what it did a core: `synth run` says itself when it was the limit.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use benches::hub_process::HubProcess;
use benches::process::Process;
use benches::report::Figure;
use serde::Deserialize;

use crate::{Arguments, Result};

/// Name, arguments, and millions a second that are wanted through the hub and of a core of the generator.
const RUNS: &[(&str, &[&str], f64, f64)] = &[
    ("columnar, live", &["--machines", "1000", "--interval", "20ms"], 2.0, 2.0),
    (
        "columnar, pre-encoded",
        &["--machines", "200", "--series", "300", "--interval", "3ms", "--pre-encoded"],
        10.0,
        15.0,
    ),
    ("one sample a message", &["--machines", "100", "--interval", "1ms", "--one-sample"], 3.0, 4.0),
];

#[derive(Deserialize)]
struct Report {
    samples_per_s: f64,
    took_s: f64,
    generator_cores: Option<f64>,
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(mut args: Arguments) -> Result<()> {
    let seconds = args.next().unwrap_or_else(|| "10".into());
    let program = match args.next() {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe()?.with_file_name("sysmonstm"),
    };
    for (name, arguments, through, made) in RUNS {
        let hub = HubProcess::start(&program).await?;
        let cpu = hub.process.run_seconds();
        let report = one(&program, &hub, &seconds, arguments)?;
        let hub_cores = (hub.process.run_seconds() - cpu) / report.took_s;
        let millions = report.samples_per_s / 1e6;
        Figure::new(format!("generator: {name}, acknowledged"), millions, "M samples/s").at_least(*through).print();
        let own = report.generator_cores.unwrap_or(f64::NAN);
        Figure::new(format!("generator: {name}, a core of its own"), millions / own, "M samples/s")
            .at_least(*made)
            .print();
        Figure::new(format!("generator: {name}, a core of the hub"), millions / hub_cores, "M samples/s").print();
        Figure::new(format!("generator: {name}, resident, peak"), Process::peak_rss_mb(&hub.process), "MB").print();
    }
    Ok(())
}

fn one(program: &Path, hub: &HubProcess, seconds: &str, arguments: &[&str]) -> Result<Report> {
    let file = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(program);
    command.args(["synth", "run", "--hub", &format!("http://{}", hub.http), "--grpc", &hub.grpc.to_string()]);
    command.args(["--duration", &format!("{seconds}s"), "--json"]).arg(file.path()).args(arguments);
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("synth run: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&std::fs::read(file.path())?)?)
}
