//! Fault: breaks a named place on purpose, so that tests can see fail-stop from outside, in the real program.
//!
//! It exists in builds with debug assertions only: in a release build `strike` is nothing and `arm` refuses, so that no variable
//! left behind can break a hub. An environment variable instead of a poison record, because a record would be in the journal, and
//! every restart would meet it again.

use std::sync::OnceLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Panic,
    /// Never goes on.
    Hang,
}

static ARMED: OnceLock<(Kind, String)> = OnceLock::new();

#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("faults on purpose are for builds with debug assertions, and this is a release build: unset the variable")]
    Release,
    #[error("{0:?} is no fault: write panic:PLACE or hang:PLACE")]
    Unknown(String),
}

/// Takes `panic:PLACE` or `hang:PLACE`; the first fault armed stays.
///
/// # Errors
/// In a release build, and when the text is something else.
pub fn arm(text: &str) -> Result<(), FaultError> {
    if !cfg!(debug_assertions) {
        return Err(FaultError::Release);
    }
    let kind = match text.split_once(':') {
        Some(("panic", place)) => (Kind::Panic, place),
        Some(("hang", place)) => (Kind::Hang, place),
        Some(_) | None => return Err(FaultError::Unknown(text.to_owned())),
    };
    ARMED.get_or_init(|| (kind.0, kind.1.to_owned()));
    Ok(())
}

/// Fails here if this place was armed. Nothing in a release build.
#[inline]
pub fn strike(place: &str) {
    if cfg!(debug_assertions) {
        fail(place);
    }
}

fn fail(place: &str) {
    match ARMED.get() {
        Some((Kind::Panic, armed)) if armed == place => panic!("fault on purpose in {place}"),
        Some((Kind::Hang, armed)) if armed == place => loop {
            std::thread::park();
        },
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_kind_and_a_place() {
        for bad in ["", "panic", "explode:window"] {
            assert!(arm(bad).unwrap_err().to_string().contains("panic:PLACE"), "{bad}");
        }
        strike("window");
        arm("panic:here").unwrap();
        strike("there");
        assert!(std::panic::catch_unwind(|| strike("here")).is_err());
    }
}
