//! Dependencies: who may import what. The table is the architecture: a stage that cannot name another stage cannot lean on it.
//!
//! Normal and build dependencies are checked; dev-dependencies are free, except that a package must not reach itself through them
//! (it would be compiled twice, and its types would not be its own).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use toml::{Table, Value};

/// Groups of outside packages. A new package must be put in one, which is the moment to ask who may use it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Group {
    /// Small and without side effects: anyone may.
    Everyday,
    Async,
    /// gRPC and its code generation.
    Grpc,
    /// HTTP's vocabulary, without a server.
    Http,
    /// The HTTP server and what it serves.
    Server,
    /// Clients of other programs' HTTP.
    Client,
    Sql,
    /// Encrypted connections to other programs.
    Tls,
    /// Redis, Kafka.
    Broker,
    Dataflow,
    /// Reading the machine: sensors, sockets' options, signals.
    Host,
    Logging,
    /// What only a program has: command line, allocator, errors for people.
    Program,
    Testing,
}

use Group::{Async, Broker, Client, Dataflow, Everyday, Grpc, Host, Http, Logging, Program, Server, Sql, Testing, Tls};

/// The packages of a group, separated by spaces.
const GROUPS: &[(Group, &str)] = &[
    (
        Everyday,
        "base64 bytes crc32fast fastrand foldhash futures-core hashbrown hdrhistogram indexmap itoa jiff parking_lot ryu \
         serde serde_json sha2 smallvec strsim subtle thiserror toml tracing utoipa",
    ),
    (Async, "futures-util tokio tokio-stream tokio-util"),
    (Grpc, "prost protox tonic tonic-health tonic-prost tonic-prost-build tonic-reflection"),
    (Http, "http http-body http-body-util tokio-tungstenite tower tower-http tower-layer tower-service"),
    (Server, "axum hyper hyper-util mime_guess rust-embed utoipa-axum"),
    (Client, "reqwest ureq"),
    (Sql, "postgres-types rusqlite tokio-postgres tokio-postgres-rustls"),
    (Tls, "rustls rustls-native-certs tokio-rustls"),
    (Broker, "rdkafka redis"),
    (Dataflow, "columnar differential-dataflow timely"),
    (Host, "libc rustix socket2 sysinfo thread-priority"),
    (Logging, "tracing-subscriber"),
    (Program, "anyhow clap mimalloc signal-hook"),
    (Testing, "cap criterion expect-test proptest tempfile"),
];

/// What a package may import: ours by name (separated by spaces), others by group.
struct Row {
    package: &'static str,
    ours: &'static str,
    outside: &'static [Group],
}

const EVERY_ONE: &str = "model proto runtime journal ingest pipeline sinks web collector synthetic edge testkit";
const EVERY_GROUP: &[Group] =
    &[Async, Grpc, Http, Server, Client, Sql, Tls, Broker, Dataflow, Host, Logging, Program, Testing];

const fn row(package: &'static str, ours: &'static str, outside: &'static [Group]) -> Row {
    Row { package, ours, outside }
}

/// The table of docs/ARCHITECTURE.md, as data. [`Everyday`] is allowed everywhere and left out here.
const TABLE: &[Row] = &[
    row("model", "", &[]),
    row("runtime", "", &[Async, Logging, Host]),
    row("proto", "model", &[Grpc]),
    row("journal", "runtime", &[Async, Host]),
    row("ingest", "proto model runtime journal", &[Async, Grpc, Http]),
    row("pipeline", "model runtime", &[Dataflow]),
    row("sinks", "model runtime journal", &[Async, Sql, Tls, Broker]),
    row("web", "model runtime", &[Async, Http, Server]),
    // Construction, order and the command line only; that is a rule about its code, which a reader checks.
    row("hub", "benches model proto runtime journal ingest pipeline sinks web collector edge synthetic", EVERY_GROUP),
    row("collector", "proto model runtime journal", &[Async, Grpc, Http, Host, Logging, Program]),
    row("synthetic", "proto model runtime", &[Async, Grpc, Http, Client, Sql, Broker, Program]),
    row("edge", "web model runtime", &[Async, Http, Server, Client, Tls, Program]),
    row("testkit", EVERY_ONE, EVERY_GROUP),
    row("benches", EVERY_ONE, EVERY_GROUP),
];

pub(crate) struct Package {
    pub(crate) folder: String,
    name: String,
    pub(crate) takes_up_workspace_lints: bool,
    /// Normal and build dependencies: what a program that links this package gets.
    imports: BTreeSet<String>,
    test_imports: BTreeSet<String>,
}

