//! Fail-stop: a panic anywhere ends the process.
//!
//! Timely does not stop the siblings of a panicked worker, and tokio turns a panic into a value nobody may look at; half a
//! hub would go on acknowledging. So the hook logs the panic as the last line and aborts; the supervisor restarts, and
//! the journal has what was acknowledged (J-1).

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

/// Threads whose panic somebody else can explain, and how long he is given.
static EXPLAINED: OnceLock<(&str, Duration)> = OnceLock::new();

/// Installs the hook. Call it once, after the logs are up.
pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let explained =
            EXPLAINED.get().filter(|(prefix, _)| thread.name().is_some_and(|name| name.starts_with(prefix)));
        if let Some((_, within)) = explained {
            wait(*within);
        }
        abort_after(|| log_panic(info));
    }));
}

#[expect(clippy::disallowed_methods, reason = "who is waited for ends the process; parking would end with any wake-up")]
fn wait(within: Duration) {
    std::thread::sleep(within);
}

/// A panic of a thread with such a name is the consequence of something that another part of the process finds as well, and can say in
/// better words: it gets so much time to end the process itself. The first call counts.
pub fn let_explain(prefix: &'static str, within: Duration) {
    // A second cluster in one process is for tests, which install no hook.
    EXPLAINED.set((prefix, within)).ok();
}

/// Logs why and aborts. The logs' standard output stays locked from before the line to the end, so that no other thread's line comes behind it.
pub fn abort_after(log: impl FnOnce()) -> ! {
    let _held = std::io::stdout().lock();
    log();
    std::process::abort()
}

/// As [`abort_after`], with exit code 1 and no core: nothing is wrong with this process, but it must not go on.
pub fn exit_after(log: impl FnOnce()) -> ! {
    let _held = std::io::stdout().lock();
    log();
    std::process::exit(1)
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
