//! The graph on a generated workload against a plain loop over arrays that does the same work without an engine, on as many cores.
//!
//! What two workers gain is told beside what two threads gain the loop in the same run.

use benches::report::{Figure, median};
use benches::{baseline, replay, workload};

use crate::{Arguments, Result};

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let machines = args.next().map_or(Ok(500), |text| text.parse())?;
    let minutes = args.next().map_or(Ok(30), |text| text.parse())?;
    let runs: usize = args.next().map_or(Ok(5), |text| text.parse())?;
    let workload = workload::generate(machines, minutes, 7)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let millions = workload.samples as f64 / 1e6;
    let (mut graphs, mut loops) = (Vec::new(), Vec::new());
    for workers in [1, 2] {
        let plain = millions / median((0..runs).map(|_| baseline::run_on(workers, &workload)).collect());
        let graph = millions / median(replay::measure(&workload, workers, runs, 0.0)?.walls);
        let name = format!("graph: {machines} machines x {minutes} min, {workers} worker(s)");
        Figure::new(name, graph, "M samples/s").against(plain).print();
        graphs.push(graph);
        loops.push(plain);
    }
    let gain = |of: &[f64]| of[1] / of[0];
    Figure::new("graph: gain of the second worker", gain(&graphs), "times").against(gain(&loops)).print();
    Ok(())
}
