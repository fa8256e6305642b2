//! `sysmonstm-collector`: the agent alone, small enough for any machine.

use std::process::ExitCode;

use clap::Parser;
use collector::program::{self, Flags};

// glibc's arenas grow for days under an async runtime.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "sysmonstm-collector", version, about = "Sends this machine's metrics to a sysmonstm hub")]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    program::main(&Arguments::parse().flags)
}
