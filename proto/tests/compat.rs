//! A collector written against the seeds' proto still speaks: field numbers and enum values, by hand-built bytes.

use std::collections::BTreeMap;

use prost::Message;
use proto::{decode, pb};

/// `machine_id=1, timestamp=2, type=3, value=4, labels=5`, as a seeds' collector puts them on the wire.
fn bytes_of_a_seeds_metric() -> Vec<u8> {
    let mut bytes = vec![0x0a, 4];
    bytes.extend(b"mcrn");
    // 1763700000123 as a varint.
    bytes.extend([0x10, 0xfb, 0x8a, 0xd9, 0xa5, 0xaa, 0x33]);
    // NETWORK_RECV_MBPS.
    bytes.extend([0x18, 5]);
    bytes.push(0x21);
    bytes.extend(12.5f64.to_le_bytes());
    bytes.extend([0x2a, 13, 0x0a, 5]);
    bytes.extend(b"iface");
    bytes.extend([0x12, 4]);
    bytes.extend(b"eth0");
    bytes
}

#[test]
fn a_seeds_metric_decodes_by_its_field_numbers() {
    let metric = pb::Metric::decode(bytes_of_a_seeds_metric().as_slice()).unwrap();
    let expected = pb::Metric {
        machine_id: "mcrn".into(),
        timestamp: 1_763_700_000_123,
        r#type: 5,
        value: 12.5,
        labels: BTreeMap::from([("iface".into(), "eth0".into())]),
    };
    assert_eq!(metric, expected);
    assert_eq!(decode::metric_name(metric.r#type), Some("NETWORK_RECV_MBPS"));
}

#[test]
fn the_seeds_enum_values_keep_their_numbers_and_names() {
    let names =
        ["CPU_PERCENT", "MEMORY_PERCENT", "MEMORY_USED_GB", "DISK_PERCENT", "NETWORK_SENT_MBPS", "NETWORK_RECV_MBPS"];
    for (number, name) in (0..).zip(names) {
        assert_eq!(pb::MetricType::try_from(number).unwrap().as_str_name(), name);
    }
    // Ours, from 6: the enum and the catalogue agree.
    for number in 0..16 {
        let name = pb::MetricType::try_from(number).unwrap().as_str_name();
        assert_eq!(decode::metric_name(number), Some(name));
    }
    assert!(pb::MetricType::try_from(16).is_err());
}

#[test]
fn the_acknowledgement_has_the_numbers_that_a_seeds_collector_reads() {
    let ack = pb::StreamAck { received: 3, accepted: 2, rejected: 1 };
    assert_eq!(ack.encode_to_vec(), [0x08, 3, 0x10, 2, 0x18, 1]);
}

#[test]
fn the_method_paths_are_the_seeds() {
    use proto::pb::metrics_service_server::SERVICE_NAME;
    assert_eq!(SERVICE_NAME, "monitoring.MetricsService");
}
