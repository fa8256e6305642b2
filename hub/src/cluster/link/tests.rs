//! Tests of the links: processes as parts on real sockets, and peers made by hand that fall silent, stop reading or
//! talk nonsense.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use runtime::clock::{ManualClock, SystemClock};
use testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::frame::{FRAME_BYTES_MAX, FrameKind, head};
use super::*;

const LONG: Duration = Duration::from_secs(20);
/// Where the end of the patience is the subject.
const SHORT: Duration = Duration::from_secs(1);

/// Writes down what it is told. A question is answered by itself, one that begins with `held` once it is let go.
struct Recorder {
    events: Mutex<Vec<String>>,
    pulses: AtomicUsize,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
    let_go: watch::Sender<bool>,
}

impl Listen for Recorder {
    fn pulse(&self) -> Vec<u8> {
        b"beat".to_vec()
    }

    fn pulsed(&self, _from: usize, bytes: &[u8]) {
        assert_eq!(bytes, b"beat");
        self.pulses.fetch_add(1, Ordering::SeqCst);
    }

    fn note(&self, from: usize, bytes: Vec<u8>) {
        self.record(format!("note of {from}: {}", String::from_utf8_lossy(&bytes)));
    }

    fn question(&self, _from: usize, bytes: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        let (open, most_open, mut let_go) =
            (Arc::clone(&self.open), Arc::clone(&self.most_open), self.let_go.subscribe());
        Box::pin(async move {
            most_open.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if bytes.starts_with(b"held") {
                drop(let_go.wait_for(|let_go| *let_go).await);
            }
            tokio::task::yield_now().await;
            open.fetch_sub(1, Ordering::SeqCst);
            bytes
        })
    }

    fn lost(&self, process: usize, reason: &str) {
        self.record(format!("lost {process}: {reason}"));
    }

    fn left(&self, process: usize) {
        self.record(format!("left {process}"));
    }
}

impl Recorder {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            pulses: AtomicUsize::new(0),
            open: Arc::default(),
            most_open: Arc::default(),
            let_go: watch::Sender::new(false),
        })
    }

    fn record(&self, event: String) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    fn events(&self) -> Vec<String> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pulses(&self) -> usize {
        self.pulses.load(Ordering::SeqCst)
    }
}

/// One process. Dropping it is its kill.
struct Process {
    links: Arc<Links>,
    heard: Arc<Recorder>,
    part: Part,
}

impl Process {
    fn start(streams: Vec<Option<TcpStream>>, silence: Duration, clock: SharedClock) -> Self {
        let name = |process| format!("process {process} (hub:{process})");
        let talks = streams
            .into_iter()
            .enumerate()
            .map(|(process, stream)| stream.map(|stream| Talk { stream, name: name(process) }));
        let (mut part, heard) = (Part::default(), Recorder::new());
        let listen: Arc<dyn Listen> = Arc::<Recorder>::clone(&heard);
        let links = Links::start(talks.collect(), listen, silence, clock, &mut part);
        Self { links, heard, part }
    }

    async fn until(&self, count: usize) -> Vec<String> {
        eventually(LONG, async || self.heard.events(), |events| count <= events.len()).await.unwrap()
    }

    /// Other processes' beats still come.
    async fn beats(&self, count: usize) {
        let before = self.heard.pulses();
        eventually(LONG, async || self.heard.pulses(), |pulses| before + count <= *pulses).await.unwrap();
    }
}

async fn wire() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, dialled)
}

async fn processes(count: usize) -> Vec<Process> {
    let mut streams: Vec<Vec<Option<TcpStream>>> = Vec::new();
    for _ in 0..count {
        let mut of_this_one = Vec::new();
        for of_lower in &mut streams {
            let (one, other) = wire().await;
            of_lower.push(Some(one));
            of_this_one.push(Some(other));
        }
        of_this_one.push(None);
        streams.push(of_this_one);
    }
    streams.into_iter().map(|streams| Process::start(streams, LONG, SystemClock::shared())).collect()
}

