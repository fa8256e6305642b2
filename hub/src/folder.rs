//! Folder: the data folder, checked before anything is opened in it, so that a wrong one is said in plain words.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result, anyhow};

/// Makes the folder when it is missing, and tries whether it can be read and written.
///
/// # Errors
/// What is wrong with it and what to do.
pub(crate) fn prepare(path: &Path) -> Result<()> {
    let shown = path.display();
    fs::create_dir_all(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            anyhow!("data folder {shown} is a file, or lies in one; choose a folder with --data-dir")
        }
        _ => unusable(path, "be made", &error),
    })?;
    fs::read_dir(path).map_err(|error| unusable(path, "be read", &error))?;
    let probe = path.join(".write-test");
    File::create(&probe).map_err(|error| unusable(path, "be written to", &error))?;
    fs::remove_file(&probe).with_context(|| format!("remove {}", probe.display()))
}

fn unusable(path: &Path, action: &str, error: &io::Error) -> anyhow::Error {
    let shown = path.display();
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => "give this user the permission, or choose another folder with --data-dir",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free disk space, or choose another folder with --data-dir"
        }
        ErrorKind::ReadOnlyFilesystem => "its file system is read-only; choose another folder with --data-dir",
        _ => "check the disk, or choose another folder with --data-dir",
    };
    anyhow!("data folder {shown} cannot {action}: {error}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::servers::private_dir;

    #[test]
    fn a_folder_is_made_and_left_clean() {
        let outer = private_dir().unwrap();
        let path = outer.path().join("a/b");
        prepare(&path).unwrap();
        prepare(&path).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn a_file_in_its_place_is_said_in_plain_words() {
        let outer = private_dir().unwrap();
        let path = outer.path().join("data");
        fs::write(&path, "").unwrap();
        for wrong in [path.clone(), path.join("inside")] {
            let message = prepare(&wrong).unwrap_err().to_string();
            assert!(message.contains("is a file, or lies in one; choose a folder"), "{message}");
        }
    }
}
