//! Tidy: the house rules that no compiler checks, over every file of the workspace.
//!
//! Each test collects every breach before it fails, and each breach names the file, what is wrong and what to do about it.

#[path = "tidy/dependencies.rs"]
mod dependencies;
#[path = "tidy/invariants.rs"]
mod invariants;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/tree.rs"]
mod tree;

use tree::Tree;

/// Beyond this a file has a seam that nobody has cut yet.
const FILE_LINES_MAX: usize = 500;

/// Hosts of package registries. A mirror's name in a file breaks the build of everybody who cannot reach it, and the public
/// names are the clients' own business. Written in two halves, so that this file passes its own test.
const REGISTRY_HOSTS: [&str; 9] = [
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("registry.", "npmmirror.com"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi.", "org"),
    concat!("files.", "pythonhosted.org"),
    concat!("proxy.", "golang.org"),
    concat!("deb.", "debian.org"),
];

#[test]
fn every_rust_file_opens_with_its_card() {
    let mut breaches = Vec::new();
    for file in Tree::of_workspace().with_extensions(&["rs"]) {
        if !file.text.starts_with("//!") {
            breaches.push(format!("{}: the first line must be `//! What it is: ...`", file.path));
        }
    }
    assert_none(&breaches);
}

#[test]
fn no_source_file_is_longer_than_the_ceiling() {
    let mut breaches = Vec::new();
    for file in Tree::of_workspace().with_extensions(&["rs", "ts"]) {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            breaches.push(format!("{}: {lines} lines, {FILE_LINES_MAX} is the ceiling; cut it at a seam", file.path));
        }
    }
    assert_none(&breaches);
}

#[test]
fn no_file_names_a_package_registry() {
    let mut breaches = Vec::new();
    for file in Tree::of_workspace().files().iter().filter(|file| file.name() != "Cargo.lock") {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(**host)) {
                breaches.push(format!(
                    "{}:{}: names {host}; npm's lock file leaves it out with `omit-lockfile-registry-resolved`",
                    file.path,
                    index + 1
                ));
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn every_ignored_test_says_why() {
    let mut breaches = Vec::new();
    for file in Tree::of_workspace().with_extensions(&["rs"]) {
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("#[ignore]") {
                breaches.push(format!("{}:{}: write `#[ignore = \"why, and how it is run\"]`", file.path, index + 1));
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let tree = Tree::of_workspace();
    let mut breaches = Vec::new();
    for file in tree.with_extensions(&["md"]) {
        for target in links::local_targets(&file.text) {
            if !links::leads_somewhere(&tree.root, &file.path, &target) {
                breaches.push(format!("{}: the link to {target} leads nowhere", file.path));
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn invariants_in_code_and_docs_are_the_same() {
    assert_none(&invariants::breaches(&Tree::of_workspace()));
}

#[test]
fn every_package_takes_up_the_workspace_lints() {
    let mut breaches = Vec::new();
    for package in dependencies::packages(&Tree::of_workspace().root) {
        if !package.takes_up_workspace_lints {
            breaches.push(format!("{}/Cargo.toml: add `[lints]` with `workspace = true`", package.folder));
        }
    }
    assert_none(&breaches);
}

#[test]
fn packages_import_only_what_their_row_allows() {
    assert_none(&dependencies::breaches_of_the_table(&dependencies::packages(&Tree::of_workspace().root)));
}

#[test]
fn no_package_reaches_itself_through_its_tests() {
    assert_none(&dependencies::cycles(&dependencies::packages(&Tree::of_workspace().root)));
}

#[track_caller]
fn assert_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n  {}\n", breaches.join("\n  "));
}
