//! A file system of some megabytes in memory, which really fills. Mounting takes rights that not every machine gives to a test.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::servers::private_dir;

/// Unmounted when the value is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// # Errors
    /// What `mount` says, or that it is not there.
    pub fn mount(mebibytes: u32) -> io::Result<Self> {
        let disk = Self { dir: private_dir()? };
        let size = format!("size={mebibytes}m");
        disk.run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"])?;
        Ok(disk)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves no byte.
    ///
    /// # Errors
    /// Any other than that it is full.
    pub fn fill(&self) -> io::Result<()> {
        let mut file = File::create(self.path().join("filler"))?;
        loop {
            match file.write(&[0; 4_096]) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes it larger, while it is in use.
    ///
    /// # Errors
    /// What `mount` says.
    pub fn make_room(&self, mebibytes: u32) -> io::Result<()> {
        let size = format!("remount,size={mebibytes}m");
        self.run("mount", &["-o", &size])
    }

    fn run(&self, program: &str, args: &[&str]) -> io::Result<()> {
        let output = Command::new(program).args(args).arg(self.dir.path()).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that still has files open there ends by itself.
        drop(self.run("umount", &["--lazy"]));
    }
}
