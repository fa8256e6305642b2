//! Cluster: the processes that run one graph together, where there are several.

use std::path::PathBuf;
use std::time::Duration;

use runtime::config::Settings;

use crate::cluster::Hosts;

/// This process among the others.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    pub hosts: Hosts,
    pub process: usize,
    /// What a start waits for the others.
    pub join_within: Duration,
    /// After which a process that says nothing is lost.
    pub silence: Duration,
}

/// None without a hosts file.
pub(super) fn cluster(settings: &mut Settings) -> Option<ClusterConfig> {
    let join_within = settings.duration("cluster.join_within", Duration::from_secs(1)..=Duration::from_secs(3_600));
    let silence = settings.duration("cluster.silence", Duration::from_secs(1)..=Duration::from_secs(8));
    let (path, process) = (settings.optional_text("cluster.hosts"), settings.optional_text("cluster.process"));
    let path = match (path, &process) {
        (None, None) => return None,
        (Some(path), Some(_)) => PathBuf::from(path),
        (Some(_), None) => {
            settings.reject(
                "cluster.process",
                "is missing: say with --process which line of the hosts file is this process, from 0",
            );
            return None;
        }
        (None, Some(_)) => {
            settings.reject("cluster.hosts", "is missing: name the file of all processes' addresses with --hosts");
            return None;
        }
    };
    let process: Option<usize> = process.and_then(|process| process.parse().ok());
    let Some(process) = process else {
        settings.reject("cluster.process", "is no number: the lines of the hosts file count from 0");
        return None;
    };
    match Hosts::read(&path) {
        Ok(hosts) if process < hosts.len() => Some(ClusterConfig { hosts, process, join_within, silence }),
        Ok(hosts) => {
            let last = hosts.len() - 1;
            settings.reject("cluster.process", format!("is {process}: the hosts file has the processes 0 to {last}"));
            None
        }
        Err(error) => {
            settings.reject("cluster.hosts", error);
            None
        }
    }
}
