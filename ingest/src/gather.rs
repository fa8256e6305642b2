//! Gather: the samples of one machine on one stream, until they are a batch.
//!
//! A series is looked up by its number and by its labels as they are spelled in the message, without an allocation when it is known. The layout holds all
//! series met so far, in the order met; a batch lists the positions it has values for. Bounds: series by the layout's limit, spellings by a few of each.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use model::batch::LAYOUT_SERIES_MAX;
use model::{Batch, Layout, Positions, RejectReason, SeriesKey, SessionId, Times, Timestamp};
use proto::decode;
use proto::sample::Sample;

use crate::admission::Refusal;
use crate::context::Moment;
use crate::door::TooManySeries;
use crate::machines::Machine;
use crate::samples::check;
use crate::settings::Limits;

/// Labels can be spelled in as many ways as they have orders; what is spelled in yet another is looked up by its labels each time.
const SPELLINGS_MAX: usize = 4 * LAYOUT_SERIES_MAX;

/// How a series was seen written.
struct Spelling {
    kind: i32,
    labels: Box<[u8]>,
    position: u16,
}

pub(crate) struct Gather {
    pub(crate) machine: Arc<Machine>,
    /// When it was fed last, in the stream's turns.
    pub(crate) turn: u64,
    hasher: foldhash::fast::RandomState,
    spellings: HashTable<Spelling>,
    /// Positions in `series`, by name and labels.
    index: HashTable<u16>,
    series: Vec<SeriesKey>,
    /// Of the first so many series.
    layout: Option<Arc<Layout>>,
    positions: Vec<u16>,
    times: Vec<Timestamp>,
    values: Vec<f64>,
}

impl Gather {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        Self {
            machine,
            turn: 0,
            hasher: foldhash::fast::RandomState::default(),
            spellings: HashTable::new(),
            index: HashTable::new(),
            series: Vec::new(),
            layout: None,
            positions: Vec::new(),
            times: Vec::new(),
            values: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn add(&mut self, sample: &Sample, now: Moment, limits: &Limits) -> Result<(), Refusal> {
        let name = check(sample, now.arrival, limits)?;
        let hash = self.hasher.hash_one((sample.kind(), sample.spelled_labels()));
        let is_it = |seen: &Spelling| seen.kind == sample.kind() && *seen.labels == *sample.spelled_labels();
        let position = match self.spellings.find(hash, is_it) {
            Some(spelling) => spelling.position,
            None => self.learn(sample, name, hash, (now.monotonic_us, limits.series_per_machine_max))?,
        };
        self.positions.push(position);
        self.times.push(Timestamp::from_millis(sample.timestamp_ms()));
        self.values.push(sample.value());
        Ok(())
    }

    /// The series of a sample that is spelled as none before; `(monotonic_us, series_max)` are for a new one.
    fn learn(&mut self, sample: &Sample, name: &str, hash: u64, new: (u64, usize)) -> Result<u16, Refusal> {
        let labels = sample.labels();
        let position = match self.known(name, &labels) {
            Some(position) => position,
            None => self.meet(name, &labels, new.0, new.1)?,
        };
        if self.spellings.len() < SPELLINGS_MAX {
            let spelling = Spelling { kind: sample.kind(), labels: sample.spelled_labels().into(), position };
            let hasher = &self.hasher;
            self.spellings.insert_unique(hash, spelling, |seen| hasher.hash_one((seen.kind, &*seen.labels)));
        }
        Ok(position)
    }

    /// What was gathered; nothing is left behind.
    pub(crate) fn batch(&mut self, arrival: Timestamp) -> Option<Batch> {
        if self.values.is_empty() {
            return None;
        }
        let layout = self.layout();
        Some(Batch {
            layout,
            session: SessionId::NONE,
            sequence: 0,
            arrival,
            age_ms: 0,
            positions: Positions::List(self.positions.drain(..).collect()),
            times: Times::Each(self.times.drain(..).collect()),
            values: self.values.drain(..).collect(),
        })
    }

    fn layout(&mut self) -> Arc<Layout> {
        let is_current = |layout: &&Arc<Layout>| layout.series.len() == self.series.len();
        if let Some(layout) = self.layout.as_ref().filter(is_current) {
            return Arc::clone(layout);
        }
        let grown = Layout::new(self.machine.id.clone(), self.series.clone());
        let shared = self.machine.with_door(|door| door.share_layout(grown));
        self.layout = Some(Arc::clone(&shared));
        shared
    }

    fn known(&self, name: &str, labels: &BTreeMap<String, String>) -> Option<u16> {
        let is_it = |position: &u16| is_series(&self.series[usize::from(*position)], name, labels);
        self.index.find(self.hash(name, labels), is_it).copied()
    }

    /// Takes up a series that this stream has not sent before.
    fn meet(
        &mut self,
        name: &str,
        labels: &BTreeMap<String, String>,
        monotonic_us: u64,
        series_max: usize,
    ) -> Result<u16, Refusal> {
        let key = decode::labels(labels).and_then(|labels| SeriesKey::parse(name, labels));
        let key = key.map_err(|invalid| Refusal::new(RejectReason::BadName, 1, &invalid.to_string()))?;
        let too_many = |detail: &dyn Display| Refusal::new(RejectReason::TooManySeries, 1, &format!("{key}: {detail}"));
        if LAYOUT_SERIES_MAX <= self.series.len() {
            return Err(too_many(&format_args!("a stream names at most {LAYOUT_SERIES_MAX} series of a machine")));
        }
        let admitted = self.machine.with_door(|door| {
            door.admit_series(&key, monotonic_us, series_max)?;
            Ok(door.own(key.clone()))
        });
        let key = admitted.map_err(|full: TooManySeries| too_many(&full))?;
        let position = u16::try_from(self.series.len()).expect("a layout has at most 4096 series");
        let hash = self.hash(name, labels);
        self.series.push(key);
        let (series, hasher) = (&self.series, &self.hasher);
        let rehash = |position: &u16| {
            let key = &series[usize::from(*position)];
            hash_series(hasher, &key.metric, key.labels.iter())
        };
        self.index.insert_unique(hash, position, rehash);
        Ok(position)
    }

    fn hash(&self, name: &str, labels: &BTreeMap<String, String>) -> u64 {
        let pairs = labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        hash_series(&self.hasher, name, pairs)
    }
}

/// Both sides are sorted by label name.
fn is_series(key: &SeriesKey, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let sent = labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    key.metric.as_ref() == name && key.labels.len() == labels.len() && key.labels.iter().eq(sent)
}

fn hash_series<'a>(hasher: &impl BuildHasher, name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut state = hasher.build_hasher();
    name.hash(&mut state);
    labels.for_each(|pair| pair.hash(&mut state));
    state.finish()
}