/// The members of the workspace, in the root manifest's order.
pub(crate) fn packages(root: &Path) -> Vec<Package> {
    let workspace = read_manifest(&root.join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().expect("the root manifest lists its members");
    members.iter().map(|member| read_package(root, member.as_str().expect("a member is a folder's name"))).collect()
}

pub(crate) fn breaches_of_the_table(packages: &[Package]) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut breaches = Vec::new();
    for package in packages {
        let Some(row) = TABLE.iter().find(|row| row.package == package.name) else {
            breaches.push(format!(
                "{}: give it a row in testkit/tests/tidy/dependencies.rs and in docs/ARCHITECTURE.md",
                package.name
            ));
            continue;
        };
        for import in &package.imports {
            let verdict =
                if ours.contains(import.as_str()) { check_ours(row, import) } else { check_outside(row, import) };
            if let Err(reason) = verdict {
                breaches.push(format!("{}/Cargo.toml: {import}: {reason}", package.folder));
            }
        }
    }
    breaches
}

/// Packages that some test dependency of theirs depends on.
pub(crate) fn cycles(packages: &[Package]) -> Vec<String> {
    let by_name: BTreeMap<&str, &Package> = packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let mut breaches = Vec::new();
    for package in packages {
        for import in &package.test_imports {
            if reaches(&by_name, import, &package.name) {
                breaches.push(format!(
                    "{}/Cargo.toml: the dev-dependency {import} depends on {}",
                    package.folder, package.name
                ));
            }
        }
    }
    breaches
}

fn check_ours(row: &Row, import: &str) -> Result<(), String> {
    if row.ours.split(' ').any(|name| name == import) {
        return Ok(());
    }
    Err(format!("{} imports only [{}] of ours; stages meet in hub/src/wiring.rs", row.package, row.ours))
}

fn check_outside(row: &Row, import: &str) -> Result<(), String> {
    let Some((group, _)) = GROUPS.iter().find(|(_, names)| names.split(' ').any(|name| name == import)) else {
        return Err("new here: put it in a group in testkit/tests/tidy/dependencies.rs".to_owned());
    };
    if *group == Everyday || row.outside.contains(group) {
        return Ok(());
    }
    Err(format!("{} stays free of the group {group:?}", row.package))
}

/// Cargo refuses a cycle of normal dependencies, so this comes to an end.
fn reaches(by_name: &BTreeMap<&str, &Package>, from: &str, target: &str) -> bool {
    let Some(package) = by_name.get(from) else { return false };
    package.imports.iter().any(|import| import == target || reaches(by_name, import, target))
}

fn read_package(root: &Path, folder: &str) -> Package {
    let manifest = read_manifest(&root.join(folder).join("Cargo.toml"));
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    // Dependencies for one platform only are in tables of the same names, one level deeper.
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables: Vec<&Table> = platforms.filter_map(Value::as_table).chain([&manifest]).collect();
    Package {
        folder: folder.to_owned(),
        name: manifest["package"]["name"].as_str().expect("a package has a name").to_owned(),
        takes_up_workspace_lints: lints == Some(true),
        imports: names(&tables, &["dependencies", "build-dependencies"]),
        test_imports: names(&tables, &["dev-dependencies"]),
    }
}

fn names(tables: &[&Table], kinds: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (table, kind) in tables.iter().flat_map(|table| kinds.iter().map(move |kind| (table, kind))) {
        for (key, value) in table.get(*kind).and_then(Value::as_table).into_iter().flatten() {
            // A renamed package goes by the name it was published under.
            names.insert(value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned());
        }
    }
    names
}

fn read_manifest(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("parse {}: {error}", path.display()))
}

#[test]
fn a_stage_that_imports_a_stage_is_told_so() {
    let package = |name: &str, imports: &[&str]| Package {
        folder: name.to_owned(),
        name: name.to_owned(),
        takes_up_workspace_lints: true,
        imports: imports.iter().map(|import| (*import).to_owned()).collect(),
        test_imports: BTreeSet::new(),
    };
    let workspace = [
        package("pipeline", &["model", "sinks", "tokio", "serde", "leftpad"]),
        package("sinks", &[]),
        package("model", &[]),
    ];
    let breaches = breaches_of_the_table(&workspace);
    assert_eq!(breaches.len(), 3, "{breaches:#?}");
    assert!(breaches[0].contains("leftpad: new here"));
    assert!(breaches[1].contains("sinks: pipeline imports only [model runtime]"));
    assert!(breaches[2].contains("tokio: pipeline stays free of the group Async"));
}
