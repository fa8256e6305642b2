//! Alerts that are told to a store more often than once, at whatever logical time.

use model::{Change, Output, Severity};
use sinks::sink::{Group, Sink};

use super::batch;
use super::fixtures::{at, rule, transition};
use super::subject::Subject;

pub(crate) async fn the_end_of_an_alert_told_again_leaves_the_next_one_alone<S: Subject>() {
    let rule = rule("cpu", Severity::Warning);
    let tell = |t: u64, change, since: i64, time: i64| Group {
        t,
        outputs: vec![Output::Transition(transition(&rule, "a", change, at(since), at(time)))],
    };
    let (fired, resolved) = (Change::Fired, Change::Resolved);
    let first = [tell(1, fired, 99_000, 99_000), tell(2, resolved, 99_000, 99_010), tell(3, fired, 99_020, 99_020)];
    let (again, end) = (tell(4, resolved, 99_000, 99_010), tell(5, resolved, 99_020, 99_030));
    let (subject, other) = (S::new().await, S::new().await);
    let (mut store, mut once) = (subject.open().await, other.open().await);
    for told in [&first[..], &[again], std::slice::from_ref(&end)] {
        S::sink(&mut store).write(batch(told, told[told.len() - 1].t)).await.unwrap();
    }
    for told in [&first[..], &[end]] {
        S::sink(&mut once).write(batch(told, told[told.len() - 1].t)).await.unwrap();
    }
    assert_eq!(S::contents(&store).await, S::contents(&once).await);
}
