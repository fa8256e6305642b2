//! The vocabulary of sysmonstm: plain data and pure functions, shared by every stage.
//!
//! Nothing here waits, opens a socket or reads a clock. Stages never import each other; they speak in these types.

pub mod aggregate;
pub mod alert;
pub mod alert_shape;
pub mod audit;
pub mod batch;
pub mod bound;
pub mod catalogue;
pub mod cells;
pub mod codec;
pub mod command;
pub mod dataflow;
pub mod dead_letter;
pub mod fleet;
pub mod group;
pub mod ids;
pub mod machine;
pub mod output;
pub mod output_codec;
pub mod query;
pub mod record;
pub mod rule;
pub mod series;
pub mod silence;
pub mod synthetic;
pub mod time;
pub mod verdict;
pub mod window;

pub use aggregate::{Aggregate, Aggregates};
pub use alert::{Alert, AlertState, Cause, Change, Resolution, Standing, StandingChange, Transition};
pub use alert_shape::AlertShape;
pub use batch::{Batch, Layout, LayoutId, Positions, Times};
pub use bound::{Bound, BoundLayout, Roster, Slots, Stretch};
pub use catalogue::{Catalogue, Metric};
pub use cells::{Cells, Rows};
pub use dataflow::{Dataflow, Stamped};
pub use dead_letter::{DeadLetter, Kept, Resent, Source};
pub use fleet::{FleetMinute, FleetRow, Hottest, HottestOf, Tag};
pub use group::{AlertGroup, GroupBy, GroupChange, GroupKey, GroupMember};
pub use ids::{InvalidName, MachineId, SessionId, Slot};
pub use machine::{MachineInfo, Process, Processes, Status};
pub use output::{Egress, Output, Repair};
pub use record::{Mark, Record, RejectReason, Rejected};
pub use rule::{Rule, RuleSet, Severity};
pub use series::{Labels, SeriesKey, SharedKeys};
pub use silence::{Silence, SilenceSet};
pub use time::{LogicalTime, Timestamp};
pub use verdict::{Phase, Turn};
pub use window::{Width, Window};
