//! Connection: what was last said about it in the logs. A change is logged once, however often it is tried meanwhile.

use model::MachineId;
use runtime::telemetry::error_chain;
use tonic::{Code, Status};
use tracing::{error, info, warn};

use crate::link::End;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Connection {
    #[default]
    New,
    Open,
    Away(Code),
}

impl Connection {
    /// The hub answered.
    pub(crate) fn open(&mut self) {
        if *self != Self::Open {
            info!("connected to the hub");
            *self = Self::Open;
        }
    }

    /// Logs why the stream ended, if that is news; answers whether only a person can mend it.
    pub(crate) fn end(&mut self, end: &End, machine: &MachineId) -> bool {
        let code = code_of(end);
        let is_news = std::mem::replace(self, Self::Away(code)) != Self::Away(code);
        if is_news {
            log(end, machine);
        }
        needs_a_person(code)
    }
}

fn code_of(end: &End) -> Code {
    match end {
        End::Refused(status) => status.code(),
        End::Silent => Code::DeadlineExceeded,
        End::Confused => Code::DataLoss,
        End::Forgotten => Code::AlreadyExists,
        End::Drained | End::Closed => Code::Ok,
    }
}

fn needs_a_person(code: Code) -> bool {
    matches!(
        code,
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented | Code::Aborted
    )
}

fn log(end: &End, machine: &MachineId) {
    match end {
        End::Refused(status) => log_status(status, machine),
        End::Silent => warn!("the hub does not answer; frames are kept and it is tried again"),
        End::Confused => warn!("the hub keeps asking for the layout; starting a new stream"),
        End::Forgotten => warn!("the hub has newer frames of this session than we numbered; going on under a new one"),
        End::Drained | End::Closed => info!("the hub closed the stream; connecting again"),
    }
}

fn log_status(status: &Status, machine: &MachineId) {
    let reason = status.message();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => error!(
            %machine,
            reason, "the hub does not accept this collector; enrol it at the hub, frames are kept meanwhile"
        ),
        Code::InvalidArgument => error!(
            %machine,
            reason, "the hub cannot use this stream; check COLLECTOR_MACHINE_ID, COLLECTOR_TAGS and the versions"
        ),
        Code::Unimplemented => error!(
            reason,
            "what answers is no hub; check COLLECTOR_AGGREGATOR_URL (gRPC, by default port 50051)"
        ),
        Code::Aborted => warn!(
            %machine,
            reason, "the hub ended the stream; does another collector use this machine id?"
        ),
        Code::ResourceExhausted => warn!(reason, "the hub asks to slow down; frames are kept meanwhile"),
        _ => warn!(
            error = cause(status),
            "the hub cannot be reached; frames are kept and it is tried again"
        ),
    }
}

/// The transport's own words, where there are some: `Connection refused` says more than `unavailable`.
fn cause(status: &Status) -> String {
    let inner = std::error::Error::source(status).map(error_chain);
    inner.unwrap_or_else(|| format!("{:?}: {}", status.code(), status.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_person_must_mend_is_tried_slowly() {
        let machine = MachineId::parse("m").unwrap();
        let is_slow = |code| Connection::Open.end(&End::Refused(Status::new(code, "")), &machine);
        assert!(is_slow(Code::Unauthenticated) && is_slow(Code::Aborted) && is_slow(Code::InvalidArgument));
        assert!(!is_slow(Code::Unavailable) && !is_slow(Code::ResourceExhausted) && !is_slow(Code::Internal));
    }

    #[test]
    fn the_state_changes_once_per_cause() {
        let machine = MachineId::parse("m").unwrap();
        let mut connection = Connection::default();
        connection.end(&End::Silent, &machine);
        assert_eq!(connection, Connection::Away(Code::DeadlineExceeded));
        connection.open();
        assert_eq!(connection, Connection::Open);
    }
}