async fn two() -> (Process, Process) {
    let mut both = processes(2).await.into_iter();
    (both.next().unwrap(), both.next().unwrap())
}

/// Process 0, and the bare connection of what would be process 1.
async fn one_and_a_stream(silence: Duration, clock: SharedClock) -> (Process, TcpStream) {
    let (stream, bare) = wire().await;
    (Process::start(vec![None, Some(stream)], silence, clock), bare)
}

/// Beats as a live process does, and reads nothing.
fn beating(mut stream: TcpStream) -> JoinHandle<TcpStream> {
    tokio::spawn(async move {
        let mut beat = interval(LOOK_EVERY);
        let bytes = [&head(FrameKind::Pulse, 0, 4)[..], b"beat"].concat();
        while stream.write_all(&bytes).await.is_ok() {
            beat.tick().await;
        }
        stream
    })
}

#[tokio::test]
async fn notes_arrive_once_and_in_order_both_ways() {
    const COUNT: usize = 10_000;
    let (zero, one) = two().await;
    for n in 0..COUNT {
        zero.links.tell(1, n.to_string().into_bytes()).unwrap();
        one.links.tell_all(n.to_string().into_bytes());
    }
    for (process, from) in [(&zero, 1), (&one, 0)] {
        let expected: Vec<String> = (0..COUNT).map(|n| format!("note of {from}: {n}")).collect();
        assert!(process.until(COUNT).await == expected, "notes are out of order");
    }
}

#[tokio::test]
async fn ten_thousand_questions_at_once_are_answered_each_with_its_own_answer() {
    const COUNT: usize = 10_000;
    let (zero, one) = two().await;
    let ask = async |n: usize| zero.links.ask(1, n.to_string().into_bytes(), LONG).await;
    let answers = join_all((0..COUNT).map(ask)).await;
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), n.to_string().into_bytes());
    }
    assert!(one.heard.most_open.load(Ordering::SeqCst) <= ANSWERS_MAX);
}

#[tokio::test]
async fn slow_answers_hold_up_neither_notes_nor_the_answers_to_ones_own_questions() {
    const COUNT: usize = 3_000;
    let (zero, one) = two().await;
    let flood = async |process: &Process, to: usize| {
        let ask = async |_| process.links.ask(to, b"held".to_vec(), LONG).await;
        join_all((0..COUNT).map(ask)).await
    };
    let meanwhile = async {
        let full = |open: &usize| *open == ANSWERS_MAX;
        for process in [&zero, &one] {
            eventually(LONG, async || process.heard.open.load(Ordering::SeqCst), full).await.unwrap();
        }
        one.links.tell(0, b"still here".to_vec()).unwrap();
        assert_eq!(zero.until(1).await, ["note of 1: still here"]);
        zero.heard.let_go.send_replace(true);
        one.heard.let_go.send_replace(true);
    };
    let (of_zero, of_one, ()) = tokio::join!(flood(&zero, 1), flood(&one, 0), meanwhile);
    assert!(of_zero.iter().chain(&of_one).all(|answer| answer.as_deref() == Ok(b"held")));
    assert_eq!(one.heard.most_open.load(Ordering::SeqCst), ANSWERS_MAX);
}

#[tokio::test]
async fn everybody_is_asked_and_told_but_oneself() {
    let all = processes(3).await;
    let answers = all[1].links.ask_all(b"who".to_vec(), LONG).await;
    assert_eq!(answers, [(0, Ok(b"who".to_vec())), (2, Ok(b"who".to_vec()))]);
    all[1].links.tell_all(b"news".to_vec());
    for process in [&all[0], &all[2]] {
        assert_eq!(process.until(1).await, ["note of 1: news"]);
    }
    assert_eq!(all[1].links.tell(1, b"me".to_vec()), Err(Gone::Nobody { process: 1 }));
    assert_eq!(all[1].links.ask(3, b"me".to_vec(), LONG).await, Err(Gone::Nobody { process: 3 }));
}

