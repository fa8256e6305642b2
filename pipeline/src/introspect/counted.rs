//! Counted: the pipeline pact of a metered operator's input: what was sent on it and what was taken.

use std::rc::Rc;
use std::sync::Arc;

use timely::Accountable;
use timely::communication::{Pull, Push};
use timely::dataflow::Stream;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::{ParallelizationContract, Pipeline};
use timely::logging::TimelyLogger;
use timely::progress::Timestamp;
use timely::worker::Worker;

use super::table::Channel;
use super::{Detail, found};

/// Timely's `Pipeline`, counted.
pub(crate) struct Counted {
    /// Operator and port that the records come from.
    source: (usize, usize),
}

/// An end of a counted channel; the same on both ends, so that a message counts where it is pushed and where it is pulled.
pub(crate) struct End<P> {
    inner: P,
    worker: usize,
    row: Option<Arc<Channel>>,
}

type Pusher<T, C> = <Pipeline as ParallelizationContract<T, C>>::Pusher;
type Puller<T, C> = <Pipeline as ParallelizationContract<T, C>>::Puller;

impl Counted {
    /// For the input that takes `stream`.
    pub(crate) fn on<T: Timestamp, C>(stream: &Stream<'_, T, C>) -> Self {
        Self { source: (stream.name().node, stream.name().port) }
    }

    fn row(&self, worker: &Worker, id: usize, address: &[usize]) -> Option<Arc<Channel>> {
        let (Detail::Operators, table) = found(worker)? else {
            return None;
        };
        let (operator, scope) = address.split_last()?;
        Some(table.add_input(id, scope, self.source, *operator))
    }
}

impl<T: 'static, C: Accountable + 'static> ParallelizationContract<T, C> for Counted {
    type Pusher = End<Pusher<T, C>>;
    type Puller = End<Puller<T, C>>;

    fn connect(
        self,
        worker: &Worker,
        identifier: usize,
        address: Rc<[usize]>,
        logging: Option<TimelyLogger>,
    ) -> (Self::Pusher, Self::Puller) {
        let (row, index) = (self.row(worker, identifier, &address), worker.index());
        let (pusher, puller) = Pipeline.connect(worker, identifier, address, logging);
        (End { inner: pusher, worker: index, row: row.clone() }, End { inner: puller, worker: index, row })
    }
}

fn records<T, C: Accountable>(message: &Message<T, C>) -> u64 {
    u64::try_from(message.data.record_count()).unwrap_or(0)
}

impl<T, C: Accountable, P: Push<Message<T, C>>> Push<Message<T, C>> for End<P> {
    #[inline]
    fn push(&mut self, element: &mut Option<Message<T, C>>) {
        if let (Some(row), Some(message)) = (&self.row, &element)
            && let Some(sent) = row.sent_to(self.worker)
        {
            sent.add(records(message));
        }
        self.inner.push(element);
    }
}

impl<T, C: Accountable, P: Pull<Message<T, C>>> Pull<Message<T, C>> for End<P> {
    #[inline]
    fn pull(&mut self) -> &mut Option<Message<T, C>> {
        let pulled = self.inner.pull();
        if let (Some(row), Some(message)) = (&self.row, &pulled) {
            row.received.add(records(message));
        }
        pulled
    }
}
