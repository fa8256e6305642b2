//! Share: what leaves the graph here is told to every other process, so that each can show the whole fleet.
//!
//! In: this worker's outputs, and its conflated samples where a sink wants all of them. Out: those, and beside them what the worker of the
//! same number in each other process has told; all of one machine in its order, for it is one worker's.
//! What is near stays as it is. What goes far is packed once for all, one bulletin per activation, samples before the changes that they caused;
//! rosters are named once, which serves all, since all are told everything. Loss: what concerns only the store of the process that made it.
//! Time: the frontier behind it is that of all workers: what is below has been told to everybody, here and elsewhere.
//! Bounds: channels between processes have none, but what is told comes of what `order` lets go on: a process that does not read does not let
//! its own part go on either, for what it is told comes on the same connection before the progress that it waits for. So the
//! flights of all fill, and no more is under way than what they count and what one activation makes of it (ADR 0026, 0028).
//! Invariants: P-2 every process is told everything, in order, once.

use std::sync::Arc;

use model::codec::CodecError;
use model::output_codec::{Decoder, Encoder, Entry};
use model::{Bound, LogicalTime, Output};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Capability, Concat, InputCapability};
use timely::progress::operate::FrontierInterest;

use crate::introspect::{Counted, Meter};
use crate::operators::live::{Batches, Kept, KeptRecords};
use crate::settings::Settings;
use crate::stage::{At, Records, Shared};

/// What leaves the graph.
#[derive(Clone)]
pub(crate) struct Leaving<'s> {
    pub(crate) changes: Records<'s, Output>,
    pub(crate) samples: Option<KeptRecords<'s>>,
}

/// What one worker tells one of another process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bulletin {
    to: u32,
    from: u32,
    #[serde(with = "super::bytes")]
    news: Arc<[u8]>,
}

/// Packs what one worker tells all others.
pub(crate) struct Teller {
    from: u32,
    /// The workers that are told.
    others: Vec<u32>,
    encoder: Encoder,
    /// Time of the newest output packed in this bulletin.
    t: Option<LogicalTime>,
    news: Vec<u8>,
}

impl Teller {
    pub(crate) fn new(worker: usize, settings: &Settings) -> Self {
        // Workers are threads: there are few.
        let number = |worker: usize| u32::try_from(worker).unwrap_or(u32::MAX);
        let workers = settings.workers.max(1);
        let same = (worker % workers..settings.peers()).step_by(workers);
        let others = same.filter(|other| *other != worker).map(number).collect();
        Self { from: number(worker), others, encoder: Encoder::new(), t: None, news: Vec::new() }
    }

    pub(crate) fn samples(&mut self, t: LogicalTime, samples: &Bound) {
        self.time(t);
        self.encoder.samples(samples, &mut self.news);
    }

    pub(crate) fn change(&mut self, t: LogicalTime, change: &Output) {
        if concerns_all(change) {
            self.time(t);
            self.encoder.output(change, &mut self.news);
        }
    }

    fn time(&mut self, t: LogicalTime) {
        if self.t != Some(t) {
            self.encoder.time(t, &mut self.news);
            self.t = Some(t);
        }
    }

    /// One for each of the others; none where there is nothing to tell.
    pub(crate) fn bulletins(&mut self) -> Vec<Bulletin> {
        if self.news.is_empty() {
            return Vec::new();
        }
        let news: Arc<[u8]> = self.news.as_slice().into();
        self.t = None;
        self.news.clear();
        let bulletin = |to: &u32| Bulletin { to: *to, from: self.from, news: Arc::clone(&news) };
        self.others.iter().map(bulletin).collect()
    }
}

/// Whether more than the store of the process that made it has a use for it.
fn concerns_all(output: &Output) -> bool {
    match output {
        Output::Samples(_)
        | Output::Transition(_)
        | Output::Standing(_)
        | Output::Group(_)
        | Output::Presence(_)
        | Output::Machine(_)
        | Output::Processes(_)
        | Output::Rejected(_)
        | Output::Resent(_)
        | Output::Hottest(_) => true,
        Output::Minute(_) | Output::Hour(_) | Output::Repair(_) | Output::Fleet(_) => false,
    }
}

