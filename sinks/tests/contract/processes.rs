//! What ran at an instant: of each minute the busiest table, beyond it the nearest within reach.

use std::sync::Arc;
use std::time::Duration;

use model::Output;
use model::query::{History, ProcessQuery};
use sinks::sink::{Group, Sink};

use crate::batch;
use crate::fixtures::{at, machine, processes};
use crate::subject::Subject;

pub(crate) async fn the_table_of_an_instant_is_its_minutes_busiest_or_the_nearest_within_reach<S: Subject>()
where
    S::Reader: History,
{
    let subject = S::new().await;
    let mut store = subject.open().await;
    // Minutes begin at 99,000, 99,060 and 99,300: the second has one table alone, the two between have none.
    let tables = [
        ("quiet", 99_005, 0.5),
        ("busiest", 99_020, 2.0),
        ("as busy, later", 99_035, 2.0),
        ("next", 99_065, 0.0),
        ("last", 99_350, 1.0),
    ];
    let outputs =
        tables.map(|(name, time, cpu)| Output::Processes(Arc::new(processes("a", at(time), &[(name, cpu, 9)]))));
    let other = Output::Processes(Arc::new(processes("b", at(99_200), &[("of another machine", 9.0, 9)])));
    let groups = [Group { t: 1, outputs: outputs.into_iter().chain([other]).collect() }];
    S::sink(&mut store).write(batch(&groups, 1)).await.unwrap();
    S::sink(&mut store).flush().await.unwrap();
    for (at_seconds, reach, expected) in [
        (99_000, 0, Some("busiest")),
        (99_059, 0, Some("busiest")),
        (99_060, 0, Some("next")),
        (99_119, 0, Some("next")),
        (99_120, 0, None),
        (99_120, 54, None),
        (99_120, 55, Some("next")),
        (99_230, 200, Some("last")),
        (99_200, 200, Some("next")),
        (99_300, 0, Some("last")),
        (98_990, 29, None),
        (98_990, 30, Some("busiest")),
        (99_450, 100, Some("last")),
        (99_450, 99, None),
    ] {
        let (at, reach) = (at(at_seconds), Duration::from_secs(reach));
        let found = store.1.processes(ProcessQuery { machine: machine("a"), at, reach }).await.unwrap();
        let name = found.as_ref().map(|table| table.by_memory[0].name.as_str());
        assert_eq!(name, expected, "{at_seconds} {reach:?}");
    }
    let nobody = ProcessQuery { machine: machine("nobody"), at: at(99_000), reach: Duration::from_secs(60) };
    assert_eq!(store.1.processes(nobody).await.unwrap(), None);
    let whole = ProcessQuery { machine: machine("a"), at: at(99_000), reach: Duration::ZERO };
    let whole = store.1.processes(whole).await.unwrap();
    assert_eq!(whole, Some(processes("a", at(99_020), &[("busiest", 2.0, 9)])), "as it was sent");
}
