//! Compiles the protobuf files without a system `protoc` (ADR 0003).

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "monitoring/metrics.proto",
        "monitoring/control.proto",
        "monitoring/config.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    // Ordered maps: the same message encodes to the same bytes, which tests and content hashes rely on.
    tonic_prost_build::configure().btree_map(".").compile_fds(descriptors)?;
    Ok(())
}
