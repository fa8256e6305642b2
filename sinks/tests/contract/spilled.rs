//! A write that is spilled while it is under way and its end; what is spilled at the end of the program.

use model::Output;

use crate::faulty::Mode;
use crate::fixtures::{at, frame, roster};
use crate::subject::{Subject, TIMES, workload};
use crate::{Rig, wanted};

/// A call that hung while its outputs went to the spill, and then succeeds: they are nobody's in memory any more, and the spill takes what comes next.
/// They are more than one record of the spill holds, because only then does it matter which of them comes first.
pub(crate) async fn a_spilled_write_that_succeeds_after_all_is_not_spilled_again<S: Subject>() {
    let (subject, spill) = (S::new().await, tempfile::tempdir().unwrap());
    let rig = Rig::with_memory(subject.open_sink().await, &spill, Mode::Works, 6 << 20);
    let mut groups = workload();
    for heavy in [10, 11, 12, 20, 21, 22, 23] {
        // Few enough frames of each machine that the store gathers them.
        for machine in 0..44 {
            let wide = roster(&format!("wide-{machine}"), 200);
            let frames = (0..50).map(|second| frame(&wide, at(90_000 + heavy * 50 + second), &[0.5; 200]));
            groups[usize::try_from(heavy).unwrap()].outputs.extend(frames.map(Output::Samples));
        }
    }
    rig.push(&groups[..10]);
    rig.wait_for("the beginning is stored", |status| status.cursors.is_some_and(|c| groups[9].t <= c.rows)).await;
    rig.controls.mode.send_replace(Mode::Hangs);
    rig.push(&groups[10..11]);
    rig.wait_for("it is under way", |status| groups[10].t <= status.sealed).await;
    rig.push(&groups[11..20]);
    rig.wait_for("the hung call's outputs are spilled", |status| 0 < status.backlog_bytes).await;
    rig.controls.mode.send_replace(Mode::Works);
    rig.wait_for("the call came back", |status| status.cursors.is_some_and(|c| groups[10].t <= c.rows)).await;
    rig.controls.mode.send_replace(Mode::Refuses);
    rig.push(&groups[20..]);
    rig.wait_for("all is taken in", |status| TIMES <= status.sealed).await;
    rig.controls.mode.send_replace(Mode::Works);
    rig.wait_for("it caught up", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
    let status = rig.complete().await;
    assert_eq!((status.lost, status.cursors.map(|cursors| cursors.oldest())), (0, Some(TIMES)));
}

/// The end of the program does not wait for a dead store: the rest goes to the spill, and the next run writes it.
pub(crate) async fn what_the_end_cannot_store_waits_in_the_spill<S: Subject>() {
    let (subject, spill) = (S::new().await, tempfile::tempdir().unwrap());
    let groups = workload();
    let sink = subject.open_sink().await;
    tokio::time::pause();
    let rig = Rig::start(sink, &spill, Mode::Refuses);
    rig.push(&groups);
    let status = rig.complete().await;
    assert_eq!((status.keep_from, status.lost), (TIMES + 1, 0));
    tokio::time::resume();
    let (sink, store) = S::split(subject.open().await);
    let rig = Rig::start(sink, &spill, Mode::Works);
    rig.wait_for("the spill is written", |status| status.cursors.is_some_and(|c| TIMES <= c.rows)).await;
    rig.complete().await;
    assert_eq!(S::contents_of(&store).await, wanted::<S>().await);
}
