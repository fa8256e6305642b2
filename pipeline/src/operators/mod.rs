//! The operators, in flow order.

pub mod batch;
pub mod egress;
pub mod evaluate;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod live;
pub mod normalize;
pub mod presence;
pub mod rollup;
pub mod source;
pub mod window;