/// Unpacks what the others tell.
pub(crate) struct Listener {
    /// By worker.
    decoders: Vec<Decoder>,
}

/// What was heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) changes: Vec<At<Output>>,
    pub(crate) samples: Vec<At<Bound>>,
}

impl Listener {
    pub(crate) fn new(peers: usize) -> Self {
        Self { decoders: (0..peers).map(|_| Decoder::new()).collect() }
    }

    /// # Errors
    /// What cannot be read: another version's bytes.
    pub(crate) fn take(&mut self, bulletin: &Bulletin, heard: &mut Heard) -> Result<(), CodecError> {
        let decoder = self.decoders.get_mut(bulletin.from as usize);
        let mut t = 0;
        decoder.ok_or(CodecError::Malformed("an unknown worker"))?.read(&bulletin.news, |entry| match entry {
            Entry::Time(time) => t = time,
            Entry::Output(Output::Samples(item)) => heard.samples.push(At { t, item }),
            Entry::Output(item) => heard.changes.push(At { t, item }),
        })
    }
}

/// What leaves here, and what leaves at every other process.
pub(crate) fn share<'s>(own: Leaving<'s>, settings: &Settings) -> Leaving<'s> {
    let heard = hear(tell(own.clone(), settings), settings);
    let both = |(own, heard): (KeptRecords<'s>, KeptRecords<'s>)| own.concat(heard);
    Leaving { changes: own.changes.concat(heard.changes), samples: own.samples.zip(heard.samples).map(both) }
}

type Bulletins<'s> = StreamVec<'s, LogicalTime, Bulletin>;

fn tell<'s>(own: Leaving<'s>, settings: &Settings) -> Bulletins<'s> {
    let scope = own.changes.scope();
    let mut builder = OperatorBuilder::new("share".to_owned(), scope);
    let meter = Meter::of(scope.worker(), &builder.operator_info(), "share");
    let pact = Counted::on(&own.changes);
    let mut changes = builder.new_input(own.changes, pact);
    let mut samples = own.samples.map(|samples| {
        let pact = Counted::on(&samples);
        builder.new_input(samples, pact)
    });
    for input in 0..=usize::from(samples.is_some()) {
        builder.set_notify_for(input, FrontierInterest::Never);
    }
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Vec<Bulletin>>>::from(output);
    let mut teller = Teller::new(scope.index(), settings);
    builder.build(move |_capabilities| {
        move |_frontiers| {
            let _running = meter.run();
            let mut oldest = None;
            if let Some(samples) = &mut samples {
                samples.for_each(|time, records| {
                    keep_oldest(&mut oldest, &time);
                    records.each(|At { t, item }| teller.samples(*t, item));
                });
            }
            changes.for_each(|time, records| {
                keep_oldest(&mut oldest, &time);
                records.drain(..).for_each(|At { t, item }| teller.change(t, &item));
            });
            let mut bulletins = teller.bulletins();
            if let Some(capability) = oldest.filter(|_| !bulletins.is_empty()) {
                meter.gave(bulletins.len());
                output.activate().session(&capability).give_container(&mut bulletins);
            }
        }
    });
    stream
}

/// What several messages bring goes in one bulletin, under the oldest one's capability.
fn keep_oldest(oldest: &mut Option<Capability<LogicalTime>>, time: &InputCapability<LogicalTime>) {
    if oldest.as_ref().is_none_or(|oldest| time.time() < oldest.time()) {
        *oldest = Some(time.retain(0));
    }
}

