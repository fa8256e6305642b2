//! Two hub processes in network namespaces, and the link between them cut under load: both end with the reason, and go on as if nothing had been (P-4).

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::simulated::{self, FRAMES, RULE, end_of_data, simulated};
use common::{Machine, Program, now_ms};
use fastrand::Rng;
use testkit::servers::private_dir;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::sleep_until;

/// Networks of the test alone: of the link between the processes, and of each one's door.
const LINK: [&str; 2] = ["10.213.7.1", "10.213.7.2"];
const DOORS: [(&str, &str); 2] = [("10.213.8.1", "10.213.8.2"), ("10.213.9.1", "10.213.9.2")];

/// Namespaces with their devices; they go with the value.
struct Wires {
    names: [String; 2],
}

/// What `ip` says to this; true when it does it.
fn ip(words: &str) -> bool {
    Command::new("ip").args(words.split(' ')).output().is_ok_and(|done| done.status.success())
}

impl Wires {
    /// None where this user may not make any.
    fn lay() -> Option<Self> {
        let tag = std::process::id() % 10_000;
        let names = [0, 1].map(|at| format!("sysmon{tag}-{at}"));
        let wires = Self { names };
        let [one, two] = &wires.names;
        let mut is_laid = ip(&format!("netns add {one}")) && ip(&format!("netns add {two}"));
        is_laid = is_laid && ip(&format!("link add ln{tag} netns {one} type veth peer name ln{tag} netns {two}"));
        for (at, name) in wires.names.iter().enumerate() {
            let (outside, inside) = DOORS[at];
            let steps = [
                format!("-n {name} link set lo up"),
                format!("-n {name} address add {}/24 dev ln{tag}", LINK[at]),
                format!("-n {name} link set ln{tag} up"),
                format!("link add dr{tag}-{at} type veth peer name dr{tag} netns {name}"),
                format!("address add {outside}/24 dev dr{tag}-{at}"),
                format!("link set dr{tag}-{at} up"),
                format!("-n {name} address add {inside}/24 dev dr{tag}"),
                format!("-n {name} link set dr{tag} up"),
            ];
            is_laid = is_laid && steps.iter().all(|step| ip(step));
        }
        is_laid.then_some(wires)
    }

    /// The link between the two, and nothing else.
    fn link(&self, state: &str) {
        let tag = std::process::id() % 10_000;
        assert!(ip(&format!("-n {} link set ln{tag} {state}", self.names[0])));
    }

    fn start(&self, dir: &Path) -> Vec<Program> {
        let hosts = dir.join("hosts");
        std::fs::write(&hosts, LINK.map(|address| format!("{address}:7080\n")).concat()).unwrap();
        let started = self.names.iter().enumerate().map(|(process, name)| {
            let (folder, index, inside) = (dir.join(process.to_string()), process.to_string(), DOORS[process].1);
            let (http, grpc) = (format!("{inside}:8000"), format!("{inside}:50051"));
            let variables = [
                ("HUB_CLUSTER_HOSTS", hosts.to_str().unwrap()),
                ("HUB_CLUSTER_PROCESS", &index),
                ("HUB_HTTP_ADDRESS", &http),
                ("HUB_GRPC_ADDRESS", &grpc),
                ("HUB_HISTORY_ENABLED", "false"),
                ("HUB_INSECURE", "true"),
            ];
            Program::spawn_by(&["ip", "netns", "exec", name], &folder, &variables)
        });
        // All of them before one is waited for.
        let started: Vec<Program> = started.collect();
        started.into_iter().map(Program::up).collect()
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        // Their devices go with them.
        for name in &self.names {
            ip(&format!("netns delete {name}"));
        }
    }
}

/// Each machine delivers to the next process until it is over or the hub is.
async fn deliver(machines: Vec<Machine>, hubs: &[Program], cut: impl Future<Output = ()>) -> Vec<Machine> {
    let mut pushing = JoinSet::new();
    for (number, mut machine) in machines.into_iter().enumerate() {
        let grpc = hubs[number % hubs.len()].grpc.clone();
        pushing.spawn(async move {
            if let Ok(mut push) = machine.connect(&grpc).await {
                drop(machine.deliver(&mut push).await);
            }
            machine
        });
    }
    cut.await;
    let mut machines = pushing.join_all().await;
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    machines
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes network namespaces, which takes root: make test-long"]
async fn a_cut_link_ends_both_sides_and_everything_is_there_once_it_is_mended() {
    let Some(wires) = Wires::lay() else {
        println!("not run: network namespaces cannot be made here");
        return;
    };
    let dir = private_dir().unwrap();
    std::fs::create_dir_all(dir.path().join("0")).unwrap();
    std::fs::write(dir.path().join("0/rules.toml"), RULE).unwrap();
    let end_ms = end_of_data(now_ms());
    let mut machines = simulated(end_ms, &mut Rng::with_seed(fastrand::u64(..)));
    for round in 0..3 {
        let mut hubs = block_in_place(|| wires.start(dir.path()));
        let mut cut_at = None;
        machines = deliver(machines, &hubs, async {
            sleep_until(tokio::time::Instant::now() + Duration::from_millis(20 + 40 * round)).await;
            wires.link("down");
            cut_at = Some(Instant::now());
        })
        .await;
        block_in_place(|| {
            for hub in &mut hubs {
                let (status, last) = (hub.wait(), hub.last_line());
                assert!(cut_at.unwrap().elapsed() < Duration::from_secs(10), "{last}");
                assert_eq!(status.code(), Some(1), "{last}");
                assert!(last["reason"].as_str().is_some_and(|told| told.contains("has not been heard of")), "{last}");
            }
        });
        wires.link("up");
    }
    let mut hubs = block_in_place(|| wires.start(dir.path()));
    machines = deliver(machines, &hubs, async {}).await;
    block_in_place(|| {
        for machine in &machines {
            assert_eq!(machine.acknowledged, FRAMES as u64, "{}", machine.name);
            for hub in &hubs {
                simulated::check_alerts(hub, machine);
                let newest = &machine.frames[FRAMES - 1].1;
                hub.eventually(&format!("/api/v1/machines/{}", machine.name), |body| {
                    body["summary"]["cpu"] == newest[0]
                });
            }
        }
        hubs.iter().for_each(|hub| hub.signal("-TERM"));
        for hub in &mut hubs {
            assert_eq!(hub.wait().code(), Some(0), "{}", hub.last_line());
        }
    });
}
