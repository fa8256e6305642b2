//! What can be wrong with a message, by what its reader does next.

use model::InvalidName;

/// A message that cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A name breaks the naming rules; the message says which one and how to mend it.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A hello without an identity: resends could not be recognized.
    #[error("session is 0; draw a random number once and keep it on disk")]
    NoSession,
    #[error("{given} tags are too many; a machine has at most {max}")]
    TooManyTags { given: usize, max: usize },
    /// The frame and its layout do not fit each other: that frame is refused, the stream goes on.
    #[error("the frame does not fit its layout: {0}")]
    Misfit(&'static str),
    /// A rule that cannot be used: every problem, each a sentence that says what to do.
    #[error("{}", .0.join("; "))]
    Rule(Vec<String>),
}
