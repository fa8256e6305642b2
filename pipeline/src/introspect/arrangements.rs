//! Arrangements: differential's events folded into the size of what each operator keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use differential_dataflow::logging::DifferentialEvent;

use super::table::{Arrangement, Table};

/// One worker's fold. Bounded by the graph: one row per operator that arranges.
pub(super) struct Sizes {
    table: Arc<Table>,
    rows: BTreeMap<usize, Arc<Arrangement>>,
}

impl Sizes {
    pub(super) fn new(table: Arc<Table>) -> Self {
        Self { table, rows: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, event: DifferentialEvent) {
        self.table.events.add(1);
        match event {
            DifferentialEvent::Batch(batch) => self.resize(batch.operator, &[], batch.length),
            DifferentialEvent::Merge(merge) => {
                if let Some(merged) = merge.complete {
                    self.resize(merge.operator, &[merge.length1, merge.length2], merged);
                }
            }
            DifferentialEvent::Drop(dropped) => self.resize(dropped.operator, &[dropped.length], 0),
            DifferentialEvent::Batcher(batcher) => {
                let waiting = &self.row(batcher.operator).waiting_records;
                waiting.change(i64::try_from(batcher.records_diff).unwrap_or(0));
            }
            DifferentialEvent::MergeShortfall(_) | DifferentialEvent::TraceShare(_) => {}
        }
    }

    /// Batches of `gone` records give way to one of `come`. Empty batches only say how far a trace is: they are not counted.
    fn resize(&mut self, operator: usize, gone: &[usize], come: usize) {
        let row = self.row(operator);
        for length in gone.iter().filter(|length| **length > 0) {
            row.batches.change(-1);
            row.records.change(-signed(*length));
        }
        if come > 0 {
            row.batches.change(1);
            row.records.change(signed(come));
        }
    }

    fn row(&mut self, operator: usize) -> &Arrangement {
        self.rows.entry(operator).or_insert_with(|| self.table.arrangement(operator))
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use differential_dataflow::logging::{BatchEvent, DropEvent, MergeEvent};

    #[test]
    fn a_merge_keeps_what_did_not_cancel_and_a_drop_frees_all() {
        let table = Arc::new(Table::new(0..1));
        let mut sizes = Sizes::new(Arc::clone(&table));
        let mut size = |event: DifferentialEvent| {
            sizes.take(event);
            let row = table.arrangement(7);
            (row.batches.get(), row.records.get())
        };
        assert_eq!(size(BatchEvent { operator: 7, length: 10 }.into()), (1, 10));
        assert_eq!(size(BatchEvent { operator: 7, length: 4 }.into()), (2, 14));
        let merge = |complete| MergeEvent { operator: 7, scale: 1, length1: 10, length2: 4, complete };
        assert_eq!(size(merge(None).into()), (2, 14));
        assert_eq!(size(merge(Some(8)).into()), (1, 8));
        assert_eq!(size(BatchEvent { operator: 7, length: 0 }.into()), (1, 8), "only time passed");
        assert_eq!(size(DropEvent { operator: 7, length: 8 }.into()), (0, 0));
    }
}
