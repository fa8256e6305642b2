//! Fail-stop: a panic anywhere ends the process.
//!
//! Timely does not stop the siblings of a panicked worker, and tokio turns a panic into a value nobody may look at; half a
//! hub would go on acknowledging. So the hook logs the panic as the last line and aborts; the supervisor restarts, and
//! the journal has what was acknowledged (J-1).

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

/// Installs the hook. Call it once, after the logs are up.
pub fn install() {
    std::panic::set_hook(Box::new(|info| abort_after(|| log_panic(info))));
}

/// Logs why and aborts. The logs' standard output stays locked from before the line to the end, so that no other thread's line comes behind it.
pub fn abort_after(log: impl FnOnce()) -> ! {
    let _held = std::io::stdout().lock();
    log();
    std::process::abort()
}

/// The text a panic was raised with.
#[must_use]
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    // Captured only when RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        location,
        panic = info.payload_as_str().unwrap_or("a panic without a message"),
        backtrace,
        "process aborts after a panic"
    );
}
