//! A hub that starts answers from its first moment on, says how far its replay is, and knows every machine once it says it is ready.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;

use common::{Machine, Program, SOON, now_ms};
use testkit::eventually_blocking;
use testkit::servers::private_dir;
use tonic::Code;

const MACHINES: usize = 3;
/// Together more than the replay takes from seal to seal, so that it stops for a look in its middle.
const FRAMES: i64 = 2_000;

async fn killed_with_frames(dir: &Path) {
    let mut hub = Program::hub(dir);
    for number in 0..MACHINES {
        let mut machine = Machine::new(&format!("m{number}"), &["system.cpu.utilization"]);
        (0..FRAMES).for_each(|n| machine.measure(now_ms() - 3_000_000 + n * 1_000, &[0.5]));
        let mut push = machine.connect(&hub.grpc).await.unwrap();
        machine.deliver(&mut push).await.unwrap();
    }
    hub.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_replays_says_how_far_it_is_and_takes_nothing() {
    let dir = private_dir().unwrap();
    killed_with_frames(dir.path()).await;
    let mut hub = Program::spawn_with(dir.path(), &[("SYSMONSTM_FAULT", "hang:replay")]);
    assert!(hub.listens());
    let ready = eventually_blocking(SOON, || hub.get("/ready"), |(_, body)| body["replay"]["samples"] != 0);
    let (status, ready) = ready.unwrap();
    assert_eq!((status, ready["status"].as_str()), (503, Some("unavailable")));
    let dependency = &ready["dependencies"][0];
    assert_eq!((dependency["name"].as_str(), dependency["status"].as_str()), (Some("replay"), Some("down")));
    let percent = ready["replay"]["percent"].as_f64().unwrap();
    assert!(0.0 < percent && percent < 100.0, "{ready}");
    assert!(ready["replay"]["eta_s"].is_number() && ready["replay"]["t"].is_u64(), "{ready}");
    assert!(!hub.events("replaying").is_empty());

    assert_eq!(hub.get("/health").0, 200);
    let (status, page) = hub.get("/machines/m0");
    assert!(status == 503 && page.as_str().unwrap().contains("The hub is replaying its journal"), "{page}");
    let (status, problem) = hub.get("/api/v1/machines/m0");
    assert_eq!((status, problem["code"].as_str()), (503, Some("replaying")));
    let mut machine = Machine::new("m0", &["system.cpu.utilization"]);
    let refused = machine.connect(&hub.grpc).await.err().unwrap();
    assert_eq!((refused.code(), refused.message().contains("replays its journal")), (Code::Unavailable, true));
    hub.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_ready_knows_every_machine_that_it_replayed() {
    let dir = private_dir().unwrap();
    killed_with_frames(dir.path()).await;
    for _restart in 0..3 {
        let mut hub = Program::spawn_with(dir.path(), &[]);
        assert!(hub.listens());
        let ready = eventually_blocking(SOON, || hub.get("/ready"), |(status, _)| *status == 200);
        ready.unwrap();
        // Asked once: the first answer counts.
        for number in 0..MACHINES {
            let (status, body) = hub.get(&format!("/api/machines/m{number}/metrics"));
            assert_eq!(status, 200, "{body}");
            assert!(body.to_string().contains("0.5") || body.to_string().contains("50"), "{body}");
        }
        hub.kill();
    }
}
