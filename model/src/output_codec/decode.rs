//! Decode: bytes to outputs. Outputs of one roster share it, as they did where they come from, also across what an encoder forgot.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use hashbrown::HashMap;

use super::shapes::{FleetJson, HottestJson, PresenceJson, TransitionJson};
use super::{FLEET, FORGET, GROUP, HOTTEST, PRESENCE, RECORD, REPAIR, ROW_BYTES, STANDING, TIME, TRANSITION, WINDOW};
use crate::aggregate::{Aggregate, Aggregates};
use crate::batch::{Layout, LayoutId};
use crate::bound::{Bound, BoundLayout, Roster, Slots};
use crate::cells::Rows;
use crate::codec::{self, CodecError};
use crate::ids::Slot;
use crate::output::Output;
use crate::record::Record;
use crate::series::SeriesKey;
use crate::time::{LogicalTime, Timestamp};
use crate::window::{Width, Window};

/// Keys that rosters share; beyond it they are shared no more with older ones.
const KEYS_MAX: usize = 65_536;

/// What the bytes say.
#[derive(Debug, Clone)]
pub enum Entry {
    /// The outputs that follow are of this time.
    Time(LogicalTime),
    Output(Output),
}

/// Reads what one encoder wrote, in its order.
#[derive(Debug, Default)]
pub struct Decoder {
    records: codec::Decoder,
    layouts: HashMap<LayoutId, Arc<BoundLayout>>,
    /// Rosters that were forgotten and that somebody still holds: named again they are the same ones.
    former: HashMap<LayoutId, Weak<Roster>>,
    keys: HashSet<Arc<SeriesKey>>,
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// # Errors
    /// When the bytes are cut short or are no encoder's; `take` has then been given what came before.
    pub fn read(&mut self, bytes: &[u8], mut take: impl FnMut(Entry)) -> Result<(), CodecError> {
        let (mut rest, mut is_timed) = (bytes, false);
        while let Some((tag, tail)) = rest.split_first() {
            let (len, tail) = tail.split_first_chunk::<4>().ok_or(CodecError::Malformed("cut short"))?;
            let len = u32::from_le_bytes(*len) as usize;
            let (body, tail) = tail.split_at_checked(len).ok_or(CodecError::Malformed("cut short"))?;
            rest = tail;
            let Some(entry) = self.entry(*tag, body)? else { continue };
            is_timed |= matches!(entry, Entry::Time(_));
            if !is_timed {
                return Err(CodecError::Malformed("an output before its time"));
            }
            take(entry);
        }
        Ok(())
    }

    fn entry(&mut self, tag: u8, body: &[u8]) -> Result<Option<Entry>, CodecError> {
        let output = match tag {
            TIME => {
                let t = body.try_into().map_err(|_length| CodecError::Malformed("time"))?;
                return Ok(Some(Entry::Time(LogicalTime::from_le_bytes(t))));
            }
            FORGET => {
                self.forget();
                return Ok(None);
            }
            RECORD => match self.record(body)? {
                Some(output) => output,
                None => return Ok(None),
            },
            WINDOW => self.window(body)?,
            TRANSITION => Output::Transition(Arc::new(serde_json::from_slice::<TransitionJson>(body)?.into())),
            PRESENCE => Output::Presence(Arc::new(serde_json::from_slice::<PresenceJson>(body)?.into())),
            REPAIR => Output::Repair(Arc::new(serde_json::from_slice(body)?)),
            FLEET => Output::Fleet(Arc::new(serde_json::from_slice::<FleetJson>(body)?.into())),
            STANDING => Output::Standing(Arc::new(serde_json::from_slice(body)?)),
            HOTTEST => Output::Hottest(Arc::new(serde_json::from_slice::<HottestJson>(body)?.into())),
            GROUP => Output::Group(Arc::new(serde_json::from_slice(body)?)),
            other => return Err(CodecError::UnknownKind(other)),
        };
        Ok(Some(Entry::Output(output)))
    }

    fn forget(&mut self) {
        self.records = codec::Decoder::new();
        self.former.retain(|_, roster| roster.strong_count() > 0);
        let forgotten = self.layouts.drain().map(|(id, bound)| (id, Arc::downgrade(&bound.roster)));
        self.former.extend(forgotten.filter(|(_, roster)| roster.strong_count() > 0));
    }

    fn record(&mut self, body: &[u8]) -> Result<Option<Output>, CodecError> {
        Ok(match self.records.decode(body)? {
            Record::Layout(layout) => {
                self.named(&layout);
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

    /// A roster that is named again is the one that was: readers compare addresses before they compare names.
    fn named(&mut self, layout: &Layout) {
        if self.layouts.contains_key(&layout.id) {
            return;
        }
        let former = self.former.remove(&layout.id).and_then(|roster| roster.upgrade());
        let roster = former.unwrap_or_else(|| self.roster(layout));
        self.layouts.insert(layout.id, Arc::new(BoundLayout::new(roster, Slots::Identity)));
    }

    fn roster(&mut self, layout: &Layout) -> Arc<Roster> {
        let series = layout.series.iter().map(|key| self.shared(key)).collect();
        Arc::new(Roster { machine: layout.machine.clone(), index: 0, series })
    }

    fn shared(&mut self, key: &SeriesKey) -> Arc<SeriesKey> {
        if let Some(known) = self.keys.get(key) {
            return Arc::clone(known);
        }
        if self.keys.len() == KEYS_MAX {
            self.keys.clear();
        }
        let key = Arc::new(key.clone());
        self.keys.insert(Arc::clone(&key));
        key
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
