//! Command line: reads it, loads the settings, runs one command, and turns its end into an exit code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::synthetic::command::Outcome;
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Sources};
use crate::exit::Exit;
use crate::program::{complain, print};
use crate::resend::{self, DeadLetters};
use crate::serve::serve;
use crate::wiring::Role;
use crate::{db, health, rules};

#[derive(Debug, Parser)]
#[command(
    name = "sysmonstm",
    version,
    about = "Watches a fleet of machines in real time",
    after_help = "Exit codes: 0 fine, 1 failed while running, 2 wrong usage, 78 wrong configuration."
)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The settings that have a flag; `config print` shows all of them.
#[derive(Debug, Default, Args)]
struct Flags {
    /// Settings file, TOML
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the journal, the embedded history and the spool [default: ./data]
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Dashboard, REST, WebSocket and metrics [default: 127.0.0.1:8000]
    #[arg(long, global = true, value_name = "ADDRESS")]
    http_address: Option<String>,
    /// Where collectors connect [default: 127.0.0.1:50051]
    #[arg(long, global = true, value_name = "ADDRESS")]
    grpc_address: Option<String>,
    /// Threshold rules, TOML [default: rules.toml in the data folder, or the built-in ones]
    #[arg(long = "rules", global = true, value_name = "FILE")]
    rules_file: Option<String>,
    /// Addresses of all processes of a cluster, a line host:port each [default: this process is alone]
    #[arg(long, global = true, value_name = "FILE")]
    hosts: Option<String>,
    /// Which line of the hosts file this process is, from 0
    #[arg(long, global = true, value_name = "INDEX")]
    process: Option<String>,
    /// error, warn, info, debug, trace, or a list such as info,ingest=debug [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// auto, json or text [default: auto]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Let other machines connect although there is neither TLS nor a login yet
    #[arg(long, global = true)]
    insecure: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The hub, this machine's collector and the dashboard (the default)
    Up,
    /// The hub alone
    Hub,
    /// This machine's collector alone
    Collector(collector::program::Flags),
    /// The public relay: shows what a hub publishes to anybody
    Edge(edge::program::Flags),
    /// Made-up load for a hub, timed and compared with what the hub has
    #[command(subcommand)]
    Synth(::synthetic::options::Command),
    /// Threshold rules as a file
    #[command(subcommand)]
    Rules(RulesCommand),
    /// The settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Exit 0 when a hub answers, 1 when it does not
    Health {
        /// What to ask [default: http://HTTP_ADDRESS/health]
        #[arg(long)]
        url: Option<String>,
    },
    /// Measurements
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Schemas of external databases
    #[command(subcommand)]
    Db(DbCommand),
    /// List what a running hub refused, newest first, as JSON; and send it again
    DeadLetters(DeadLetters),
}

#[derive(Debug, Subcommand)]
enum RulesCommand {
    /// Check a file and report every problem
    Validate {
        /// The file [default: the one the hub would use]
        file: Option<PathBuf>,
    },
    /// Check a file and put it into the data folder; a running hub takes it up within 2 s
    Import { file: PathBuf },
    /// Print the rules that the hub would use
    Export,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Validate the settings and the rules
    Check,
    /// Show each value and where it came from, secrets masked
    Print,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Run a recorded workload through the hub's own graph
    Replay {
        file: PathBuf,
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
        workers: u16,
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
        runs: u16,
    },
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Apply the SQL schema to the database of TIMESCALE_URL
    Migrate,
    /// Copy the embedded history of the data folder into the database of TIMESCALE_URL; a run that was cut off goes on
    Import,
}

/// Runs the command that `args` names (the first one is the program) in an environment.
pub fn run(args: impl IntoIterator<Item = OsString>, variables: Vec<(String, String)>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for, everything else is wrong usage; clap knows the stream and the code.
            drop(error.print());
            let exit = if error.exit_code() == 0 { Exit::Fine } else { Exit::Usage };
            return exit.into();
        }
    };
    let sources = cli.flags.sources(variables);
    let exit = match cli.command.unwrap_or(Command::Up) {
        Command::Up => configured(&sources, |config| serve(Role::Up, config)),
        Command::Hub => configured(&sources, |config| serve(Role::Hub, config)),
        Command::Collector(flags) => return run_collector(flags, &sources),
        Command::Edge(flags) => return run_edge(flags, &sources),
        Command::Synth(command) => run_synth(&command, &sources),
        Command::Rules(command) => run_rules(&command, &sources),
        Command::Config(ConfigCommand::Check) => configured(&sources, check_config),
        Command::Config(ConfigCommand::Print) => print_config(&sources),
        Command::Health { url } => run_health(url, &sources),
        Command::DeadLetters(command) => run_dead_letters(&command, &sources),
        Command::Bench(BenchCommand::Replay { file, workers, runs }) => run_replay(&file, workers, runs),
        Command::Db(DbCommand::Migrate) => configured(&sources, |config| db::migrate(&config)),
        Command::Db(DbCommand::Import) => configured(&sources, |config| db::import(&config)),
    };
    exit.into()
}

