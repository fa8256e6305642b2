//! Mounts: which of the mounted file systems are worth a look, from /proc/self/mountinfo.
//!
//! Pseudo file systems and overlays are left out, except for an overlay at `/`, which is a container's own disk. A device that
//! is mounted several times (bind mounts) is listed once, at its shortest mount point.

use std::collections::BTreeMap;

/// More than a person looks at, and each costs a system call.
const MOUNTS_MAX: usize = 256;

const PSEUDO: [&str; 34] = [
    "autofs",
    "bdev",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fusectl",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "pipefs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

/// Served over a network, or by a program that may wait for one: asking for its size may never return.
const REMOTE: [&str; 13] =
    ["9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs"];

/// Files that container engines mount one by one from the host's disk.
const ENGINE_FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: String,
    pub(super) mountpoint: String,
    pub(super) fstype: String,
    pub(super) is_readonly: bool,
    pub(super) is_remote: bool,
    /// `major:minor`: what tells file systems apart.
    number: String,
}

/// Sorted by mount point.
pub(super) fn parse(mountinfo: &str) -> Vec<Mount> {
    // Of two mounts at one place only the later is seen.
    let mut by_place = BTreeMap::new();
    for mount in mountinfo.lines().filter_map(parse_line) {
        by_place.insert(mount.mountpoint.clone(), mount);
    }
    let mut wanted: Vec<Mount> = by_place.into_values().filter(is_wanted).collect();
    wanted.sort_by(|a, b| (a.mountpoint.len(), &a.mountpoint).cmp(&(b.mountpoint.len(), &b.mountpoint)));
    let mut listed: BTreeMap<String, Mount> = BTreeMap::new();
    for mount in wanted {
        listed.entry(mount.number.clone()).or_insert(mount);
    }
    let mut mounts: Vec<Mount> = listed.into_values().collect();
    mounts.sort_by(|a, b| a.mountpoint.cmp(&b.mountpoint));
    mounts.truncate(MOUNTS_MAX);
    mounts
}

/// `id parent major:minor root mountpoint options [optional fields] - fstype device super-options`
fn parse_line(line: &str) -> Option<Mount> {
    let (place, system) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(2);
    let number = place.next()?.to_owned();
    let mountpoint = unescape(place.nth(1)?);
    let options = place.next()?;
    let mut system = system.split(' ');
    let fstype = system.next().filter(|fstype| !fstype.is_empty())?.to_owned();
    let device = unescape(system.next()?);
    let super_options = system.next().unwrap_or_default();
    let is_readonly = [options, super_options].iter().any(|list| list.split(',').any(|option| option == "ro"));
    Some(Mount {
        device,
        is_remote: REMOTE.contains(&fstype.as_str()) || fstype.starts_with("fuse."),
        mountpoint,
        fstype,
        is_readonly,
        number,
    })
}

fn is_wanted(mount: &Mount) -> bool {
    let place = mount.mountpoint.as_str();
    let is_kernels = ["/proc", "/sys", "/dev"]
        .iter()
        .any(|top| place.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let is_root = place == "/" && mount.fstype != "rootfs";
    // A full /tmp stops programs whatever it is made of.
    let is_tmp = place == "/tmp" && mount.fstype == "tmpfs";
    let is_pseudo = PSEUDO.contains(&mount.fstype.as_str());
    place.starts_with('/') && !is_kernels && !ENGINE_FILES.contains(&place) && (is_root || is_tmp || !is_pseudo)
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match octal(bytes.get(at..at + 4).unwrap_or_default()) {
            Some(escaped) => {
                out.push(escaped);
                at += 4;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn octal(escape: &[u8]) -> Option<u8> {
    let [b'\\', digits @ ..] = escape else { return None };
    if digits.len() != 3 {
        return None;
    }
    digits.iter().try_fold(0_u8, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn check(mountinfo: &str, expected: &expect_test::Expect) {
        let line = |mount: Mount| {
            let Mount { device, mountpoint, fstype, is_readonly, is_remote, .. } = mount;
            format!("{device} {mountpoint} {fstype} ro={is_readonly} remote={is_remote}\n")
        };
        expected.assert_eq(&parse(mountinfo).into_iter().map(line).collect::<String>());
    }

    #[test]
    fn file_systems_on_disks_and_servers_are_listed_and_pseudo_ones_are_not() {
        check(
            "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
             25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw,size=24684092k\n\
             27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
             28 27 8:17 / /data rw,noatime shared:5 master:2 - xfs /dev/sdb1 ro,attr2\n\
             29 27 0:40 / /mnt/nas rw - nfs4 nas:/export rw,vers=4.2\n\
             30 27 0:41 / /tmp rw - tmpfs tmpfs rw\n\
             31 27 0:42 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n\
             32 27 0:43 / /home/ann/remote rw - fuse.sshfs ann@host:/ rw\n\
             33 27 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro\n",
            &expect![[r#"
                /dev/vda / ext4 ro=false remote=false
                /dev/sdb1 /data xfs ro=true remote=false
                ann@host:/ /home/ann/remote fuse.sshfs ro=false remote=true
                nas:/export /mnt/nas nfs4 ro=false remote=true
                tmpfs /tmp tmpfs ro=false remote=false
            "#]],
        );
    }

    #[test]
    fn a_container_sees_its_overlay_and_not_what_is_bound_into_it() {
        check(
            "1 0 0:50 / / rw - overlay overlay rw,lowerdir=/a\n\
             2 1 254:1 /c/hosts /etc/hosts rw - ext4 /dev/vda1 rw\n\
             3 1 254:1 /c/data /srv/data/inner rw - ext4 /dev/vda1 rw\n\
             4 1 254:1 /c/data /srv/data rw - ext4 /dev/vda1 rw\n",
            &expect![[r#"
                overlay / overlay ro=false remote=false
                /dev/vda1 /srv/data ext4 ro=false remote=false
            "#]],
        );
    }

    #[test]
    fn names_are_unescaped_and_a_later_mount_hides_an_earlier_one() {
        check(
            "1 0 8:1 / /my\\040disk\\134x rw - ext4 /dev/sda1 rw\n2 0 8:2 / /my\\040disk\\134x rw - ext4 /dev/sda2 rw\n",
            &expect![[r"
                /dev/sda2 /my disk\x ext4 ro=false remote=false
            "]],
        );
        assert_eq!(unescape("\\0"), "\\0");
        assert_eq!(unescape("\\777\\048\\"), "\\777\\048\\");
    }

    #[test]
    fn odd_lines_are_passed_over() {
        for line in
            ["", " - ", "1 2 3", "1 2 3 4 5 6 -", "1 2 8:1 / / rw - ext4", "1 2 8:1 / relative rw - ext4 /dev/a rw"]
        {
            assert!(parse(line).is_empty(), "{line:?}");
        }
    }
}
