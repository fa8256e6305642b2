//! Parcel: records from one worker to another, as they are inside a process, as bytes of the journal's code between processes.

use std::sync::Arc;

use model::codec::{self, CodecError, Decoder};
use model::{Layout, LogicalTime, Record};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bytes;
use crate::stage::At;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub(crate) to: u32,
    pub(crate) from: u32,
    pub(crate) load: Load,
}

#[derive(Debug, Clone)]
pub(crate) enum Load {
    /// Never leaves the process.
    Near(Vec<At<Record>>),
    Far(Packed),
}

/// Records as bytes: T, length, and the record's own, one after the other; a length of zero says that the layouts sent so far will be sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Packed(Vec<u8>);

const HEAD_BYTES: usize = 12;

impl Packed {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn put(&mut self, t: LogicalTime, record: &Record) {
        let head = self.0.len();
        self.0.extend_from_slice(&t.to_le_bytes());
        self.0.extend_from_slice(&[0; 4]);
        codec::encode(record, &mut self.0);
        // A record is bounded where it enters, far below 2^32.
        let length = u32::try_from(self.0.len() - head - HEAD_BYTES).expect("a record is bounded");
        self.0[head + 8..head + HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    }

    pub(crate) fn put_layout(&mut self, t: LogicalTime, layout: &Arc<Layout>) {
        self.put(t, &Record::Layout(Arc::clone(layout)));
    }

    pub(crate) fn forget_layouts(&mut self) {
        self.0.extend_from_slice(&[0; HEAD_BYTES]);
    }

    /// Takes them apart, but for layouts, which the decoder keeps.
    ///
    /// # Errors
    /// When this is not what `put` makes: another version's bytes.
    pub(crate) fn unpack(&self, decoder: &mut Decoder, mut take: impl FnMut(At<Record>)) -> Result<(), CodecError> {
        let mut rest = self.0.as_slice();
        while !rest.is_empty() {
            let cut = CodecError::Malformed("a parcel is cut short");
            let Some((t, tail)) = rest.split_first_chunk() else { return Err(cut) };
            let Some((length, tail)) = tail.split_first_chunk() else { return Err(cut) };
            let length = u32::from_le_bytes(*length) as usize;
            let Some((record, tail)) = tail.split_at_checked(length) else { return Err(cut) };
            let t = LogicalTime::from_le_bytes(*t);
            rest = tail;
            if record.is_empty() {
                *decoder = Decoder::new();
                continue;
            }
            let item = decoder.decode(record)?;
            if !matches!(item, Record::Layout(_)) {
                take(At { t, item });
            }
        }
        Ok(())
    }
}

impl Serialize for Load {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Far(Packed(bytes)) => bytes::serialize(bytes, serializer),
            Self::Near(_) => Err(S::Error::custom("a parcel for this process was sent to another")),
        }
    }
}

impl<'de> Deserialize<'de> for Load {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes::deserialize(deserializer).map(|bytes| Self::Far(Packed(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use model::{MachineId, MachineInfo, Timestamp};

    use super::*;
    use crate::operators::fixtures::Feed;

    fn unpacked(packed: &Packed, decoder: &mut Decoder) -> Result<Vec<(LogicalTime, String)>, CodecError> {
        let mut out = Vec::new();
        packed.unpack(decoder, |At { t, item }| out.push((t, format!("{item:?}"))))?;
        Ok(out)
    }

    /// The layout, a frame, a machine's description; then a frame alone.
    fn parcels() -> (Vec<Packed>, Vec<(LogicalTime, String)>) {
        let mut feed = Feed::new("db-1", 2);
        let frames = [1.0, 2.0].map(|second| Record::Batch(Arc::clone(&feed.frame(second, &[1.5, -0.0]).batch)));
        let info = Record::Machine(Arc::new(MachineInfo::unknown(
            MachineId::parse("db-1").unwrap(),
            Timestamp::from_millis(5),
        )));
        let mut parcels = vec![Packed::default(), Packed::default()];
        if let Record::Batch(batch) = &frames[0] {
            parcels[0].put_layout(7, &batch.layout);
        }
        parcels[0].put(7, &frames[0]);
        parcels[0].put(8, &info);
        parcels[1].put(9, &frames[1]);
        let told = [(7, &frames[0]), (8, &info), (9, &frames[1])];
        (parcels, told.map(|(t, record)| (t, format!("{record:?}"))).into())
    }

    #[test]
    fn what_was_packed_comes_out_in_order_and_bit_for_bit() {
        let (parcels, told) = parcels();
        let mut decoder = Decoder::new();
        let load = |packed: &Packed| Load::Far(packed.clone());
        let sent = parcels.iter().map(|packed| bincode(&Parcel { to: 3, from: 1, load: load(packed) }));
        let came = sent.flat_map(|Parcel { load, .. }| match load {
            Load::Far(packed) => unpacked(&packed, &mut decoder).unwrap(),
            Load::Near(_) => panic!("what came from afar is bytes"),
        });
        assert_eq!(came.collect::<Vec<_>>(), told);
    }

    #[test]
    fn layouts_that_were_forgotten_are_unknown_until_they_come_again() {
        let (parcels, told) = parcels();
        let (mut decoder, mut forgetful) = (Decoder::new(), Packed::default());
        forgetful.forget_layouts();
        unpacked(&parcels[0], &mut decoder).unwrap();
        unpacked(&forgetful, &mut decoder).unwrap();
        assert!(matches!(unpacked(&parcels[1], &mut decoder), Err(CodecError::UnknownLayout(_))));
        unpacked(&parcels[0], &mut decoder).unwrap();
        assert_eq!(unpacked(&parcels[1], &mut decoder).unwrap(), told[2..]);
    }

    #[test]
    fn a_parcel_that_is_cut_anywhere_is_an_error_and_never_a_record() {
        let (parcels, told) = parcels();
        let bytes = &parcels[0].0;
        let mut whole = Vec::new();
        for length in 1..bytes.len() {
            let cut = Packed(bytes[..length].to_vec());
            let mut out = Vec::new();
            let done = cut.unpack(&mut Decoder::new(), |At { t, item }| out.push((t, format!("{item:?}"))));
            assert_eq!(out, told[..out.len()], "{length}");
            whole.extend(done.is_ok().then_some(out.len()));
        }
        assert_eq!(whole, [0, 1], "whole are only the layout, and the layout with the frame");
    }

    /// There and back by the code that timely uses between processes.
    fn bincode(parcel: &Parcel) -> Parcel {
        use timely::container::PushInto;
        use timely::dataflow::channels::ContainerBytes;
        let mut container: Vec<Parcel> = Vec::new();
        container.push_into(parcel.clone());
        let mut bytes = Vec::with_capacity(container.length_in_bytes());
        container.into_bytes(&mut bytes);
        let mut slab = timely::bytes::arc::BytesMut::from(bytes);
        let length = slab.len();
        let mut back: Vec<Parcel> = ContainerBytes::from_bytes(slab.extract_to(length));
        back.remove(0)
    }
}
