//! A hub as a process of its own: started on free ports in a folder of its own, looked at through /proc, stopped at the end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Process;

const START_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("run {program}: {source}; build it with `cargo build --release -p hub`")]
    Run { program: String, source: std::io::Error },
    #[error("prepare the hub's folder and ports: {0}")]
    Prepare(#[from] std::io::Error),
    #[error("the hub was not ready within {} s", START_MAX.as_secs())]
    Late,
}

pub struct HubProcess {
    pub process: Process,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub child: Child,
    _folder: TempDir,
}

impl HubProcess {
    /// # Errors
    /// When the program cannot be run or does not come up.
    pub async fn start(program: &Path) -> Result<Self, HubError> {
        Self::run(Command::new(program), program).await
    }

    /// The same without a history.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_live_only(program: &Path) -> Result<Self, HubError> {
        let mut command = Command::new(program);
        command.env("HUB_HISTORY_ENABLED", "false");
        Self::run(command, program).await
    }

    /// The same with its history on a server.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_on_server(program: &Path, url: &str) -> Result<Self, HubError> {
        let mut command = Command::new(program);
        command.env("TIMESCALE_URL", url);
        Self::run(command, program).await
    }

    /// The same without a history and on one core, by util-linux' `taskset`.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_live_only_on(core: usize, program: &Path) -> Result<Self, HubError> {
        let mut command = Command::new("taskset");
        command.arg("--cpu-list").arg(core.to_string()).arg(program).env("HUB_HISTORY_ENABLED", "false");
        Self::run(command, program).await
    }

    async fn run(mut command: Command, program: &Path) -> Result<Self, HubError> {
        let folder = tempfile::tempdir()?;
        let (grpc, http) = (free_port()?, free_port()?);
        command.arg("hub").arg("--data-dir").arg(folder.path());
        command.args(["--grpc-address", &grpc.to_string(), "--http-address", &http.to_string()]);
        command
            .args(["--log-level", "warn"])
            .env("HUB_SYNTHETIC_ENABLED", "false")
            // How fast it is, not how fast it lets one machine be.
            .env("HUB_INGEST_SAMPLES_PER_S_MAX", "100000000")
            .env("HUB_INGEST_SAMPLES_BURST", "100000000")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child =
            command.spawn().map_err(|source| HubError::Run { program: program.display().to_string(), source })?;
        let process = Process::of(child.id());
        // From here on its end is seen to, whatever happens.
        let hub = Self { process, grpc, http, child, _folder: folder };
        let opened = async {
            while !is_ready(http).await.unwrap_or(false) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(START_MAX, opened).await.map_err(|_elapsed| HubError::Late)?;
        Ok(hub)
    }

    /// One of its metrics, by name and labels as `/metrics` writes them; 0 while it has none.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metric(&self, name: &str) -> std::io::Result<f64> {
        let metrics = get(self.http, "/metrics").await?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.and_then(|value| value.parse().ok()).unwrap_or(0.0))
    }
}

/// Ends it at once; its folder goes with it.
impl Drop for HubProcess {
    fn drop(&mut self) {
        // It may have ended by itself, which is all the same here.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

/// It answers before that, too, but takes nothing.
async fn is_ready(http: SocketAddr) -> std::io::Result<bool> {
    Ok(get(http, "/ready").await?.starts_with("HTTP/1.1 200"))
}

/// Head and body of the answer.
async fn get(http: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(http).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A port that was free a moment ago.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
