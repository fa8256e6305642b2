//! Reflection: `grpc.reflection`, the services' own description for tools such as `grpcurl`. Only on request.
//!
//! In both versions: the tools of many distributions still speak only the older one.

use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tonic_reflection::server::{Builder, v1alpha as older};

/// A request is one name.
const REQUEST_BYTES_MAX: usize = 16 << 10;

const COMPILED_IN: &str = "the descriptors are compiled in, and a test reads them";

pub(crate) fn v1() -> ServerReflectionServer<impl ServerReflection> {
    let service = described().build_v1().expect(COMPILED_IN);
    service.max_decoding_message_size(REQUEST_BYTES_MAX)
}

pub(crate) fn v1alpha() -> older::ServerReflectionServer<impl older::ServerReflection> {
    let service = described().build_v1alpha().expect(COMPILED_IN);
    service.max_decoding_message_size(REQUEST_BYTES_MAX)
}

fn described() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
