//! Encode: outputs to bytes, each roster named once.
//!
//! A roster is known by its address, which is nobody else's for as long as the encoder holds a weak reference: the roster itself may go.

use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use serde::Serialize;

use super::shapes::{FleetJson, HottestJson, PresenceJson, TransitionJson};
use super::{FLEET, FORGET, GROUP, HOTTEST, PRESENCE, RECORD, REPAIR, STANDING, TIME, TRANSITION, WINDOW};
use crate::aggregate::Aggregates;
use crate::batch::{Layout, LayoutId, Positions};
use crate::bound::{Bound, Roster};
use crate::codec;
use crate::output::Output;
use crate::record::Record;
use crate::time::LogicalTime;
use crate::window::Width;

/// Series that may be named before the encoder looks how many of them there still are: some 40 MB at the decoder.
const SERIES_MIN: usize = 1 << 20;

/// Names rosters as it goes: what it writes is read in its order, from its beginning.
#[derive(Debug)]
pub struct Encoder {
    /// By address.
    pub(super) named: HashMap<usize, Named>,
    /// Of all that are named.
    pub(super) series: usize,
    /// Beyond it everything is named anew.
    series_max: usize,
    /// What `series_max` never falls below.
    series_min: usize,
}

#[derive(Debug)]
pub(super) struct Named {
    roster: Weak<Roster>,
    id: LayoutId,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    pub fn new() -> Self {
        Self::forgetting_at(SERIES_MIN)
    }

    pub(super) fn forgetting_at(series: usize) -> Self {
        Self { named: HashMap::new(), series: 0, series_max: series, series_min: series }
    }

    /// The outputs that follow are of this time.
    pub fn time(&self, t: LogicalTime, out: &mut Vec<u8>) {
        entry(TIME, out, |out| out.extend_from_slice(&t.to_le_bytes()));
    }

    pub fn output(&mut self, output: &Output, out: &mut Vec<u8>) {
        match output {
            Output::Samples(bound) => self.samples(bound, out),
            Output::Minute(rows) | Output::Hour(rows) => self.window(rows, out),
            Output::Transition(transition) => json(TRANSITION, &TransitionJson::from(transition.as_ref()), out),
            Output::Standing(change) => json(STANDING, change.as_ref(), out),
            Output::Group(change) => json(GROUP, change.as_ref(), out),
            Output::Presence(presence) => json(PRESENCE, &PresenceJson::from(presence.as_ref()), out),
            Output::Machine(info) => record(&Record::Machine(Arc::clone(info)), out),
            Output::Processes(table) => record(&Record::Processes(Arc::clone(table)), out),
            Output::Rejected(rejected) => record(&Record::Rejected(Arc::clone(rejected)), out),
            Output::Resent(resent) => record(&Record::Resent(Arc::clone(resent)), out),
            Output::Repair(repair) => json(REPAIR, repair.as_ref(), out),
            Output::Fleet(fleet) => json(FLEET, &FleetJson::from(fleet.as_ref()), out),
            Output::Hottest(hottest) => json(HOTTEST, &HottestJson::from(hottest.as_ref()), out),
        }
    }

    /// As `output` of `Output::Samples`: the same samples under a layout that lists the machine's roster.
    pub fn samples(&mut self, bound: &Bound, out: &mut Vec<u8>) {
        let (id, batch) = (self.name(bound.roster(), out), bound.batch.as_ref());
        let is_whole = bound.is_dense() && batch.len() == bound.width();
        let slots = (!is_whole && bound.rising().is_none()).then(|| {
            // A machine has far fewer series than u16 has values; ingest's limit is in the thousands.
            let slot = |index| u16::try_from(bound.slot(index).0).unwrap_or(u16::MAX);
            Positions::List((0..batch.len()).map(slot).collect())
        });
        // Where positions are slots they go as they are.
        let positions = slots.as_ref().unwrap_or(&batch.positions);
        entry(RECORD, out, |out| codec::encode_batch(batch, (id, positions), out));
    }

    fn window(&mut self, rows: &Aggregates, out: &mut Vec<u8>) {
        let id = self.name(&rows.roster, out);
        entry(WINDOW, out, |out| {
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

    /// The layout that lists the roster, which goes ahead if it is new.
    fn name(&mut self, roster: &Arc<Roster>, out: &mut Vec<u8>) -> LayoutId {
        let address = Arc::as_ptr(roster).addr();
        if let Some(named) = self.named.get(&address) {
            return named.id;
        }
        if self.series_max < self.series.saturating_add(weight(roster)) {
            self.forget(out);
        }
        let keys = roster.series.iter().map(|key| key.as_ref().clone()).collect();
        let layout = Arc::new(Layout::new(roster.machine.clone(), keys));
        let id = layout.id;
        record(&Record::Layout(layout), out);
        self.series += weight(roster);
        self.named.insert(address, Named { roster: Arc::downgrade(roster), id });
        id
    }

    /// As many may be named as there are now twice over, so that what is in use is seldom named again.
    fn forget(&mut self, out: &mut Vec<u8>) {
        let living = self.named.values().filter_map(|named| named.roster.upgrade());
        let series: usize = living.map(|roster| weight(&roster)).sum();
        self.series_max = series.saturating_mul(2).max(self.series_min);
        self.series = 0;
        self.named.clear();
        entry(FORGET, out, |_| {});
    }
}

/// A roster without series takes room, too.
fn weight(roster: &Roster) -> usize {
    roster.series.len() + 1
}

fn entry(tag: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    // An output is bounded where it is made, far below 4 GiB.
    let len = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

fn record(record: &Record, out: &mut Vec<u8>) {
    entry(RECORD, out, |out| codec::encode(record, out));
}

fn json(tag: u8, value: &impl Serialize, out: &mut Vec<u8>) {
    // Plain structs with string keys: serde_json has no reason to refuse them.
    entry(tag, out, |out| serde_json::to_writer(out, value).expect("plain data serializes"));
}