fn hear<'s>(bulletins: Bulletins<'s>, settings: &Settings) -> Leaving<'s> {
    let scope = bulletins.scope();
    let mut builder = OperatorBuilder::new("hear".to_owned(), scope);
    let meter = Meter::of(scope.worker(), &builder.operator_info(), "hear");
    let mut input = builder.new_input(bulletins, Exchange::new(|bulletin: &Bulletin| u64::from(bulletin.to)));
    builder.set_notify_for(0, FrontierInterest::Never);
    let (changes, change_stream) = builder.new_output();
    let (samples, sample_stream) = builder.new_output();
    let mut changes = OutputBuilder::<_, CapacityContainerBuilder<Vec<At<Output>>>>::from(changes);
    let mut samples = OutputBuilder::<_, CapacityContainerBuilder<Kept>>::from(samples);
    let mut listener = Listener::new(settings.peers());
    builder.build(move |_capabilities| {
        let mut heard = Heard::default();
        move |_frontiers| {
            let _running = meter.run();
            input.for_each(|time, bulletins| {
                for bulletin in bulletins.drain(..) {
                    // The processes have made sure of each other's version; a lost output would be worse than a stop.
                    listener.take(&bulletin, &mut heard).expect("another process' outputs can be read");
                }
                meter.gave(heard.changes.len() + heard.samples.len());
                if !heard.samples.is_empty() {
                    let mut shared = Kept::from(Shared::new(std::mem::take(&mut heard.samples)));
                    let capability = time.retain(1);
                    samples.activate().session(&capability).give_container(&mut shared);
                }
                if !heard.changes.is_empty() {
                    changes.activate().session(&time).give_container(&mut heard.changes);
                }
            });
        }
    });
    Leaving { changes: change_stream, samples: Some(sample_stream) }
}

#[cfg(test)]
mod tests {
    use model::{MachineId, MachineInfo, Timestamp};

    use super::*;
    use crate::operators::fixtures::{Feed, settings};

    fn machine(name: &str) -> Output {
        let machine = MachineId::parse(name).unwrap();
        Output::Machine(Arc::new(MachineInfo::unknown(machine, Timestamp::from_millis(5))))
    }

    #[test]
    fn each_worker_tells_the_one_of_its_number_in_each_other_process() {
        let settings = Settings { workers: 2, processes: 3, ..settings() };
        let others = |worker| Teller::new(worker, &settings).others;
        assert_eq!([0, 3, 4].map(others), [vec![2, 4], vec![1, 5], vec![0, 2]]);
    }

    #[test]
    fn what_is_told_is_heard_with_its_times_in_order_and_once() {
        let settings = Settings { workers: 1, processes: 3, ..settings() };
        let (mut teller, mut listener) = (Teller::new(1, &settings), Listener::new(3));
        let (mut feed, mut heard) = (Feed::new("db-1", 2), Heard::default());
        for second in [1.0, 2.0] {
            teller.samples(7, &feed.frame(second, &[1.0, 2.0]));
            teller.change(7, &machine("a"));
            teller.change(6, &machine("b"));
            let bulletins = teller.bulletins();
            assert_eq!(
                bulletins.iter().map(|bulletin| (bulletin.from, bulletin.to)).collect::<Vec<_>>(),
                [(1, 0), (1, 2)]
            );
            listener.take(&bulletins[0], &mut heard).unwrap();
        }
        assert!(teller.bulletins().is_empty(), "nothing more to tell");
        assert_eq!(heard.changes.iter().map(|at| at.t).collect::<Vec<_>>(), [7, 6, 7, 6]);
        let [first, second] = &heard.samples[..] else { panic!("two frames: {:?}", heard.samples) };
        assert!((first.t, second.t) == (7, 7) && Arc::ptr_eq(first.item.roster(), second.item.roster()));
        let stranger = Bulletin { to: 0, from: 3, news: Arc::default() };
        assert!(listener.take(&stranger, &mut heard).is_err());
    }

    #[test]
    fn windows_stay_with_the_store_of_their_process() {
        let mut teller = Teller::new(0, &Settings { processes: 2, ..settings() });
        let repair = model::Repair { machine: MachineId::parse("a").unwrap(), minute: Timestamp::EPOCH };
        teller.change(7, &Output::Repair(Arc::new(repair)));
        assert!(teller.bulletins().is_empty());
    }
}
