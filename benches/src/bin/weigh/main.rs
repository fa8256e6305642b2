//! `weigh memory|growth [ARGUMENTS]`: what the hub's parts occupy, as an allocator counts that adds up what is asked for.
//!
//! One JSON line a figure, as with `measure`.

mod growth;
mod memory;

use std::error::Error;
use std::iter::Skip;

use cap::Cap;
use mimalloc::MiMalloc;

/// Counts what is asked for, not what the allocator's size classes make of it.
#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Arguments = Skip<std::env::Args>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("memory") => memory::run(args),
        Some("growth") => growth::run(args),
        _ => Err("usage: weigh memory [MACHINES], or weigh growth [SERIES_MAX] [ROUNDS]".into()),
    }
}
