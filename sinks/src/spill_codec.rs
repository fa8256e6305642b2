//! Outputs as bytes of one spill record, and back. A record stands alone: it names each roster it uses once.
//!
//! After a version byte come entries: tag u8, length u32, body; numbers little endian. Batches travel in the journal's own code
//! (`model::codec`), rebound to a layout that is their machine's roster.

use std::sync::Arc;

use hashbrown::HashMap;
use model::batch::{Batch, Layout, LayoutId, Positions};
use model::bound::{Bound, BoundLayout, Roster, Slots};
use model::codec::{self, CodecError, Decoder};
use model::machine::Presence;
use model::rule::Rule;
use model::{
    Aggregate, Aggregates, Cause, Change, LogicalTime, MachineId, Output, Record, Rows, SeriesKey, Slot, Status,
    Timestamp, Transition, Width, Window,
};
use serde::{Deserialize, Serialize};

use crate::sink::{Group, WriteBatch};
use crate::spill_fleet::FleetJson;

const VERSION: u8 = 1;

const GROUP: u8 = 1;
const RECORD: u8 = 2;
const WINDOW: u8 = 3;
const TRANSITION: u8 = 4;
const PRESENCE: u8 = 5;
const REPAIR: u8 = 6;
const FLEET: u8 = 7;
const STANDING: u8 = 8;

const ROW_BYTES: usize = 52;

#[derive(Serialize, Deserialize)]
struct TransitionJson {
    rule: Arc<Rule>,
    machine: MachineId,
    series: Arc<SeriesKey>,
    fired: bool,
    #[serde(default)]
    cause: Cause,
    /// As bits: JSON numbers may come back a digit off.
    value: u64,
    at: Timestamp,
    since: Timestamp,
    t: LogicalTime,
}

#[derive(Serialize, Deserialize)]
struct PresenceJson {
    machine: MachineId,
    status: Status,
    at: Timestamp,
    last_seen: Timestamp,
}

pub(crate) fn encode(groups: &[Group]) -> Vec<u8> {
    let mut encoder = Encoder { out: vec![VERSION], layouts: HashMap::new() };
    for group in groups {
        encoder.entry(GROUP, |out| out.extend_from_slice(&group.t.to_le_bytes()));
        for output in &group.outputs {
            encoder.output(output);
        }
    }
    encoder.out
}

struct Encoder {
    out: Vec<u8>,
    /// By the roster's address: the groups keep them alive.
    layouts: HashMap<usize, Arc<Layout>>,
}

impl Encoder {
    fn entry(&mut self, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(tag);
        let at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        write(&mut self.out);
        // A record is far below 4 GiB: the journal refuses longer ones than its bound.
        let len = u32::try_from(self.out.len() - at - 4).unwrap_or(u32::MAX);
        self.out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }

    fn record(&mut self, record: &Record) {
        self.entry(RECORD, |out| codec::encode(record, out));
    }

    fn json(&mut self, tag: u8, value: &impl Serialize) {
        // Plain structs with string keys: serde_json has no reason to refuse them.
        self.entry(tag, |out| serde_json::to_writer(out, value).expect("plain data serializes"));
    }

    fn output(&mut self, output: &Output) {
        match output {
            Output::Samples(bound) => {
                let layout = self.layout(bound.roster());
                self.record(&Record::Batch(Arc::new(rebound(bound, layout))));
            }
            Output::Minute(rows) | Output::Hour(rows) => self.window(rows),
            Output::Transition(transition) => self.json(TRANSITION, &TransitionJson::from(transition.as_ref())),
            Output::Standing(change) => self.json(STANDING, change.as_ref()),
            Output::Presence(presence) => {
                let Presence { machine, status, at, last_seen } = presence.as_ref().clone();
                let row = PresenceJson { machine, status, at, last_seen };
                self.json(PRESENCE, &row);
            }
            Output::Machine(info) => self.record(&Record::Machine(Arc::clone(info))),
            Output::Processes(table) => self.record(&Record::Processes(Arc::clone(table))),
            Output::Rejected(rejected) => self.record(&Record::Rejected(Arc::clone(rejected))),
            Output::Resent(resent) => self.record(&Record::Resent(Arc::clone(resent))),
            Output::Repair(repair) => self.json(REPAIR, repair.as_ref()),
            Output::Fleet(fleet) => self.json(FLEET, &FleetJson::from(fleet.as_ref())),
            // For the live view only: no store has a place for them.
            Output::Hottest(_) | Output::Group(_) => {}
        }
    }

