//! Remote configuration: the interval that the hub sets. A version outside sane bounds is rejected and the last good one kept.

use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;
use model::MachineId;
use proto::pb::config_service_client::ConfigServiceClient;
use proto::pb::{CollectorConfig, ConfigReport, WatchConfigRequest};
use runtime::backoff::Backoff;
use runtime::drain::DrainToken;
use tokio::sync::watch;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tracing::{debug, info, warn};

/// Faster would make the collector the load it measures; slower would look like silence.
pub(crate) const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
/// Between two tries when the hub lacks the service or refuses it.
const SLOW: Duration = Duration::from_secs(300);
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Remote {
    pub(crate) machine: MachineId,
    pub(crate) channel: Channel,
    /// The collector's own, for when the hub has none.
    pub(crate) own_interval: Duration,
    pub(crate) interval: watch::Sender<Duration>,
    pub(crate) version: u64,
    pub(crate) rng: Rng,
}

impl Remote {
    /// Runs until draining begins.
    pub(crate) async fn run(mut self, drain: DrainToken) {
        let mut backoff = Backoff::new(self.rng.fork());
        loop {
            let ended = tokio::select! {
                ended = self.watch(&mut backoff) => ended,
                () = drain.draining() => return,
            };
            if let Err(status) = &ended {
                debug!(code = ?status.code(), reason = status.message(), "configuration stream ended");
            }
            let is_slow = ended.is_err_and(|status| retry_slowly(status.code()));
            if pause(&mut backoff, is_slow, &drain).await {
                return;
            }
        }
    }

    async fn watch(&mut self, backoff: &mut Backoff) -> Result<(), Status> {
        let mut client = ConfigServiceClient::new(self.channel.clone());
        let request = WatchConfigRequest { machine_id: self.machine.as_str().to_owned(), version: self.version };
        let mut configs = client.watch_config(request).await?.into_inner();
        while let Some(config) = configs.message().await? {
            backoff.reset();
            let report = self.apply(&config);
            let reported = tokio::time::timeout(REPORT_TIMEOUT, client.report_config(report)).await;
            if !matches!(reported, Ok(Ok(_))) {
                debug!(version = config.version, "configuration report not taken");
            }
        }
        Ok(())
    }

    fn apply(&mut self, config: &CollectorConfig) -> ConfigReport {
        let decided = decide(config.interval_ms, self.own_interval);
        match &decided {
            Ok(interval) => {
                self.version = config.version;
                let is_news =
                    self.interval.send_if_modified(|current| std::mem::replace(current, *interval) != *interval);
                if is_news {
                    info!(version = config.version, interval_ms = config.interval_ms, "configuration applied");
                }
            }
            Err(reason) => warn!(version = config.version, reason, "configuration rejected"),
        }
        ConfigReport {
            machine_id: self.machine.as_str().to_owned(),
            version: config.version,
            accepted: decided.is_ok(),
            detail: decided.err().unwrap_or_default(),
        }
    }
}

fn decide(interval_ms: u32, own: Duration) -> Result<Duration, String> {
    let interval = match interval_ms {
        0 => return Ok(own),
        ms => Duration::from_millis(u64::from(ms)),
    };
    if INTERVALS.contains(&interval) {
        return Ok(interval);
    }
    Err(format!("an interval of {interval_ms} ms is not from 1 s to 1 h"))
}

/// Whether trying again soon is of no use.
pub(crate) fn retry_slowly(code: Code) -> bool {
    matches!(code, Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument)
}

/// Waits before the next try; `true` when draining began meanwhile.
pub(crate) async fn pause(backoff: &mut Backoff, is_slow: bool, drain: &DrainToken) -> bool {
    let wait = backoff.next_delay();
    tokio::select! {
        () = tokio::time::sleep(if is_slow { SLOW } else { wait }) => false,
        () = drain.draining() => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_outside_the_bounds_is_rejected_and_zero_is_our_own() {
        let own = Duration::from_secs(7);
        assert_eq!(decide(0, own), Ok(own));
        assert_eq!(decide(1_000, own), Ok(Duration::from_secs(1)));
        assert_eq!(decide(3_600_000, own), Ok(Duration::from_secs(3_600)));
        for ms in [1, 999, 3_600_001, u32::MAX] {
            assert!(decide(ms, own).is_err(), "{ms}");
        }
    }
}
