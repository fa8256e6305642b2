//! What can go wrong in a store, by what the driver does next: try again soon, or try again and call a person.

use runtime::BoxError;

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Busy, disconnected or full: it may work again by itself, so it is tried again with back-off.
    #[error("{action} in {sink}")]
    Unavailable {
        sink: &'static str,
        action: &'static str,
        #[source]
        source: BoxError,
    },
    /// Damaged, read-only or of a newer program: it is tried again as well, but a person must act first.
    #[error("{action} in {sink}: {advice}")]
    Broken {
        sink: &'static str,
        action: &'static str,
        advice: String,
        #[source]
        source: BoxError,
    },
}

impl SinkError {
    /// Whether it may heal without a person.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Broken { .. } => false,
        }
    }
}

/// An error with all its causes, for a log line or `/ready`.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some print their cause themselves.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
