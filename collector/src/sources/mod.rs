//! Sources: what reads the machine. Each is a plain struct that a worker thread owns; its parsers are pure functions over text.
//!
//! On Linux everything comes from /proc and /sys directly, which is several times cheaper than a general library and shows what
//! such a library leaves out. Elsewhere `portable` gives the common part.

use std::io;
use std::path::PathBuf;

use crate::readings::Readings;

#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod files;
mod filesystem;
pub(crate) mod host;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod network;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
#[cfg(target_os = "linux")]
mod pressure;
#[cfg(target_os = "linux")]
mod process;
pub(crate) mod root;
#[cfg(target_os = "linux")]
mod temperature;

/// Something that reads a part of the machine.
pub trait Source: Send + 'static {
    /// A constant: a thread's name, a label of logs and counters.
    fn name(&self) -> &'static str;

    /// Reads once. `at_us` is monotonic time, taken just before. May block; the worker has the deadline.
    ///
    /// # Errors
    /// When what the source stands on cannot be read; what a machine merely lacks is no error but no series.
    fn read(&mut self, at_us: u64, out: &mut Readings) -> Result<(), SourceError>;
}

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{file} has no {what}")]
    Format { file: &'static str, what: &'static str },
}

/// Every source of this machine.
#[cfg(target_os = "linux")]
pub fn standard() -> Vec<Box<dyn Source>> {
    let root = root::Root::system;
    vec![
        Box::new(cpu::Cpu::new(root())),
        Box::new(memory::Memory::new(root())),
        Box::new(load::Load::new(root())),
        Box::new(files::Files::new(root())),
        Box::new(filesystem::Filesystem::local(root())),
        // A mount whose server is gone blocks whoever asks for it, so such mounts have a worker of their own.
        Box::new(filesystem::Filesystem::remote(root())),
        Box::new(disk::Disk::new(root())),
        Box::new(network::Network::new(root())),
        Box::new(pressure::Pressure::new(root())),
        Box::new(process::Processes::new(root())),
        Box::new(temperature::Temperature::new(root())),
        Box::new(host::Host::new(root())),
    ]
}

/// Every source of this machine.
#[cfg(not(target_os = "linux"))]
pub fn standard() -> Vec<Box<dyn Source>> {
    vec![Box::new(portable::Portable::new())]
}

#[cfg(test)]
pub(crate) mod testing {
    //! A folder that stands for the machine.

    use super::*;

    pub(crate) struct Machine(tempfile::TempDir);

    impl Machine {
        pub(crate) fn with(files: &[(&str, &str)]) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                machine.write(path, text);
            }
            machine
        }

        pub(crate) fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub(crate) fn root(&self) -> root::Root {
            root::Root::at(self.0.path())
        }
    }

    /// What a source reads at a time, as text.
    pub(crate) fn read(source: &mut impl Source, at_us: u64) -> String {
        let mut out = Readings::default();
        source.read(at_us, &mut out).unwrap();
        out.to_text()
    }
}
