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
            info!("hub connected");
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
        End::Silent => warn!(hint = "frames are kept and it is tried again", "hub does not answer"),
        End::Confused => warn!(hint = "a new stream starts afresh", "hub keeps asking for layouts"),
        End::Forgotten => warn!(
            hint = "was the spool restored from a backup? all that waits is sent under a new session",
            "hub is ahead of the spool"
        ),
        End::Drained | End::Closed => info!("hub closed the stream"),
    }
}

fn log_status(status: &Status, machine: &MachineId) {
    let reason = status.message();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            let hint = "enrol this collector at the hub; frames are kept meanwhile";
            error!(%machine, reason, hint, "hub does not accept this collector");
        }
        Code::InvalidArgument => {
            let hint = "check COLLECTOR_MACHINE_ID, COLLECTOR_TAGS and that both are of one version";
            error!(%machine, reason, hint, "hub cannot use this stream");
        }
        Code::Unimplemented => {
            let hint = "check COLLECTOR_AGGREGATOR_URL: gRPC, by default port 50051";
            error!(reason, hint, "what answers is no hub");
        }
        Code::Aborted => {
            let hint = "does another collector use this machine id?";
            warn!(%machine, reason, hint, "hub ended the stream");
        }
        Code::ResourceExhausted => warn!(reason, hint = "frames are kept meanwhile", "hub asks to slow down"),
        _ => {
            let hint = "frames are kept and it is tried again";
            warn!(error = cause(status), hint, "hub cannot be reached");
        }
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
