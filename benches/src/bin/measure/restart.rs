//! `restart [MACHINES] [MINUTES] [ROUNDS]`: what a restart costs, stage by stage; README.md has method and results.

use std::path::Path;

use benches::report::Figure;
use benches::restart::{self, Cost, RestartError};
use journal::{Journal, Options};

use crate::{Arguments, Result};

type Stage<'a> = (&'static str, Box<dyn Fn() -> std::result::Result<(), RestartError> + 'a>);

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<u32>());
    let (machines, minutes, rounds) = (number(1_000)?, number(60)?, number(3)?);
    let dir = std::env::temp_dir().join(format!("restart-{}", std::process::id()));
    let made = restart::make(&dir, machines, minutes)?;
    let millions = made.samples as f64 / 1e6;
    Figure::new(format!("restart: {machines} machines, {minutes} min"), millions, "M samples").print();
    Figure::new("restart: journal", made.bytes as f64 / made.samples as f64, "B/sample").print();
    let (journal, _) = Journal::open(Options::new(&dir))?;
    let records = restart::load(&journal)?;
    for (name, stage) in stages(&dir, &journal, &records) {
        let mut best: Option<Cost> = None;
        for _ in 0..rounds.max(1) {
            let cost = restart::cost(&stage)?;
            best = best.filter(|best| best.wall_s <= cost.wall_s).or(Some(cost));
        }
        let Some(Cost { wall_s, cpu_s }) = best else { continue };
        Figure::new(format!("restart: {name}"), wall_s, "s").print();
        Figure::new(format!("restart: {name}, CPU"), cpu_s, "s").print();
    }
    drop(journal);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn stages<'a>(dir: &'a Path, journal: &'a Journal, records: &'a [model::Stamped]) -> Vec<Stage<'a>> {
    let mut stages: Vec<Stage<'a>> = vec![
        ("segment files, read (baseline)", Box::new(|| restart::files(dir))),
        ("records, framing and checksums", Box::new(|| restart::records(journal))),
        ("records decoded", Box::new(|| restart::decoded(journal))),
        ("replay without a graph", Box::new(|| restart::replay_to_nobody(journal))),
    ];
    for (workers, alone, together) in [
        (1, "graph alone, 1 worker", "replay into the graph, 1 worker"),
        (2, "graph alone, 2 workers", "replay into the graph, 2 workers"),
    ] {
        stages.push((alone, Box::new(move || restart::graph_alone(records, workers))));
        stages.push((together, Box::new(move || restart::replay_to_graph(journal, workers))));
    }
    stages
}
