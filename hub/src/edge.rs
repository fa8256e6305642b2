//! Edge: what may be seen outside goes to the public relay, where an address is given. It holds up nothing and nobody waits for it.

use std::sync::Arc;

use ::edge::publish::{Publisher, PublisherHandle, Sources};
use model::query::{History, HotState};
use sinks::memory::HotStore;

use crate::base::Base;
use crate::part::Part;

/// None without an address.
pub(crate) fn start(
    base: &Base,
    part: &mut Part,
    (hot, history): (&Arc<HotStore>, &Arc<dyn History>),
) -> Option<PublisherHandle> {
    let settings = base.config.edge.clone()?;
    let sources =
        Sources { hot: Arc::clone(hot) as Arc<dyn HotState>, history: Arc::clone(history), clock: base.clock() };
    let (publisher, handle) = Publisher::new(settings, sources, &base.registry);
    part.spawn("edge", publisher.run(part.token()));
    Some(handle)
}
