//! A private PostgreSQL of one test, which may stop and start it. Gone when the value is dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::certificate;
use crate::servers::private_dir;

/// Ports below those that the kernel hands out to clients.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Somebody may take a port between the look and the start.
const TRIES: usize = 5;

#[derive(Debug)]
pub struct PrivateServer {
    dir: TempDir,
    bin: PathBuf,
    port: u16,
    is_encrypted: bool,
}

/// How a server ends.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// It ends every connection and writes what it has.
    Fast,
    /// As a crash: the next start recovers.
    Immediate,
}

impl PrivateServer {
    /// Makes an empty server and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start; with what it says.
    pub fn start() -> Result<Self, String> {
        Self::make(false)
    }

    /// The same with a certificate of its own for connections that ask for encryption.
    ///
    /// # Errors
    /// As above, or without `openssl`.
    pub fn encrypted() -> Result<Self, String> {
        Self::make(true)
    }

    fn make(is_encrypted: bool) -> Result<Self, String> {
        let bin = bin().ok_or("PostgreSQL is missing; run scripts/install-test-deps.sh")?;
        let dir = private_dir().map_err(|error| error.to_string())?;
        let mut server = Self { dir, bin, port: 0, is_encrypted };
        if is_encrypted {
            certificate::make(server.dir.path())?;
        }
        lend(server.dir.path())?;
        let data = server.data();
        let data = data.to_str().ok_or("a temporary folder's name is no text")?;
        server
            .run("initdb", &["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])?;
        let mut failed = String::new();
        for _ in 0..TRIES {
            server.port = free_port()?;
            match server.restart() {
                Ok(()) => return Ok(server),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Starts it again, on the same port.
    ///
    /// # Errors
    /// When it does not start, with what it says.
    pub fn restart(&self) -> Result<(), String> {
        // Durable, for a crash is what it is for.
        let mut options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c max_connections=50",
            self.port,
            self.dir.path().display()
        );
        if self.is_encrypted {
            let dir = self.dir.path().display();
            options.push_str(&format!(" -c ssl=on -c ssl_cert_file={dir}/cert.pem -c ssl_key_file={dir}/key.pem"));
        }
        let (data, log) = (self.data(), self.dir.path().join("log"));
        let (data, log) = (data.to_string_lossy(), log.to_string_lossy());
        self.run("pg_ctl", &["start", "-D", &data, "-l", &log, "-w", "-t", "60", "-o", &options])
    }

    /// Stops it; its data stays.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&self, how: Stop) -> Result<(), String> {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        let data = self.data();
        self.run("pg_ctl", &["stop", "-D", &data.to_string_lossy(), "-m", mode, "-w", "-t", "60"])
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Who signed the certificate of one that is encrypted, as PEM.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Lends it another folder, for a tablespace.
    ///
    /// # Errors
    /// When that cannot be.
    pub fn own(&self, path: &Path) -> Result<(), String> {
        lend(path)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<(), String> {
        let path = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&path);
            command
        } else {
            Command::new(&path)
        };
        // No pipes: the server would keep them open for as long as it runs.
        let status =
            command.args(args).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = status.status().map_err(|error| format!("{program}: {error}"))?;
        if status.success() {
            return Ok(());
        }
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        Err(format!("{program} ended with {status}: {log}"))
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            drop(self.stop(Stop::Immediate));
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0)
}

/// PostgreSQL refuses to run as root, so root lends it folders by way of the account that Debian's package made.
fn lend(path: &Path) -> Result<(), String> {
    if !is_root() {
        return Ok(());
    }
    let status = Command::new("chown").args(["-R", "postgres"]).arg(path).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err("running as root needs the account `postgres` for the server".to_owned()),
    }
}

/// Outside PATH on Debian; the newest version wins.
fn bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .filter(|(_, bin)| has_both(bin))
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin).or_else(|| Some(PathBuf::from("/usr/bin")).filter(|bin| has_both(bin)))
}

fn has_both(bin: &Path) -> bool {
    bin.join("initdb").exists() && bin.join("pg_ctl").exists()
}

fn free_port() -> Result<u16, String> {
    for _ in 0..100 {
        let port = fastrand::u16(PORTS);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port was found".to_owned())
}
