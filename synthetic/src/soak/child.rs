//! Child: a hub as a process of its own, on free ports in a folder of its own, ended with the value.
//!
//! What it says goes to a file; its first lines say where it listens. Bounds: the start has a deadline; the file holds its warnings and errors only.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use runtime::process::Usage;
use serde_json::Value;

use crate::progress::say;

/// A release build needs a tenth of a second; a folder that was in use is replayed first.
const START_MAX: Duration = Duration::from_secs(120);

pub(crate) struct HubChild {
    child: Child,
    pub(crate) grpc: String,
    pub(crate) http: String,
}

impl HubChild {
    /// Starts `program` as a hub and waits until it is up; its log goes to `log`.
    ///
    /// # Errors
    /// When it cannot be run or does not come up.
    pub(crate) fn start(program: &Path, data_dir: &Path, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("write {}", log.display()))?;
        let mut command = Command::new(program);
        command.arg("hub").arg("--data-dir").arg(data_dir);
        command.args(["--http-address", "127.0.0.1:0", "--grpc-address", "127.0.0.1:0", "--log-format", "json"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let child = child.with_context(|| format!("run {}", program.display()))?;
        // From here on its end is seen to, whatever happens.
        let mut hub = Self { child, grpc: String::new(), http: String::new() };
        let out = hub.child.stdout.take().context("the hub's output is not to be had")?;
        let (tells, told) = sync_channel(1);
        std::thread::spawn(move || keep(out, file, &tells));
        let up: Value = match told.recv_timeout(START_MAX) {
            Ok(up) => up,
            Err(RecvTimeoutError::Timeout) => bail!("the hub was not up within {} s", START_MAX.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("the hub ended at once; see {}", log.display()),
        };
        let field = |key: &str| up[key].as_str().map(str::to_owned).with_context(|| format!("the hub tells no {key}"));
        (hub.http, hub.grpc) = (field("dashboard")?, field("grpc")?);
        Ok(hub)
    }

    /// What it takes at this moment.
    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.child.id())
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("look after the hub")
    }
}

impl Drop for HubChild {
    fn drop(&mut self) {
        // It may have ended by itself, which is all the same here.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

/// Reads its log to the end: tells the line that it is up, writes down what is worth a look.
fn keep(out: ChildStdout, mut file: File, tells: &SyncSender<Value>) {
    let mut lines = BufReader::new(out);
    let mut line = String::new();
    while lines.by_ref().read_line(&mut line).is_ok_and(|read| 0 < read) {
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        let is_calm = matches!(told["level"].as_str(), Some("info" | "debug" | "trace"));
        if told["event"] == "hub_is_up" {
            // Told once; nobody waits for a second one.
            drop(tells.try_send(told));
        }
        if !is_calm && file.write_all(line.as_bytes()).is_err() {
            // A full disk ends the log, not the hub: its output is read on.
            file = match File::open("/dev/null") {
                Ok(file) => file,
                Err(_) => return,
            };
        }
        line.clear();
    }
}

/// Where a run's files go: the folder that was asked for, or one that goes with the value.
pub(crate) enum Folder {
    Kept(PathBuf),
    /// Removed with the value.
    Passing(PathBuf),
}

impl Folder {
    /// # Errors
    /// When it cannot be made, or has a hub's data already: a soak begins with nothing.
    pub(crate) fn at(asked: Option<&Path>) -> Result<Self> {
        let Some(path) = asked else {
            // Not one that is there already: it would be somebody else's.
            let path = std::env::temp_dir().join(format!("sysmonstm-soak-{}", std::process::id()));
            std::fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
            return Ok(Self::Passing(path));
        };
        std::fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        let mut entries = std::fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
        if entries.next().is_some() {
            bail!("{} is not empty; a soak begins with nothing: name another --data-dir", path.display());
        }
        Ok(Self::Kept(path.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Passing(path) => path,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Self::Passing(path) = self
            && let Err(error) = std::fs::remove_dir_all(&*path)
        {
            say(&format!("{} stays behind: {error}\n", path.display()));
        }
    }
}
