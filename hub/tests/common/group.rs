//! Several hub processes that run one graph, each with a data folder of its own in one folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::Program;

pub(crate) struct Group {
    dir: PathBuf,
    variables: Vec<(String, String)>,
    pub(crate) hubs: Vec<Program>,
}

impl Group {
    /// So many processes, none of them running.
    pub(crate) fn new(dir: &Path, processes: usize, variables: &[(&str, &str)]) -> Self {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let group = Self { dir: dir.to_owned(), variables: owned.collect(), hubs: Vec::new() };
        group.write_hosts(processes);
        group
    }

    /// A hosts file with free ports on loopback.
    pub(crate) fn write_hosts(&self, processes: usize) {
        // All are held at once, so that no two are the same.
        let held: Vec<TcpListener> = (0..processes).map(|_| free_port()).collect();
        let lines: Vec<String> = held.iter().map(|listener| format!("{}\n", listener.local_addr().unwrap())).collect();
        std::fs::write(self.hosts(), lines.concat()).unwrap();
    }

    pub(crate) fn hosts(&self) -> PathBuf {
        self.dir.join("hosts")
    }

    pub(crate) fn folder(&self, process: usize) -> PathBuf {
        self.dir.join(process.to_string())
    }

    /// Starts a process that need not come up.
    pub(crate) fn spawn(&self, process: usize) -> Program {
        let (hosts, index) = (self.hosts(), process.to_string());
        let place = [("HUB_CLUSTER_HOSTS", hosts.to_str().unwrap()), ("HUB_CLUSTER_PROCESS", index.as_str())];
        let others = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Program::spawn_with(&self.folder(process), &place.into_iter().chain(others).collect::<Vec<_>>())
    }

    /// Starts all and waits until they are up.
    pub(crate) fn start(&mut self) {
        let lines = std::fs::read_to_string(self.hosts()).unwrap().lines().count();
        let started: Vec<Program> = (0..lines).map(|process| self.spawn(process)).collect();
        self.hubs = started.into_iter().map(Program::up).collect();
    }

    /// Where collectors find the processes.
    pub(crate) fn doors(&self) -> Vec<String> {
        self.hubs.iter().map(|hub| hub.grpc.clone()).collect()
    }

    /// Kills one; the others end by themselves.
    pub(crate) fn kill(&mut self, process: usize) {
        self.hubs[process].kill();
        for hub in &mut self.hubs {
            hub.wait();
        }
    }

    /// Asks all to stop, which they do in peace.
    pub(crate) fn terminate(&mut self) {
        self.hubs.iter().for_each(|hub| hub.signal("-TERM"));
        for hub in &mut self.hubs {
            assert_eq!(hub.wait().code(), Some(0), "{}", hub.last_line());
            assert_eq!(hub.errors(), Vec::<serde_json::Value>::new());
        }
    }
}

/// Below the ports that the kernel hands out to clients, one of which would else have it when its process starts again.
fn free_port() -> TcpListener {
    let bind = |_| TcpListener::bind(("127.0.0.1", fastrand::u16(12_000..20_000))).ok();
    (0..100).find_map(bind).unwrap()
}
