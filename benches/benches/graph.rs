//! The graph against a plain loop over arrays, in one run: samples per second and the ratio. `cargo bench -p benches`.
//!
//! A plain program, not criterion: a run takes a second and has its own threads; what counts is the ratio of medians in the same run.

#![allow(clippy::print_stdout, reason = "a program's output")]

use benches::{baseline, replay, workload};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test --benches` calls it with this flag: then a small run shows that it works.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (machines, minutes) = if is_test { (10, 2) } else { (500, 30) };
    let workload = workload::generate(machines, minutes, 7)?;
    println!("workload: {machines} machines x 60 series x {minutes} min = {} samples", workload.samples);
    let mut plain: Vec<f64> = (0..RUNS).map(|_| baseline::run(&workload).0).collect();
    let plain = median(&mut plain);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let samples = workload.samples as f64;
    println!("{:<24} {:>8.1} M samples/s", "plain loop, 1 core", samples / plain / 1e6);
    for workers in [1, 2] {
        let report = replay::measure(&workload, workers, RUNS, 0.0)?;
        let (wall, cpu) = (median(&mut report.walls.clone()), median(&mut report.cpu_s.clone()));
        let name = format!("graph, {workers} worker(s)");
        println!(
            "{name:<24} {:>8.1} M samples/s   {:.2} of the plain loop   {cpu:.2} CPU-s",
            samples / wall / 1e6,
            plain / wall
        );
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
