//! The control plane: few records, joined in differential dataflow at a coarse time. Raw samples never enter it
//! (214 ns a sample there against 14 in the hot path).

pub mod admit;
pub mod arranged;
pub mod bindings;
pub mod coarsen;
pub mod facts;
pub mod fleet;
pub mod lifecycle;
