//! Layouts of one stream: the sender's numbers, and what became of each at the door.
//!
//! Bounded: beyond the limit the layout sent longest ago is forgotten; a frame that still names it makes the hub ask for it again.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{Layout, RejectReason};

/// A layout as admitted.
#[derive(Debug, Clone)]
pub(crate) struct KnownLayout {
    pub(crate) layout: Arc<Layout>,
    /// For each series as sent: its position in `layout`, or why it is refused.
    pub(crate) positions: Box<[Result<u16, RejectReason>]>,
    /// Nothing was refused: positions as sent are positions of `layout`.
    pub(crate) is_whole: bool,
}

impl KnownLayout {
    pub(crate) fn new(layout: Arc<Layout>, positions: Vec<Result<u16, RejectReason>>) -> Self {
        let is_whole = positions.iter().all(Result::is_ok);
        Self { layout, positions: positions.into(), is_whole }
    }
}

#[derive(Debug)]
pub(crate) struct StreamLayouts {
    known: VecDeque<(u32, Arc<KnownLayout>)>,
    layouts_max: usize,
}

impl StreamLayouts {
    pub(crate) fn new(layouts_max: usize) -> Self {
        Self { known: VecDeque::new(), layouts_max: layouts_max.max(1) }
    }

    /// A number that is sent again means the new layout from then on.
    pub(crate) fn insert(&mut self, id: u32, layout: KnownLayout) {
        self.known.retain(|(known, _)| *known != id);
        if self.known.len() == self.layouts_max {
            self.known.pop_front();
        }
        self.known.push_back((id, Arc::new(layout)));
    }

    /// The newest is looked at first: it is nearly always the one.
    pub(crate) fn get(&self, id: u32) -> Option<&Arc<KnownLayout>> {
        self.known.iter().rev().find(|(known, _)| *known == id).map(|(_, layout)| layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::MachineId;

    #[test]
    fn the_layout_sent_longest_ago_is_forgotten() {
        let machine = MachineId::parse("a").unwrap();
        let layout = || KnownLayout::new(Arc::new(Layout::new(machine.clone(), Vec::new())), Vec::new());
        let mut layouts = StreamLayouts::new(2);
        for id in [1, 2, 1, 3] {
            layouts.insert(id, layout());
        }
        assert!(layouts.get(2).is_none() && layouts.get(1).is_some() && layouts.get(3).is_some());
    }
}
