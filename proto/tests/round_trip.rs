//! What the collector encodes, the hub decodes to the same (and the way a hub's answers go).

use std::collections::BTreeMap;
use std::sync::Arc;

use model::bound::Roster;
use model::query::MachineView;
use model::{Labels, MachineId, MachineInfo, SeriesKey, SessionId, Status, Timestamp};
use proptest::prelude::*;
use prost::Message;
use proto::decode::{self, Present};
use proto::{encode, pb};

fn machine() -> MachineId {
    MachineId::parse("db-1").expect("a valid name")
}

fn key() -> impl Strategy<Value = SeriesKey> {
    ("[a-z][a-z0-9_.]{0,20}", prop::collection::btree_map("[a-z][a-z0-9_]{0,8}", "[ -~]{0,20}", 0..4)).prop_map(
        |(metric, labels): (String, BTreeMap<String, String>)| {
            SeriesKey::parse(&metric, decode::labels(&labels).expect("valid labels")).expect("a valid name")
        },
    )
}

proptest! {
    #[test]
    fn a_layout_reads_back_as_it_was(keys in prop::collection::btree_set(key(), 0..40)) {
        let keys: Vec<SeriesKey> = keys.into_iter().collect();
        let bytes = encode::layout(3, &keys).encode_to_vec();
        let sent = decode::layout(&pb::Layout::decode(bytes.as_slice()).unwrap());
        prop_assert_eq!(sent.series, keys);
        prop_assert!(sent.dropped.is_empty());
    }

    #[test]
    fn a_frame_reads_back_as_it_was(values in prop::collection::vec(prop::option::of(-1e9f64..1e9), 0..70), millis in 0i64..1 << 45) {
        let frame = encode::frame(3, Timestamp::from_millis(millis), &values);
        let frame = pb::Frame::decode(frame.encode_to_vec().as_slice()).unwrap();
        let mut back = vec![None; values.len()];
        match decode::present(&frame, values.len()).unwrap() {
            Present::All => back = frame.values.iter().copied().map(Some).collect(),
            Present::Some(positions) => {
                for (position, value) in positions.into_iter().zip(&frame.values) {
                    back[usize::from(position)] = Some(*value);
                }
            }
        }
        prop_assert_eq!(back, values);
        prop_assert_eq!(frame.time_ms, millis);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), series in 0usize..20) {
        if let Ok(frame) = pb::Frame::decode(bytes.as_slice()) {
            drop(decode::present(&frame, series));
        }
        if let Ok(hello) = pb::Hello::decode(bytes.as_slice()) {
            drop(decode::hello(hello, Timestamp::EPOCH));
        }
        if let Ok(layout) = pb::Layout::decode(bytes.as_slice()) {
            prop_assert_eq!(decode::layout(&layout).positions.len(), layout.series.len());
        }
    }
}

#[test]
fn a_hello_reads_back_as_it_was() {
    let info = MachineInfo {
        tags: BTreeMap::from([("role".into(), "db".into())]),
        interval_ms: 5_000,
        os: "Debian 13".into(),
        cores: 8,
        ..MachineInfo::unknown(machine(), Timestamp::from_secs(9))
    };
    let hello = decode::hello(encode::hello(&info, SessionId(5)), Timestamp::from_secs(9)).unwrap();
    assert_eq!((hello.info, hello.session), (info, SessionId(5)));
}

#[test]
fn a_machines_state_has_the_seeds_metrics_in_the_seeds_units() {
    let labels = Labels::parse([("mountpoint", "/")]).unwrap();
    let series = [
        SeriesKey::parse("system.cpu.utilization", Labels::none()).unwrap(),
        SeriesKey::parse("system.memory.used", Labels::none()).unwrap(),
        SeriesKey::parse("system.uptime", labels).unwrap(),
        SeriesKey::parse("never.seen", Labels::none()).unwrap(),
    ];
    let at = Timestamp::from_millis(1_500);
    let view = MachineView {
        machine: machine(),
        status: Status::Up,
        last_seen: at,
        info: None,
        roster: Some(Arc::new(Roster {
            machine: machine(),
            index: 0,
            series: series.into_iter().map(Arc::new).collect(),
        })),
        values: Box::new([0.25, 2_147_483_648.0, 60.0, 0.0]),
        times: Box::new([at, at, at, Timestamp::MIN]),
        processes: None,
        alerts: [3, 1, 0],
    };
    let state = encode::machine_state(&view);
    let seeds: Vec<(i32, f64)> = state.current_metrics.iter().map(|m| (m.r#type, m.value)).collect();
    assert_eq!(seeds, [(0, 25.0), (2, 2.0)]);
    assert_eq!(state.series.len(), 3);
    assert_eq!((state.health(), state.status.as_str()), (pb::HealthStatus::Warning, "up"));
}
