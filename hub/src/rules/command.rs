//! Command: `sysmonstm rules validate`, `import` and `export`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::{LoadError, Location, OwnRules, Parsed, read, to_toml};
use crate::config::Config;
use crate::exit::Exit;
use crate::program::{complain, print};

/// Checks a file that need not be the hub's.
#[must_use]
pub fn validate(path: &Path) -> Exit {
    report(&Location { path: path.to_owned(), is_required: true })
}

/// Checks the rules that the hub would use.
#[must_use]
pub fn validate_used(config: &Config) -> Exit {
    match OwnRules::of(config) {
        Ok(_own) => report(&Location::of(config)),
        Err(error) => refuse(&error),
    }
}

/// Checks a file and puts it where the hub looks. A file with problems changes nothing.
#[must_use]
pub fn import(from: &Path, config: &Config) -> Exit {
    let source = Location { path: from.to_owned(), is_required: true };
    let target = Location::of(config).path;
    let read = read(from).and_then(|text| Ok((source.parse(&text)?, text)));
    let (parsed, text) = match read {
        Ok(read) => read,
        Err(error) => return refuse(&error),
    };
    warn_about(&parsed);
    match install(&text, &target) {
        Ok(()) => {
            print(format_args!("{} rules are in {} now\n", parsed.rules.len(), target.display()));
            Exit::Fine
        }
        Err(error) => {
            complain(format_args!("cannot write {}: {error}; check the folder's permissions", target.display()));
            Exit::Failed
        }
    }
}

/// Prints the rules that the hub would use, the file's first.
#[must_use]
pub fn export(config: &Config) -> Exit {
    let file = Location::of(config).load();
    match file.and_then(|file| Ok(OwnRules::of(config)?.behind(&file.rules))) {
        Ok(rules) => {
            print(to_toml(&rules));
            Exit::Fine
        }
        Err(error) => refuse(&error),
    }
}

fn report(location: &Location) -> Exit {
    match location.load() {
        Ok(parsed) => {
            warn_about(&parsed);
            print(format_args!("{} rules are fine\n", parsed.rules.len()));
            Exit::Fine
        }
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &LoadError) -> Exit {
    complain(error);
    Exit::Config
}

fn warn_about(parsed: &Parsed) {
    for warning in &parsed.warnings {
        complain(format_args!("warning: {warning}"));
    }
}

/// As it was written, comments included; whole or not at all, so that a running hub never reads half a file.
fn install(text: &str, target: &Path) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = target.with_extension("toml.new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, target)
}
