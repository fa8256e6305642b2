//! Makes sure that `ui/dist` is there, so that the program builds before the dashboard does, and builds anew when it changes.
//!
//! The folder stays empty until `make ui` fills it; `assets.rs` then serves a page that says so.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/dist");
    std::fs::create_dir_all(&dist)?;
    println!("cargo::rerun-if-changed=ui/dist");
    Ok(())
}
