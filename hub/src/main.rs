//! sysmonstm: the program. Chooses the allocator and hands over to the command line.

use std::process::ExitCode;

// glibc's arenas grow for days under tokio's many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hub::cli::run(std::env::args_os(), hub::config::environment())
}