#[tokio::test]
async fn a_message_may_be_large_but_not_too_large() {
    let (zero, _one) = two().await;
    let large: Arc<[u8]> = vec![7; 8 << 20].into();
    assert!(zero.links.ask(1, Arc::clone(&large), LONG).await.unwrap() == *large);
    let bytes = FRAME_BYTES_MAX + 1;
    assert_eq!(zero.links.tell(1, vec![0; bytes]), Err(Gone::TooLong { bytes }));
    assert!(zero.links.ask(1, &b"still here"[..], LONG).await.is_ok());
}

#[tokio::test]
async fn a_question_without_an_answer_ends_in_time_and_its_late_answer_harms_nobody() {
    let (zero, one) = two().await;
    let within = Duration::from_millis(50);
    let late = zero.links.ask(1, b"held".to_vec(), within).await;
    assert_eq!(late, Err(Gone::Late { process: 1, within }));
    one.heard.let_go.send_replace(true);
    assert_eq!(zero.links.ask(1, b"next".to_vec(), LONG).await.unwrap(), b"next");
}

#[tokio::test]
async fn a_killed_process_is_lost_at_once_and_once() {
    let (zero, one) = two().await;
    let open = zero.links.ask(1, b"held".to_vec(), LONG);
    let kill = async {
        eventually(LONG, async || one.heard.open.load(Ordering::SeqCst), |open| *open == 1).await.unwrap();
        let killed = Instant::now();
        drop(one.part);
        zero.until(1).await;
        assert!(killed.elapsed() < LONG / 4);
    };
    let (answer, ()) = tokio::join!(open, kill);
    assert_eq!(answer, Err(Gone::Lost { process: 1 }));
    assert_eq!(zero.links.tell(1, b"x".to_vec()), Err(Gone::Lost { process: 1 }));
    assert_eq!(zero.links.ask(1, b"x".to_vec(), LONG).await, Err(Gone::Lost { process: 1 }));
    assert!(zero.links.bye(LONG).await);
    assert!(zero.part.stop(LONG).await);
    assert_eq!(zero.heard.events(), ["lost 1: process 1 (hub:1) closed its connection: it ended or was killed"]);
}

#[tokio::test]
async fn a_process_that_says_nothing_is_lost_in_time() {
    let begun = Instant::now();
    let (zero, bare) = one_and_a_stream(SHORT, SystemClock::shared()).await;
    let told = zero.until(1).await;
    let expected = "process 1 (hub:1) has not been heard of for 1s: it is stopped, overloaded or cut off";
    // On a machine that is short of CPU the sentence begins with that.
    assert!(told.len() == 1 && told[0].ends_with(expected), "{told:?}");
    assert!(SHORT <= begun.elapsed() && begun.elapsed() < SHORT + LONG / 4);
    drop(bare);
}

#[tokio::test]
async fn a_process_that_reads_nothing_is_lost_in_time() {
    let (zero, bare) = one_and_a_stream(SHORT, SystemClock::shared()).await;
    let beating = beating(bare);
    let large: Arc<[u8]> = vec![0; 1 << 20].into();
    for _ in 0..32 {
        zero.links.tell(1, Arc::clone(&large)).unwrap();
    }
    let told = zero.until(1).await;
    let expected = "process 1 (hub:1) has not taken anything for 1s: it is stopped, overloaded or cut off";
    // On a machine that is short of CPU the sentence begins with that.
    assert!(told.len() == 1 && told[0].ends_with(expected), "{told:?}");
    beating.abort();
}

