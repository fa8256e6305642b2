//! A Redis of a test's own: on a free port, in a folder of its own, to be killed, stopped and started again. Gone with the value.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually::eventually_blocking;
use crate::servers::private_dir;

/// A start takes some 20 ms; a machine under load may need seconds.
const SOON: Duration = Duration::from_secs(30);
/// Another program may take a port between our look and the server's bind.
const TRIES: usize = 5;

pub struct RedisServer {
    dir: TempDir,
    port: u16,
    args: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server without persistence, with more settings as on its command line (`--maxmemory 1mb`).
    ///
    /// # Errors
    /// When there is no `redis-server`, or it does not come up.
    pub fn start(args: &[&str]) -> io::Result<Self> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        for _ in 0..TRIES {
            let port = free_port()?;
            let mut server = Self { dir: private_dir()?, port, args: args.clone(), child: None };
            if server.start_again().is_ok() {
                return Ok(server);
            }
        }
        Err(io::Error::other("redis-server does not come up; run scripts/install-test-deps.sh"))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder, for files that it reads.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Without a password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it on the same port, empty.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.start_again_with(&[])
    }

    /// The same with more settings, for this time.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again_with(&mut self, args: &[&str]) -> io::Result<()> {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir"])
            .arg(self.dir.path())
            .args(&self.args)
            .args(args)
            .stdout(Stdio::null())
            .spawn()?;
        self.child = Some(child);
        let answers = eventually_blocking(
            SOON,
            || (std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok(), self.has_ended()),
            |(answers, has_ended)| *answers || *has_ended,
        );
        match answers {
            Ok((true, false)) => Ok(()),
            Ok(_) | Err(_) => Err(io::Error::other("redis-server ended at its start")),
        }
    }

    /// Ends it at once, with all that it held.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Stops it in its tracks: connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// What `redis-cli` prints for a command.
    pub fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-h", "127.0.0.1", "-p", &port]).args(args).output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
        )
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            drop(Command::new("kill").args([signal, &child.id().to_string()]).status());
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
