//! `replay FILE [WORKERS] [RUNS]`: `sysmonstm bench replay` without the rest of the hub, quick to build while tuning the graph.

use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stdout, reason = "a program's output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("usage: replay FILE [WORKERS] [RUNS]")?;
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (workers, runs) = (number(1)?, number(1)?);
    let report = benches::replay::run(&PathBuf::from(file), workers, runs)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
