//! Two fronts of one cluster: a collector goes from one to the other and back, and each of its frames is journalled once (P-3).

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::{Front, Push, START_MS, folder, frame, hello, layout};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ingest::{NotYielded, Peers, Seats, Settings, Yielded};
use model::{LogicalTime, MachineId, Record};
use proto::pb;
use runtime::clock::ManualClock;
use tonic::Code;

/// The seats of the other one, as soon as it is there.
#[derive(Default)]
struct Other(OnceLock<Seats>);

impl Peers for Other {
    fn claim(&self, machine: &MachineId) -> BoxFuture<'_, Result<Vec<Yielded>, NotYielded>> {
        let (seats, machine) = (self.0.get().cloned(), machine.clone());
        async move {
            let seats = seats.ok_or_else(|| NotYielded("process 1 does not answer".into()))?;
            Ok(vec![seats.give_up(&machine).await?])
        }
        .boxed()
    }
}

async fn front(dir: &std::path::Path, clock: &ManualClock) -> (Front, Arc<Other>) {
    let others = Arc::new(Other::default());
    let peers = Arc::<Other>::clone(&others);
    (Front::start_among(dir, Settings::default(), clock.clone(), Some(peers)).await, others)
}

async fn pair(dirs: [&std::path::Path; 2], clocks: [&ManualClock; 2]) -> [Front; 2] {
    let (one, to_one) = front(dirs[0], clocks[0]).await;
    let (two, to_two) = front(dirs[1], clocks[1]).await;
    assert!(to_one.0.set(two.seats.clone()).is_ok());
    assert!(to_two.0.set(one.seats.clone()).is_ok());
    [one, two]
}

fn times(front: &Front) -> Vec<LogicalTime> {
    front.graph.records().iter().filter(|at| matches!(at.record, Record::Batch(_))).map(|at| at.t).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_goes_on_at_the_other_process_where_it_was_and_in_order_of_time() {
    let (dirs, ahead) = ([folder(), folder()], ManualClock::at(START_MS * 1_000 + 600_000));
    let behind = ManualClock::at(START_MS * 1_000);
    let [one, two] = pair([dirs[0].path(), dirs[1].path()], [&ahead, &behind]).await;
    let (mut first, _) = Push::hello(&one, "db-1", 7).await;
    first.send(layout(1, &["a"])).await;
    first.send(frame(1, 1, 0, &[1.0])).await;
    first.send(frame(2, 1, 1, &[2.0])).await;
    first.acknowledged(2).await;
    // The first stream is still open there; a network would have to time out before it knew.
    let (mut second, answer) = Push::hello(&two, "db-1", 7).await;
    assert_eq!(answer.acknowledged, 2);
    assert_eq!(first.end().await.code(), Code::Aborted);
    second.send(layout(1, &["a"])).await;
    for sequence in 1..=3 {
        second.send(frame(sequence, 1, i64::try_from(sequence).unwrap(), &[3.0])).await;
    }
    second.acknowledged(3).await;
    drop(second);
    let (mut third, answer) = Push::hello(&one, "db-1", 7).await;
    assert_eq!(answer.acknowledged, 3);
    third.send(layout(1, &["a"])).await;
    third.send(frame(4, 1, 9, &[4.0])).await;
    third.acknowledged(4).await;
    assert_eq!((one.graph.sequences(), two.graph.sequences()), (vec![1, 2, 4], vec![3]));
    let (at_one, at_two) = (times(&one), times(&two));
    assert!(at_one[1] < at_two[0] && at_two[0] < at_one[2], "{at_one:?} {at_two:?}");
    assert!(one.stop().await && two.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_machine_says_of_itself_is_journalled_where_it_says_it() {
    let (dirs, clock) = ([folder(), folder()], ManualClock::at(START_MS * 1_000));
    let [one, two] = pair([dirs[0].path(), dirs[1].path()], [&clock, &clock]).await;
    let tagged = |role: &str| match hello("db-1", 7) {
        pb::push_request::Message::Hello(hello) => pb::push_request::Message::Hello(pb::Hello {
            tags: BTreeMap::from([("role".into(), role.into())]),
            ..hello
        }),
        other => other,
    };
    for (front, role) in [(&one, "db"), (&two, "web"), (&one, "db")] {
        let mut push = Push::open(front).await;
        push.send(tagged(role)).await;
        push.answer().await.unwrap();
    }
    let said =
        |front: &Front| front.graph.records().iter().filter(|at| matches!(at.record, Record::Machine(_))).count();
    assert_eq!((said(&one), said(&two)), (2, 1));
    assert!(one.stop().await && two.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_while_another_process_does_not_say_what_it_has() {
    let (dir, clock) = (folder(), ManualClock::at(START_MS * 1_000));
    let (front, _nobody) = front(dir.path(), &clock).await;
    let push = Push::open(&front).await;
    push.send(hello("db-1", 7)).await;
    let end = push.end().await;
    assert_eq!((end.code(), end.message()), (Code::Unavailable, "process 1 does not answer; connect again"));
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_process_keeps_up_with_what_it_hears_of_the_others() {
    let (dir, clock) = (folder(), ManualClock::at(START_MS * 1_000));
    let settings = Settings::default();
    let sequencer = ingest::SequencerSettings { quiet: Duration::from_millis(20), ..settings.sequencer.clone() };
    let front = Front::start_at(dir.path(), Settings { sequencer, ..settings }, clock.clone()).await;
    let heard = u64::try_from(START_MS).unwrap() * 1_000 + 700_000;
    front.lamport.raise(heard);
    let sealed = testkit::eventually(common::SOON, async || front.graph.sealed(), |sealed| heard < *sealed).await;
    sealed.unwrap();
    assert!(front.stop().await);
}
