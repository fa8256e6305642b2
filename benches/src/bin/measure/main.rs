//! `measure WHAT [ARGUMENTS]`: one measurement each, as one JSON line a figure; `measure all FILE` runs the short form of every one.
//!
//! One program for all, since each links the whole hub. What counts its own memory is in `weigh`, whose allocator costs a little.

mod all;
mod collector;
mod fanout;
mod fleet;
mod generator;
mod graph;
mod hub;
mod instructions;
mod journal;
mod latency;
mod live;
mod parts;
mod postgres;
mod redis;
mod replay;
mod restart;
mod rows;
mod sqlite;
mod stored;
mod together;

use std::error::Error;
use std::iter::Skip;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Arguments = Skip<std::env::Args>;

type Run = fn(Arguments) -> Result<()>;

/// Name, arguments, and what runs it.
const PROGRAMS: &[(&str, &str, Run)] = &[
    ("all", "[FILE [POSTGRES_URL [REDIS_URL [PYTHON]]]]", all::run),
    ("collector", "[SECONDS] [COLLECTOR] [PROGRAM]", collector::run),
    ("fanout", "[SECONDS] [CLIENTS] [PYTHON] [PROGRAM]", fanout::run),
    ("fleet", "[MACHINES] [MINUTES] [WORKERS] [on|off]", fleet::run),
    ("generator", "[SECONDS] [PROGRAM]", generator::run),
    ("graph", "[MACHINES] [MINUTES] [RUNS]", graph::run),
    ("hub", "idle|ack|load|fleet [SECONDS] [PROGRAM]", hub::run),
    ("instructions", "", instructions::run),
    ("journal", "[BATCHES] [ROUNDS]", journal::run),
    ("latency", "[SECONDS] [ROUNDS] [WORKERS]", latency::run),
    ("live", "[SECONDS] [PROGRAM]", live::run),
    ("parts", "[all|decode|graph]", parts::run),
    ("postgres", "URL", postgres::run),
    ("redis", "URL [ROUNDS] [MACHINES]", redis::run),
    ("replay", "FILE [WORKERS] [RUNS] [--unwatched|--events]", replay::run),
    ("restart", "[MACHINES] [MINUTES] [ROUNDS]", restart::run),
    ("sqlite", "", sqlite::run),
    ("stored", "POSTGRES_URL [MILLIONS] [PROGRAM] [OFFERED]", stored::run),
    ("together", "[MACHINES] [MINUTES] [ROUNDS] [code|CASE]", together::run),
];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let Some((_, _, run)) = PROGRAMS.iter().find(|(known, ..)| *known == name) else {
        let usage: Vec<String> = PROGRAMS.iter().map(|(name, usage, _)| format!("  measure {name} {usage}")).collect();
        return Err(format!("{name:?} is not measured here; there are\n{}", usage.join("\n")).into());
    };
    run(args)
}
