//! The wire: the package `monitoring` of the protobuf files beside this crate, and the conversions between its messages and the model.

pub mod decode;
pub mod encode;
pub mod error;
pub mod rule;
pub mod sample;

/// Generated messages, clients and servers.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code"
)]
pub mod monitoring {
    tonic::include_proto!("monitoring");
}

pub use error::WireError;
pub use monitoring as pb;

/// The protobuf files, as an encoded `FileDescriptorSet`: what reflection answers from.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("monitoring");