impl Flags {
    fn sources(self, variables: Vec<(String, String)>) -> Sources {
        let texts = [
            ("--data-dir", "data_dir", self.data_dir),
            ("--http-address", "http.address", self.http_address),
            ("--grpc-address", "grpc.address", self.grpc_address),
            ("--rules", "rules", self.rules_file),
            ("--hosts", "cluster.hosts", self.hosts),
            ("--process", "cluster.process", self.process),
            ("--log-level", "log.level", self.log_level),
            ("--log-format", "log.format", self.log_format),
            ("--insecure", "insecure", self.insecure.then(|| String::from("true"))),
        ];
        let given = texts.into_iter();
        Sources {
            file: self.config,
            variables,
            flags: given.filter_map(|(flag, key, text)| Some((flag, key, text?))).collect(),
        }
    }
}

/// Runs `command` with the validated settings, or says everything that is wrong with them.
fn configured(sources: &Sources, command: impl FnOnce(Config) -> Exit) -> Exit {
    match sources.load() {
        Ok(config) => command(config),
        Err(problems) => {
            complain(problems);
            Exit::Config
        }
    }
}

/// The collector reads its own settings, the same ones as the program `sysmonstm-collector`.
fn run_collector(mut flags: collector::program::Flags, sources: &Sources) -> ExitCode {
    if sources.file.is_some() {
        complain("the collector reads no settings file; use its flags or COLLECTOR_ variables");
        return Exit::Usage.into();
    }
    flags.log_level = flags.log_level.or_else(|| sources.flag("log.level"));
    flags.log_format = flags.log_format.or_else(|| sources.flag("log.format"));
    collector::program::main(&flags)
}

/// The edge reads its own settings, the same ones as the program `sysmonstm-edge`.
fn run_edge(mut flags: edge::program::Flags, sources: &Sources) -> ExitCode {
    if sources.file.is_some() {
        complain("the edge reads no settings file; use its flags or EDGE_ variables");
        return Exit::Usage.into();
    }
    flags.http_address = flags.http_address.or_else(|| sources.flag("http.address"));
    flags.log_level = flags.log_level.or_else(|| sources.flag("log.level"));
    flags.log_format = flags.log_format.or_else(|| sources.flag("log.format"));
    flags.insecure |= sources.flag("insecure").is_some();
    edge::program::main(&flags)
}

fn run_rules(command: &RulesCommand, sources: &Sources) -> Exit {
    match command {
        // A file that is named needs no settings, so that it can be checked anywhere.
        RulesCommand::Validate { file: Some(file) } => rules::command::validate(file),
        RulesCommand::Validate { file: None } => configured(sources, |config| rules::command::validate_used(&config)),
        RulesCommand::Import { file } => configured(sources, |config| rules::command::import(file, &config)),
        RulesCommand::Export => configured(sources, |config| rules::command::export(&config)),
    }
}

fn check_config(config: Config) -> Exit {
    let exit = rules::command::validate_used(&config);
    if exit == Exit::Fine {
        print("the settings are fine\n");
    }
    exit
}

fn print_config(sources: &Sources) -> Exit {
    match sources.settings() {
        Ok(mut settings) => {
            print(settings.print());
            // Read only for its problems: what is wrong is said after all values were shown.
            drop(Config::read(&mut settings));
            match settings.finish() {
                Ok(()) => Exit::Fine,
                Err(problems) => {
                    complain(problems);
                    Exit::Config
                }
            }
        }
        Err(problems) => {
            complain(problems);
            Exit::Config
        }
    }
}

fn run_health(url: Option<String>, sources: &Sources) -> Exit {
    match url {
        Some(url) => health::check(&url),
        None => configured(sources, |config| health::check(&health::url_of(config.http_address, "/health"))),
    }
}

fn run_dead_letters(command: &DeadLetters, sources: &Sources) -> Exit {
    match &command.url {
        Some(url) => resend::run(command, url),
        None => configured(sources, |config| resend::run(command, &health::url_of(config.http_address, ""))),
    }
}

fn run_replay(file: &Path, workers: u16, runs: u16) -> Exit {
    let report = benches::replay::run(file, workers.into(), runs.into());
    match report.map_err(anyhow::Error::from).and_then(|report| Ok(serde_json::to_string(&report)?)) {
        Ok(line) => {
            print(format_args!("{line}\n"));
            Exit::Fine
        }
        Err(error) => {
            complain(format_args!("{error:#}"));
            Exit::Failed
        }
    }
}

fn run_synth(command: &::synthetic::options::Command, sources: &Sources) -> Exit {
    // Only where it is said: the hub may be another machine's.
    let given = sources.flags.iter().find(|(_, key, _)| *key == "data_dir");
    let data_dir = given.map(|(_, _, folder)| Path::new(folder));
    match ::synthetic::command::main(command, data_dir, &mut std::io::stdout()) {
        Outcome::Fine => Exit::Fine,
        Outcome::Failed => Exit::Failed,
        Outcome::Usage => Exit::Usage,
    }
}
