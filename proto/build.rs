//! Compiles the protobuf files without a system `protoc` (ADR 0003).

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

use protox::Compiler;

fn main() -> Result<(), Box<dyn Error>> {
    let files = ["monitoring/metrics.proto", "monitoring/control.proto", "monitoring/config.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let mut compiler = Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    // Ordered maps: the same message encodes to the same bytes, which tests and content hashes rely on.
    tonic_prost_build::configure().btree_map(".").compile_fds(compiler.file_descriptor_set())?;
    // For reflection, without comments and positions: no client needs them to make a call.
    let described = compiler.include_source_info(false).encode_file_descriptor_set();
    let out_dir = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out_dir).join("monitoring.bin"), described)?;
    Ok(())
}
