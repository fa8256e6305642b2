//! Dead letters of a running hub: what came too fast is kept and sent again, once; what can never be accepted is refused with the reason.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Machine, Program, SOON, now_ms};
use proto::pb;
use proto::pb::push_request::Message;
use serde_json::Value;
use testkit::eventually_blocking;
use testkit::servers::private_dir;

const METRIC: &str = "app.queue";
/// Of these the hub takes 200 at once.
const SENT: i64 = 240;

/// Runs `sysmonstm dead-letters` against the hub; its exit code and what it printed.
fn command(hub: &Program, args: &[&str]) -> (Option<i32>, String) {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
    program.arg("dead-letters").args(args).args(["--url", hub.http()]).env_clear();
    let output = program.output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn letters<'a>(body: &'a Value, reason: &str) -> Vec<&'a Value> {
    body["dead_letters"].as_array().unwrap().iter().filter(|letter| letter["reason"] == reason).collect()
}

/// Until so many samples of the flood are in the history.
fn wait_for_points(hub: &Program, count: usize) {
    let path = format!("/api/machines/flood/history?metric={METRIC}&from=now-10m&tier=raw&max_points=1000");
    hub.eventually(&path, |body| body["series"][0]["t"].as_array().map_or(0, Vec::len) == count);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_too_fast_is_sent_again_once_and_what_is_wrong_never_is() {
    let dir = private_dir().unwrap();
    let limits = [("HUB_INGEST_SAMPLES_BURST", "200"), ("HUB_INGEST_SAMPLES_PER_S_MAX", "10")];
    let mut hub = Program::hub_with(dir.path(), &limits);
    // A frame of tomorrow, and then more than it may send at once, at once.
    let mut machine = Machine::new("flood", &[METRIC]);
    let start = now_ms() - 300_000;
    machine.measure(now_ms() + 86_400_000, &[1.0]);
    (0..SENT).for_each(|tick| machine.measure(start + tick * 1_000, &[0.1 + tick as f64]));
    let mut push = machine.connect(&hub.grpc).await.unwrap();
    let newest = machine.frames.len() as u64;
    let frames = (1..=newest).map(|sequence| machine.frame(sequence)).collect();
    push.send(Message::Frames(pb::Frames { frames })).await.unwrap();
    while push.answer().await.unwrap().acknowledged < newest {}
    drop(push);
    let both = |body: &Value| !letters(body, "rate_limited").is_empty() && !letters(body, "future").is_empty();
    let list = hub.eventually("/api/v1/dead-letters", both);
    let (fast, future) = (letters(&list, "rate_limited")[0].clone(), letters(&list, "future")[0].clone());
    assert_eq!(
        (&fast["source"], &fast["kept"], &fast["obstacle"]),
        (&"grpc_push".into(), &fast["count"], &Value::Null)
    );
    let kept = usize::try_from(fast["kept"].as_u64().unwrap()).unwrap();
    let all = usize::try_from(SENT).unwrap();
    wait_for_points(&hub, all - kept);

    let (code, said) = command(&hub, &["resend", future["id"].as_str().unwrap()]);
    assert!(code == Some(1) && said.contains("never_accepted") && said.contains("ahead of the clock"), "{said}");
    let (code, said) = command(&hub, &["resend", "0000"]);
    assert!(code == Some(1) && said.contains("unknown_dead_letter"), "{said}");
    // While its machine's rate is used up the letter is refused again, and stays.
    let id = fast["id"].as_str().unwrap();
    let sent = eventually_blocking(SOON, || command(&hub, &["resend", id]), |(code, _)| *code == Some(0));
    assert!(sent.is_ok_and(|(_, said)| said.contains(&format!("\"samples\":{kept}"))));
    let (code, said) = command(&hub, &["resend", id]);
    assert!(code == Some(1) && said.contains("sent again already"), "{said}");
    hub.eventually(&format!("/api/v1/dead-letters/{id}"), |body| body["resent"].is_i64());
    let waiting = hub.json("/api/v1/dead-letters?state=waiting");
    assert!(letters(&waiting, "rate_limited").is_empty() && !letters(&waiting, "future").is_empty(), "{waiting}");
    wait_for_points(&hub, all);
    let (code, said) = command(&hub, &["resend", "--all"]);
    assert!(code == Some(0) && said.starts_with("0 sent again"), "{said}");
    let (code, said) = command(&hub, &["resend", "--all", "--reason", "future"]);
    assert!(code == Some(0) && said.starts_with("0 sent again"), "{said}");
    for wrong in [&["resend"][..], &["resend", "--reason", "future"], &["resend", id, "--all"]] {
        assert_eq!(command(&hub, wrong).0, Some(2), "{wrong:?}");
    }
    let (code, said) = command(&hub, &["--reason", "future"]);
    assert!(code == Some(0) && said.contains(future["id"].as_str().unwrap()) && !said.contains(id), "{said}");

    // A replay knows as well that it was sent.
    hub.kill();
    let mut hub = Program::hub_with(dir.path(), &limits);
    // Whatever its stores have taken in by now.
    let (code, said) = command(&hub, &["resend", id]);
    assert!(code == Some(1) && said.contains("sent again already"), "{said}");
    hub.eventually("/ready", |body| body["status"] == "ready");
    wait_for_points(&hub, all);
    hub.eventually("/api/v1/dead-letters?state=waiting", |body| letters(body, "rate_limited").is_empty());
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(hub.errors(), Vec::<Value>::new());
}
