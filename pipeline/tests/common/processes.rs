//! The graph as several processes run it, each with its own part of the records, joined by sockets on loopback.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use model::{LogicalTime, Output};
use pipeline::{Feed, Gate, Handle, Reach, Running, Settings, SinkPort, SinkSpec, Sockets};

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

pub(crate) type Outputs = Vec<(LogicalTime, Output)>;

/// What left a process, by what was asked for.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The history of its own machines.
    pub(crate) kept: Outputs,
    /// Changes of all processes.
    pub(crate) told: Outputs,
    /// Changes and the latest samples of all processes.
    pub(crate) shown: Outputs,
}

/// What the workers of a process have given one sink.
#[derive(Default)]
struct Taken {
    outputs: Outputs,
    /// Everything below was said to be there.
    before: LogicalTime,
    /// Of the first output that came after it had been said to be there.
    late: Option<LogicalTime>,
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Taken>>);

impl SinkPort for Sink {
    fn output(&mut self, t: LogicalTime, output: Output) {
        let mut taken = self.0.lock().unwrap();
        // Not asserted here: a worker that panics leaves the others waiting.
        if t < taken.before {
            taken.late.get_or_insert(t);
        }
        taken.outputs.push((t, output));
    }
    fn flush(&mut self) {}
    fn progress(&mut self, before: LogicalTime) {
        let mut taken = self.0.lock().unwrap();
        taken.before = taken.before.max(before);
    }
    /// Its end is the graph's.
    fn complete(&mut self) {}
}

impl Sink {
    fn spec(&self, name: &'static str, feed: Feed) -> SinkSpec {
        let sink = self.clone();
        SinkSpec { name, feed, port: Box::new(move |_| Box::new(sink.clone())) }
    }

    fn end(&self) -> Outputs {
        let taken = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(taken.late, None, "progress ran ahead of what was given");
        taken.outputs
    }
}

/// One of several processes.
pub(crate) struct Process {
    pub(crate) handle: Arc<Handle>,
    running: Running,
    sinks: [Sink; 3],
}

impl Process {
    /// All of so many, each with its gate.
    pub(crate) fn start(processes: usize, settings: &Settings, gate: impl Fn(usize) -> Gate) -> Vec<Self> {
        let started = sockets(processes).into_iter().enumerate().map(|(process, sockets)| {
            let settings = Settings { process, processes, ..settings.clone() };
            let sinks: [Sink; 3] = Default::default();
            let specs = [
                sinks[0].spec("kept", Feed::History),
                sinks[1].spec("told", Feed::Changes(Reach::All)),
                sinks[2].spec("shown", Feed::Live(Reach::All)),
            ];
            let (handle, running) = pipeline::start_with(&settings, &specs, gate(process), sockets).unwrap();
            Self { handle, running, sinks }
        });
        started.collect()
    }

    /// Ends all, which they can only together; what left each.
    pub(crate) fn end(started: Vec<Self>) -> Vec<Left> {
        started.iter().for_each(|process| process.handle.close());
        let joined = started
            .into_iter()
            .map(|Self { running, sinks, .. }| (std::thread::spawn(move || running.join().unwrap()), sinks));
        let joined: Vec<_> = joined.collect();
        let left = joined.into_iter().map(|(joining, sinks)| {
            joining.join().unwrap();
            let [kept, told, shown] = sinks.map(|sink| sink.end());
            Left { kept, told, shown }
        });
        left.collect()
    }
}
