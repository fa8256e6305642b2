//! `sysmonstm-edge`: the public relay alone, small enough for any machine.

use std::process::ExitCode;

use clap::Parser;
use edge::program::{self, Flags};

#[derive(Debug, Parser)]
#[command(name = "sysmonstm-edge", version, about = "Shows the machines that a sysmonstm hub publishes to anybody")]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    program::main(&Arguments::parse().flags)
}
