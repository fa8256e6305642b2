//! The program as a child process. It is killed when the value is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use testkit::eventually_blocking;

use super::SOON;

pub(crate) struct Program {
    child: Child,
    http: String,
    pub(crate) grpc: String,
    lines: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// A hub with its data in `dir`.
    pub(crate) fn hub(dir: &Path) -> Self {
        Self::start("hub", dir, &[])
    }

    /// The same with these variables.
    pub(crate) fn hub_with(dir: &Path, variables: &[(&str, &str)]) -> Self {
        Self::spawn_with(dir, variables).up()
    }

    /// Starts a command and waits until it is up.
    pub(crate) fn start(command: &str, dir: &Path, args: &[&str]) -> Self {
        Self::spawn(command, dir, args).up()
    }

    /// Waits until its ports answer, which they do while it still starts. False when it has ended instead.
    pub(crate) fn listens(&mut self) -> bool {
        let listens = eventually_blocking(
            SOON,
            || (self.events("hub_listens").pop(), self.child.try_wait().unwrap()),
            |(listens, ended)| listens.is_some() || ended.is_some(),
        );
        let (Some(listens), None) = listens.unwrap() else { return false };
        self.reached(&listens);
        true
    }

    fn reached(&mut self, told: &Value) {
        self.http = told["dashboard"].as_str().unwrap().trim_end_matches('/').to_owned();
        self.grpc = format!("http://{}", told["grpc"].as_str().unwrap());
    }

    /// Waits until it is up.
    pub(crate) fn up(mut self) -> Self {
        let up = eventually_blocking(
            SOON,
            || (self.events("hub_is_up").pop(), self.child.try_wait().unwrap()),
            |(up, ended)| up.is_some() || ended.is_some(),
        );
        let (up, ended) = up.unwrap();
        let up = up.unwrap_or_else(|| panic!("the hub did not come up: {ended:?} {:#?}", self.errors()));
        self.reached(&up);
        self
    }

    /// Starts a command that need not come up.
    pub(crate) fn spawn(command: &str, dir: &Path, args: &[&str]) -> Self {
        let ports = ["--http-address", "127.0.0.1:0", "--grpc-address", "127.0.0.1:0"];
        Self::run(&[], dir, &[&[command][..], &ports, args].concat(), &[])
    }

    /// A hub that takes its ports from these variables, on free ones otherwise.
    pub(crate) fn spawn_with(dir: &Path, variables: &[(&str, &str)]) -> Self {
        let free = [("HUB_HTTP_ADDRESS", "127.0.0.1:0"), ("HUB_GRPC_ADDRESS", "127.0.0.1:0")];
        Self::run(&[], dir, &["hub"], &[&free[..], variables].concat())
    }

    /// A hub that this command becomes, such as one that enters a network namespace.
    pub(crate) fn spawn_by(command: &[&str], dir: &Path, variables: &[(&str, &str)]) -> Self {
        Self::run(command, dir, &["hub"], variables)
    }

    fn run(command: &[&str], dir: &Path, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let program = env!("CARGO_BIN_EXE_sysmonstm");
        let mut started = match command {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut started = Command::new(first);
                started.args(rest).arg(program);
                started
            }
        };
        let mut child = started
            .args(args)
            .arg("--data-dir")
            .arg(dir)
            .env_clear()
            .env("COLLECTOR_COLLECTION_INTERVAL", "1s")
            .env("COLLECTOR_MACHINE_ID", "this-machine")
            // Most tests are about what they send themselves.
            .env("HUB_SYNTHETIC_ENABLED", "false")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let parsed = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().unwrap().push(parsed);
            }
        });
        Self { child, http: String::new(), grpc: String::new(), lines, reader: Some(reader) }
    }

    /// Answer to a GET, whatever its status.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let answer = hub::client::get(&format!("{}{path}", self.http)).unwrap();
        let body = serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body));
        (answer.status, body)
    }

    /// Answer to a POST of JSON.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        self.change("POST", path, &format!("{head}\r\n{body}"))
    }

    /// Status of a DELETE.
    pub(crate) fn delete(&self, path: &str) -> u16 {
        self.change("DELETE", path, "\r\n").0
    }

    /// The program itself asks with GET only. HTTP/1.0: the answer ends with the connection.
    fn change(&self, method: &str, path: &str, rest: &str) -> (u16, Value) {
        let authority = self.http.trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: {authority}\r\n{rest}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Answer to a GET that succeeds.
    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Asks until the answer is a success and as wanted.
    #[track_caller]
    pub(crate) fn eventually(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let (_, body) = eventually_blocking(SOON, || self.get(path), |(status, body)| *status == 200 && is_so(body))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        body
    }

    /// The same for what takes a minute by itself.
    #[track_caller]
    pub(crate) fn eventually_slowly(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let found = eventually_blocking(3 * SOON, || self.get(path), |(status, body)| *status == 200 && is_so(body));
        found.unwrap_or_else(|error| panic!("{path}: {error}")).1
    }

    /// Its HTTP address.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// Stops it as a whole, and lets it go on after this time.
    pub(crate) fn pause_for(&self, time: std::time::Duration) {
        self.signal("-STOP");
        #[expect(clippy::disallowed_methods, reason = "the length of the pause is what the test is about")]
        std::thread::sleep(time);
        self.signal("-CONT");
    }

    /// Sends a signal by its name, such as `-STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Exit code of a command that asks this hub.
    pub(crate) fn ask(&self, command: &str) -> Option<i32> {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sysmonstm"));
        let output = program.args([command, "--url", &self.http]).env_clear().output();
        output.unwrap().status.code()
    }

    /// Log lines of an event.
    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line["event"] == event).cloned().collect()
    }

    /// The last line of its log, once it has ended.
    pub(crate) fn last_line(&self) -> Value {
        self.lines.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// Lines that call for a person, but for one that is about this machine: a virtual one's clock is set back by seconds now and then.
    pub(crate) fn errors(&self) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        let is_clock = |line: &Value| line["event"] == "clock_is_behind_the_journal_set_it_right_logical_time_goes_on";
        let calls = |line: &&Value| (line["level"] == "error" || line.is_string()) && !is_clock(line);
        lines.iter().filter(calls).cloned().collect()
    }

    /// What it occupies, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait()
    }

    /// SIGKILL: nothing of it can react.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = eventually_blocking(SOON, || self.child.try_wait().unwrap(), Option::is_some);
        let status = status.unwrap().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended long ago.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A rule file in a folder.
pub(crate) fn rule_file(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("my-rules.toml");
    std::fs::write(&path, text).unwrap();
    path
}
