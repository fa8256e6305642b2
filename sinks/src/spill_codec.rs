//! Groups of outputs as bytes of one spill record, and back: a version byte, then entries (`model::output_codec`). A record stands alone:
//! it names each roster it uses once.

use model::codec::CodecError;
use model::output_codec::{Decoder, Encoder, Entry};
use model::{LogicalTime, Output};

use crate::sink::{Group, WriteBatch};

const VERSION: u8 = 1;

pub(crate) fn encode(groups: &[Group]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(), vec![VERSION]);
    for Group { t, outputs } in groups {
        encoder.time(*t, &mut out);
        outputs.iter().filter(|output| has_a_place(output)).for_each(|output| encoder.output(output, &mut out));
    }
    out
}

/// The rest is for the live view only: no store has a place for it.
fn has_a_place(output: &Output) -> bool {
    !matches!(output, Output::Hottest(_) | Output::Group(_))
}

pub(crate) fn decode(bytes: &[u8], upto: LogicalTime) -> Result<WriteBatch, CodecError> {
    let (version, entries) = bytes.split_first().ok_or(CodecError::Malformed("empty"))?;
    if *version != VERSION {
        return Err(CodecError::UnknownKind(*version));
    }
    let mut groups: Vec<Group> = Vec::new();
    Decoder::new().read(entries, |entry| match entry {
        Entry::Time(t) => groups.push(Group { t, outputs: Vec::new() }),
        Entry::Output(output) => groups.last_mut().expect("a time goes first").outputs.push(output),
    })?;
    Ok(WriteBatch { groups, upto })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fixtures::{
        at, fleet_minute, frame, presence, rejected, repair, resent, roster, rule, samples, standing, transition,
        window,
    };
    use model::{Change, Hottest, MachineInfo, Severity, Standing, Status, Tag, Timestamp, Width};

    fn everything() -> Vec<Group> {
        let roster = roster("a", 3);
        let info = MachineInfo::unknown(roster.machine.clone(), at(1));
        let fired = transition(&rule("cpu", Severity::Critical), "a", Change::Fired, at(3), at(3));
        let outputs = vec![
            Output::Samples(frame(&roster, at(1), &[1.0, -0.0, 0.1])),
            Output::Samples(samples(&roster, &[(2, at(1), 5.0), (0, at(2), 6.0)])),
            Output::Minute(window(&roster, Width::Minute, at(60), 7, 0.1)),
            Output::Hour(window(&roster, Width::Hour, at(3_600), 8, 0.2)),
            Output::Transition(Arc::clone(&fired)),
            Output::Standing(standing(&fired, Standing::Silenced("s-1".into()))),
            Output::Presence(presence("a", Status::Stale, at(4))),
            Output::Machine(Arc::new(info)),
            Output::Rejected(rejected("a", at(5))),
            Output::Resent(resent("a", "0f", at(6))),
            Output::Repair(repair("a", at(60))),
            Output::Fleet(Arc::new(fleet_minute(Some(&Tag::new("role", "db")), at(60), 9, &[("cpu", 3)]))),
            Output::Fleet(Arc::new(fleet_minute(None, at(60), 9, &[]))),
        ];
        let empty = Group { t: 9, outputs: vec![] };
        vec![Group { t: 7, outputs }, empty]
    }

    #[test]
    fn outputs_read_back_as_they_were() {
        let back = decode(&encode(&everything()), 11).unwrap();
        assert_eq!((back.upto, back.groups.len()), (11, 2));
        // Printed with rosters and layouts in full; the layouts were the rosters' already.
        assert_eq!(format!("{:?}", back.groups), format!("{:?}", everything()));
    }

    /// As the first version wrote it.
    #[test]
    fn a_spill_from_before_an_update_reads_as_it_was_meant() {
        let back = decode(include_bytes!("spill_codec/version_1.bin"), 11).unwrap();
        assert_eq!(format!("{:?}", back.groups), format!("{:?}", everything()));
    }

    #[test]
    fn what_no_store_has_a_place_for_is_left_out() {
        let hottest = Hottest { minute: Timestamp::EPOCH, revision: 1, metrics: Vec::new() };
        let group = Group { t: 7, outputs: vec![Output::Hottest(Arc::new(hottest))] };
        assert!(decode(&encode(&[group]), 7).unwrap().groups[0].outputs.is_empty());
    }

    #[test]
    fn a_cut_or_forged_record_is_refused_and_never_panics() {
        let whole = encode(&everything());
        for len in 0..whole.len() {
            drop(decode(&whole[..len], 1));
            let mut forged = whole.clone();
            forged[len] ^= 0x41;
            drop(decode(&forged, 1));
        }
        assert!(decode(&[], 1).is_err() && decode(&[9], 1).is_err());
    }
}
