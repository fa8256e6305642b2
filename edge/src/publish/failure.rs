//! Failure: why the conversation with the edge is not going on.

use std::time::Duration;

use http::StatusCode;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("the edge cannot be reached: {0}")]
    Unreachable(String),
    #[error("the edge did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("the edge does not know the token (401); set the same EDGE_TOKEN for both")]
    Unauthorized,
    #[error("the edge refuses ({0}); is it sysmonstm-edge, and does the proxy before it pass WebSockets on?")]
    Refused(StatusCode),
    #[error("the edge closed the connection: {0}")]
    Closed(String),
    #[error("the edge answered what is not of the protocol; run the same version of both")]
    Protocol,
    #[error("the message has {0} bytes, more than the edge takes; show fewer machines or metrics")]
    TooLarge(usize),
}

impl Failure {
    pub(super) fn of_status(status: StatusCode) -> Self {
        if status == StatusCode::UNAUTHORIZED { Self::Unauthorized } else { Self::Refused(status) }
    }

    /// The counter's label.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Refused(_) => "refused",
            Self::Closed(_) => "closed",
            Self::Protocol => "protocol",
            Self::TooLarge(_) => "too_large",
        }
    }
}