    fn layout(&mut self, roster: &Arc<Roster>) -> Arc<Layout> {
        let address = Arc::as_ptr(roster).addr();
        if let Some(layout) = self.layouts.get(&address) {
            return Arc::clone(layout);
        }
        let keys = roster.series.iter().map(|key| key.as_ref().clone()).collect();
        let layout = Arc::new(Layout::new(roster.machine.clone(), keys));
        self.record(&Record::Layout(Arc::clone(&layout)));
        self.layouts.insert(address, Arc::clone(&layout));
        layout
    }

    fn window(&mut self, rows: &Aggregates) {
        let id = self.layout(&rows.roster).id;
        self.entry(WINDOW, |out| {
            out.extend_from_slice(&id.0.to_le_bytes());
            out.push(u8::from(rows.window.width == Width::Hour));
            out.push(u8::from(rows.is_final));
            out.extend_from_slice(&rows.window.start.micros().to_le_bytes());
            out.extend_from_slice(&rows.revision.to_le_bytes());
            for (slot, row) in rows.rows.iter() {
                out.extend_from_slice(&slot.0.to_le_bytes());
                out.extend_from_slice(&row.count.to_le_bytes());
                for value in [row.sum, row.min, row.max, row.last] {
                    out.extend_from_slice(&value.to_le_bytes());
                }
                out.extend_from_slice(&row.last_time.micros().to_le_bytes());
            }
        });
    }
}

/// The same samples under a layout that lists the machine's roster.
fn rebound(bound: &Bound, layout: Arc<Layout>) -> Batch {
    let batch = bound.batch.as_ref();
    let is_whole = bound.is_dense() && batch.len() == layout.series.len();
    let positions = if is_whole {
        Positions::All
    } else {
        // A machine has far fewer series than u16 has values; ingest's limit is in the thousands.
        let slot = |index| u16::try_from(bound.slot(index).0).unwrap_or(u16::MAX);
        Positions::List((0..batch.len()).map(slot).collect())
    };
    Batch { layout, positions, ..batch.clone() }
}

impl From<&Transition> for TransitionJson {
    fn from(transition: &Transition) -> Self {
        Self {
            rule: Arc::clone(&transition.rule),
            machine: transition.machine.clone(),
            series: Arc::clone(&transition.series),
            fired: transition.change == Change::Fired,
            cause: transition.cause,
            value: transition.value.to_bits(),
            at: transition.at,
            since: transition.since,
            t: transition.t,
        }
    }
}

impl From<TransitionJson> for Transition {
    fn from(row: TransitionJson) -> Self {
        Self {
            rule: row.rule,
            machine: row.machine,
            series: row.series,
            change: if row.fired { Change::Fired } else { Change::Resolved },
            cause: row.cause,
            value: f64::from_bits(row.value),
            at: row.at,
            since: row.since,
            t: row.t,
        }
    }
}

pub(crate) fn decode(bytes: &[u8], upto: LogicalTime) -> Result<WriteBatch, CodecError> {
    let mut reader = Reader::default();
    let (version, mut rest) = bytes.split_first().ok_or(CodecError::Malformed("empty"))?;
    if *version != VERSION {
        return Err(CodecError::UnknownKind(*version));
    }
    while let Some((tag, tail)) = rest.split_first() {
        let (len, tail) = tail.split_first_chunk::<4>().ok_or(CodecError::Malformed("cut short"))?;
        let len = u32::from_le_bytes(*len) as usize;
        let (body, tail) = tail.split_at_checked(len).ok_or(CodecError::Malformed("cut short"))?;
        reader.entry(*tag, body)?;
        rest = tail;
    }
    Ok(WriteBatch { groups: reader.groups, upto })
}

#[derive(Default)]
struct Reader {
    decoder: Decoder,
    layouts: HashMap<LayoutId, Arc<BoundLayout>>,
    groups: Vec<Group>,
}

