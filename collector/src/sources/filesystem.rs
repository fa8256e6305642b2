//! File systems: size, use, inodes and whether each is read-only, one system call per mount.
//!
//! Runs as two sources, of local and of remote mounts: a dead server holds up the remote ones alone.

use std::io;
use std::path::Path;

use super::root::Root;
use super::{Source, SourceError, mounts};
use crate::rate::{exact, share};
use crate::readings::Readings;

pub(super) struct Filesystem {
    root: Root,
    is_remote: bool,
    measure: fn(&Path) -> io::Result<Space>,
}

/// Counted in blocks of `block_bytes`.
#[derive(Debug, Clone, Copy)]
struct Space {
    block_bytes: u64,
    blocks: u64,
    free: u64,
    /// Free to those who are not root.
    available: u64,
    inodes: u64,
    inodes_free: u64,
}

impl Filesystem {
    pub(super) fn local(root: Root) -> Self {
        Self { root, is_remote: false, measure }
    }

    pub(super) fn remote(root: Root) -> Self {
        Self { root, is_remote: true, measure }
    }
}

impl Source for Filesystem {
    fn name(&self) -> &'static str {
        if self.is_remote { "filesystem_remote" } else { "filesystem" }
    }

    fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let mounts = mounts::parse(&self.root.read("proc/self/mountinfo")?);
        for mount in mounts.iter().filter(|mount| mount.is_remote == self.is_remote) {
            // One that we may not look at (another user's FUSE) has no values; the others do.
            let Ok(space) = (self.measure)(Path::new(&mount.mountpoint)) else {
                continue;
            };
            if space.blocks > 0 {
                put(mount, &space, out);
            }
        }
        Ok(())
    }
}

fn put(mount: &mounts::Mount, space: &Space, out: &mut Readings) {
    let labels = [
        ("device", mount.device.as_str()),
        ("fstype", mount.fstype.as_str()),
        ("mountpoint", mount.mountpoint.as_str()),
    ];
    let used = space.blocks.saturating_sub(space.free);
    let bytes = |blocks: u64| exact(blocks.saturating_mul(space.block_bytes));
    out.put("system.filesystem.limit", &labels, bytes(space.blocks));
    out.put("system.filesystem.usage", &labels, bytes(used));
    // As `df` counts: what is kept back for root is neither used nor free, so that 100 % is when users cannot write.
    let utilization = share(used, used.saturating_add(space.available));
    out.put("system.filesystem.utilization", &labels, utilization);
    if space.inodes > 0 {
        let used = space.inodes.saturating_sub(space.inodes_free);
        out.put("system.filesystem.inodes.utilization", &labels, share(used, space.inodes));
    }
    let readonly = if mount.is_readonly { 1.0 } else { 0.0 };
    out.put("system.filesystem.readonly", &labels, readonly);
}

fn measure(mountpoint: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(mountpoint)?;
    Ok(Space {
        block_bytes: stat.f_frsize,
        blocks: stat.f_blocks,
        free: stat.f_bfree,
        available: stat.f_bavail,
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::sources::testing::{Machine, read};

    const MOUNTS: &str = "27 1 254:0 / / rw - ext4 /dev/vda rw\n28 1 0:9 / /nas rw - nfs4 nas:/x rw\n29 1 0:8 / /secret rw - xfs /dev/b rw\n";

    fn fake(mountpoint: &Path) -> io::Result<Space> {
        if mountpoint == Path::new("/secret") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Space { block_bytes: 4096, blocks: 1000, free: 300, available: 200, inodes: 50, inodes_free: 40 })
    }

    #[test]
    fn use_is_counted_as_df_does() {
        let machine = Machine::with(&[("proc/self/mountinfo", MOUNTS)]);
        let mut source = Filesystem { measure: fake, ..Filesystem::local(machine.root()) };
        expect![[r#"
            system.filesystem.inodes.utilization{device="/dev/vda",fstype="ext4",mountpoint="/"} 0.2
            system.filesystem.limit{device="/dev/vda",fstype="ext4",mountpoint="/"} 4096000
            system.filesystem.readonly{device="/dev/vda",fstype="ext4",mountpoint="/"} 0
            system.filesystem.usage{device="/dev/vda",fstype="ext4",mountpoint="/"} 2867200
            system.filesystem.utilization{device="/dev/vda",fstype="ext4",mountpoint="/"} 0.7778
        "#]]
        .assert_eq(&read(&mut source, 0));
    }

    #[test]
    fn remote_mounts_are_another_sources_work() {
        let machine = Machine::with(&[("proc/self/mountinfo", MOUNTS)]);
        let mut source = Filesystem { measure: fake, ..Filesystem::remote(machine.root()) };
        let text = read(&mut source, 0);
        assert!(text.lines().count() == 5 && text.lines().all(|line| line.contains("/nas")), "{text}");
    }

    #[test]
    fn the_root_of_this_machine_has_a_size() {
        assert!(measure(Path::new("/")).unwrap().blocks > 0);
    }
}
