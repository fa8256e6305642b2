//! Tree: every text file of the workspace that somebody wrote, read once.
//!
//! Walked rather than asked of git, so that it also works in a source archive and sees a file before it is added.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose content is built, fetched or recorded, by name.
const SKIPPED_FOLDERS: [&str; 7] =
    ["target", "node_modules", "dist", "data", "generated", "proptest-regressions", "test-results"];

pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    files: Vec<TextFile>,
}

pub(crate) struct TextFile {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Tree {
    pub(crate) fn of_workspace() -> Self {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("testkit is a folder of the workspace").to_owned();
        let mut files = Vec::new();
        collect(&root, &root, &mut files);
        files.sort_by(|left, right| left.path.cmp(&right.path));
        assert!(files.iter().any(|file| file.path == "Cargo.toml"), "the walk must reach the root's own files");
        Self { root, files }
    }

    pub(crate) fn files(&self) -> &[TextFile] {
        &self.files
    }

    pub(crate) fn with_extensions<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = &'a TextFile> {
        self.files
            .iter()
            .filter(move |file| file.name().rsplit_once('.').is_some_and(|(_, last)| extensions.contains(&last)))
    }
}

impl TextFile {
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<TextFile>) {
    // Editors and builds come and go while this runs: what vanished between the listing and the look is no breach.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            // Of the hidden folders, these two hold files of ours.
            let is_hidden = name.starts_with('.') && name != ".ci" && name != ".config";
            if !is_hidden && !SKIPPED_FOLDERS.contains(&name.as_str()) {
                collect(root, &path, files);
            }
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
        {
            let relative = path.strip_prefix(root).expect("the walk starts at the root");
            files.push(TextFile { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
}