#[tokio::test]
async fn what_waits_for_a_process_is_bounded() {
    let (zero, bare) = one_and_a_stream(LONG, SystemClock::shared()).await;
    let beating = beating(bare);
    let large: Arc<[u8]> = vec![0; 16 << 20].into();
    let told = (0..32).map(|_| zero.links.tell(1, Arc::clone(&large)));
    assert!(told.collect::<Result<Vec<()>, Gone>>() == Err(Gone::Lost { process: 1 }));
    let told = zero.until(1).await;
    let expected = "lost 1: process 1 (hub:1) does not take what it is sent: 256 MiB wait; it is overloaded or cut off";
    assert_eq!(told, [expected]);
    beating.abort();
}

#[tokio::test]
async fn who_stood_still_itself_blames_nobody_and_says_so() {
    let clock = ManualClock::at(0);
    let (stream, other) = wire().await;
    let zero = Process::start(vec![None, Some(stream)], SILENCE, clock.shared());
    let one = Process::start(vec![Some(other), None], SILENCE, SystemClock::shared());
    zero.beats(3).await;
    clock.advance(Duration::from_secs(12));
    zero.beats(5).await;
    assert!(zero.heard.events().is_empty(), "{:?}", zero.heard.events());
    drop(one.part);
    assert_eq!(
        zero.until(1).await,
        ["lost 1: this process itself stood still for 12.0 s: it was stopped, suspended or overloaded; meanwhile \
             process 1 (hub:1) closed its connection: it ended or was killed"]
    );
}

#[tokio::test]
async fn nonsense_loses_a_process() {
    for nonsense in [&b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n"[..], &[0xff; 13]] {
        let (zero, mut bare) = one_and_a_stream(LONG, SystemClock::shared()).await;
        bare.write_all(nonsense).await.unwrap();
        let told = zero.until(1).await;
        let expected =
            "lost 1: process 1 (hub:1) cannot be heard any more: it sends what is no message of this program";
        assert_eq!(told, [expected]);
        // And is hung up on.
        let mut rest = Vec::new();
        drop(timeout(LONG, bare.read_to_end(&mut rest)).await.unwrap());
    }
}

#[tokio::test]
async fn a_goodbye_is_no_loss_and_comes_behind_all_that_was_told() {
    const COUNT: usize = 1_000;
    let (zero, one) = two().await;
    for n in 0..COUNT {
        zero.links.tell(1, n.to_string().into_bytes()).unwrap();
        one.links.tell(0, n.to_string().into_bytes()).unwrap();
    }
    assert!(zero.links.bye(LONG).await);
    assert_eq!(zero.links.tell(1, b"x".to_vec()), Err(Gone::Left { process: 1 }));
    assert_eq!(zero.links.ask(1, b"x".to_vec(), LONG).await, Err(Gone::Left { process: 1 }));
    let told = one.until(COUNT + 1).await;
    assert_eq!(told[COUNT - 1..], [format!("note of 0: {}", COUNT - 1), String::from("left 0")]);
    assert_eq!(one.links.tell(0, b"x".to_vec()), Err(Gone::Left { process: 0 }));
    assert!(zero.part.stop(LONG).await && one.part.stop(LONG).await);
    assert_eq!((zero.heard.events().len(), one.heard.events().len()), (COUNT, COUNT + 1));
}

#[tokio::test]
async fn all_may_leave_at_once() {
    let all = processes(3).await;
    assert_eq!(join_all(all.iter().map(|process| process.links.bye(LONG))).await, [true; 3]);
    for (index, process) in all.into_iter().enumerate() {
        assert!(process.part.stop(LONG).await);
        let mut events = process.heard.events();
        events.sort();
        let expected: Vec<String> =
            (0..3).filter(|other| *other != index).map(|other| format!("left {other}")).collect();
        assert_eq!(events, expected);
    }
}

#[tokio::test]
async fn a_part_of_the_hub_does_not_end_because_a_process_is_gone() {
    let (mut zero, one) = two().await;
    drop(one.part);
    zero.until(1).await;
    let ended = timeout(Duration::from_millis(100), zero.part.ended()).await;
    assert!(ended.is_err(), "{ended:?}");
    assert!(zero.part.stop(LONG).await);
}
