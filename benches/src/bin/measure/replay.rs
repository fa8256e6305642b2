//! `replay FILE [WORKERS] [RUNS] [--unwatched|--events]`: `sysmonstm bench replay` without the rest of the hub, quick to build while tuning
//! the graph. The second line is a plain loop over arrays in the same run, on as many threads, the graph's best as a part of its best, and what the threads gain the loop over one. `--unwatched` leaves introspection out, `--events` takes all of timely's events, to measure what that costs.

use std::path::PathBuf;

use model::Catalogue;
use pipeline::{Detail, Settings};

use crate::{Arguments, Result};

#[expect(clippy::print_stdout, reason = "a program's output")]
pub(crate) fn run(args: Arguments) -> Result<()> {
    let (options, args): (Vec<String>, Vec<String>) = args.partition(|arg| arg.starts_with("--"));
    let mut args = args.into_iter();
    let file = args.next().ok_or("usage: measure replay FILE [WORKERS] [RUNS] [--unwatched|--events]")?;
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (workers, runs) = (number(1)?, number(1)?);
    let mut settings = Settings::new(workers, Catalogue::identity());
    settings.introspection = match options.first().map(String::as_str) {
        Some("--unwatched") => Detail::Off,
        Some("--events") => Detail::Events,
        _ => Detail::Operators,
    };
    let workload = benches::workload::load(&PathBuf::from(file))?;
    let report = benches::replay::measure_with(&workload, &settings, runs, 0.0)?;
    println!("{}", serde_json::to_string(&report)?);
    let best =
        |threads| (0..runs.max(1)).map(|_| benches::baseline::run_on(threads, &workload)).fold(f64::INFINITY, f64::min);
    let (one, loops) = (best(1), best(workers));
    let graph = report.walls.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "{}",
        serde_json::json!({ "plain_loop_s": loops, "ratio": loops / graph, "plain_loop_gain": one / loops })
    );
    Ok(())
}
