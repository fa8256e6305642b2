//! The graph as several processes run it, each with its own part of the records, joined by sockets on loopback.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use model::{LogicalTime, Output};
use pipeline::{Feed, Gate, Handle, Running, Settings, SinkPort, SinkSpec, Sockets};

/// A connection between each two of so many processes.
fn sockets(processes: usize) -> Vec<Sockets> {
    let mut all: Vec<Sockets> = Vec::new();
    for process in 0..processes {
        // To those before it; a place for itself and for those behind it.
        let mut own: Sockets = (0..processes).map(|_| None).collect();
        for (other, of_other) in all.iter_mut().enumerate() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            own[other] = Some(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            of_other[process] = Some(listener.accept().unwrap().0);
        }
        all.push(own);
    }
    all
}

type Outputs = Vec<(LogicalTime, Output)>;

/// What a process' workers hand to its stores. Its end is the graph's.
struct Kept(Arc<Mutex<Outputs>>);

impl SinkPort for Kept {
    fn output(&mut self, t: LogicalTime, output: Output) {
        self.0.lock().unwrap().push((t, output));
    }
    fn flush(&mut self) {}
    fn progress(&mut self, _before: LogicalTime) {}
    fn complete(&mut self) {}
}

/// One of several processes.
pub(crate) struct Process {
    pub(crate) handle: Arc<Handle>,
    running: Running,
    outputs: Arc<Mutex<Outputs>>,
}

impl Process {
    /// All of so many, each with its gate.
    pub(crate) fn start(processes: usize, settings: &Settings, gate: impl Fn(usize) -> Gate) -> Vec<Self> {
        let started = sockets(processes).into_iter().enumerate().map(|(process, sockets)| {
            let settings = Settings { process, processes, ..settings.clone() };
            let outputs = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&outputs);
            let port = move |_| -> Box<dyn SinkPort> { Box::new(Kept(Arc::clone(&kept))) };
            let sinks = [SinkSpec { name: "collect", feed: Feed::History, port: Box::new(port) }];
            let (handle, running) = pipeline::start_with(&settings, &sinks, gate(process), sockets).unwrap();
            Self { handle, running, outputs }
        });
        started.collect()
    }

    /// Ends all, which they can only together; what each handed to its stores.
    pub(crate) fn end(started: Vec<Self>) -> Vec<Outputs> {
        started.iter().for_each(|process| process.handle.close());
        let joined = started
            .into_iter()
            .map(|Self { running, outputs, .. }| (std::thread::spawn(move || running.join().unwrap()), outputs));
        let joined: Vec<_> = joined.collect();
        let outputs = joined.into_iter().map(|(joining, outputs)| {
            joining.join().unwrap();
            std::mem::take(&mut *outputs.lock().unwrap())
        });
        outputs.collect()
    }
}