impl Reader {
    fn entry(&mut self, tag: u8, body: &[u8]) -> Result<(), CodecError> {
        let output = match tag {
            GROUP => {
                let t = u64::from_le_bytes(body.try_into().map_err(|_length| CodecError::Malformed("group"))?);
                self.groups.push(Group { t, outputs: Vec::new() });
                return Ok(());
            }
            RECORD => match self.record(body)? {
                Some(output) => output,
                None => return Ok(()),
            },
            WINDOW => self.window(body)?,
            TRANSITION => Output::Transition(Arc::new(serde_json::from_slice::<TransitionJson>(body)?.into())),
            PRESENCE => {
                let row: PresenceJson = serde_json::from_slice(body)?;
                Output::Presence(Arc::new(Presence {
                    machine: row.machine,
                    status: row.status,
                    at: row.at,
                    last_seen: row.last_seen,
                }))
            }
            REPAIR => Output::Repair(Arc::new(serde_json::from_slice(body)?)),
            FLEET => Output::Fleet(Arc::new(serde_json::from_slice::<FleetJson>(body)?.into())),
            STANDING => Output::Standing(Arc::new(serde_json::from_slice(body)?)),
            other => return Err(CodecError::UnknownKind(other)),
        };
        let group = self.groups.last_mut().ok_or(CodecError::Malformed("an output before its group"))?;
        group.outputs.push(output);
        Ok(())
    }

    fn record(&mut self, body: &[u8]) -> Result<Option<Output>, CodecError> {
        Ok(match self.decoder.decode(body)? {
            Record::Layout(layout) => {
                let roster = Roster {
                    machine: layout.machine.clone(),
                    index: 0,
                    series: layout.series.iter().map(|key| Arc::new(key.clone())).collect(),
                };
                let bound = BoundLayout::new(Arc::new(roster), Slots::Identity);
                self.layouts.insert(layout.id, Arc::new(bound));
                None
            }
            Record::Batch(batch) => {
                let layout = Arc::clone(self.bound(batch.layout.id)?);
                Some(Output::Samples(Bound::new(batch, layout)))
            }
            Record::Machine(info) => Some(Output::Machine(info)),
            Record::Processes(table) => Some(Output::Processes(table)),
            Record::Rejected(rejected) => Some(Output::Rejected(rejected)),
            Record::Resent(resent) => Some(Output::Resent(resent)),
            Record::Rules(_) | Record::Silences(_) | Record::Mark(_) => {
                return Err(CodecError::Malformed("not an output"));
            }
        })
    }

    fn window(&self, body: &[u8]) -> Result<Output, CodecError> {
        let (head, rows) = body.split_first_chunk::<26>().ok_or(CodecError::Malformed("window"))?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| head[at + n]));
        let roster = Arc::clone(&self.bound(LayoutId(number(0)))?.roster);
        let (rows, []) = rows.as_chunks::<ROW_BYTES>() else {
            return Err(CodecError::Malformed("window rows"));
        };
        let rows: Vec<(Slot, Aggregate)> = rows.iter().map(row).collect();
        if rows.iter().any(|(slot, _)| roster.series.len() <= slot.index()) {
            return Err(CodecError::Malformed("window row without a series"));
        }
        let width = if head[8] == 0 { Width::Minute } else { Width::Hour };
        let aggregates = Arc::new(Aggregates {
            roster,
            window: Window { start: Timestamp::from_micros(number(10).cast_signed()), width },
            revision: number(18),
            is_final: head[9] != 0,
            rows: Rows::Some(rows.into()),
        });
        Ok(match width {
            Width::Minute => Output::Minute(aggregates),
            Width::Hour => Output::Hour(aggregates),
        })
    }

    fn bound(&self, id: LayoutId) -> Result<&Arc<BoundLayout>, CodecError> {
        self.layouts.get(&id).ok_or(CodecError::UnknownLayout(id.0))
    }
}

fn row(bytes: &[u8; ROW_BYTES]) -> (Slot, Aggregate) {
    let number = |column: usize| u64::from_le_bytes(std::array::from_fn(|n| bytes[4 + column * 8 + n]));
    let float = |column| f64::from_bits(number(column));
    let aggregate = Aggregate {
        count: number(0),
        sum: float(1),
        min: float(2),
        max: float(3),
        last: float(4),
        last_time: Timestamp::from_micros(number(5).cast_signed()),
    };
    (Slot(u32::from_le_bytes(std::array::from_fn(|n| bytes[n]))), aggregate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{
        at, fleet_minute, frame, presence, rejected, repair, resent, roster, rule, samples, standing, transition,
        window,
    };
    use model::{MachineInfo, Severity, Standing, Tag};

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
