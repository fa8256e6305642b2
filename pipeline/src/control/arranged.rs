//! Arranged: collections indexed by key, under a name of their own and with the size of a record told to introspection.

use differential_dataflow::hashable::Hashable;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::implementations::ValSpine;
use differential_dataflow::{ExchangeData, VecCollection};
use model::LogicalTime;

use crate::introspect::weigh;

/// Values by key.
pub type ByKey<'s, K, V> = Arranged<'s, TraceAgent<ValSpine<K, V, LogicalTime, isize>>>;

pub fn by_key<'s, K, V>(collection: VecCollection<'s, LogicalTime, (K, V)>, name: &'static str) -> ByKey<'s, K, V>
where
    K: ExchangeData + Hashable,
    V: ExchangeData,
{
    let scope = collection.inner.scope();
    let arranged = collection.arrange_by_key_named(name);
    weigh(scope.worker(), arranged.trace.operator().global_id, name, size_of::<(K, V, LogicalTime, isize)>());
    arranged
}
