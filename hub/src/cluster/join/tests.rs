//! Tests of joining: real sockets on loopback, processes as tasks, and peers made by hand where the moment matters.

use std::io::{Read, Write};
use std::net::SocketAddr;

use futures_util::future::join_all;
use testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use super::super::dial::{Dialled, dial};
use super::super::door;
use super::super::hello::{HELLO_BYTES, Hello, Kind, Verdict};
use super::super::refusal::Refusal;
use super::*;

const LONG: Duration = Duration::from_secs(20);
/// Where the end of the wait is the subject.
const SHORT: Duration = Duration::from_millis(1_500);

/// Processes that have their ports and have not begun.
struct Troupe {
    hosts: Hosts,
    listeners: Vec<Option<TcpListener>>,
}

async fn troupe(count: usize) -> Troupe {
    let (mut listeners, mut lines) = (Vec::new(), String::new());
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        lines.push_str(&format!("{}\n", listener.local_addr().unwrap()));
        listeners.push(Some(listener));
    }
    Troupe { hosts: Hosts::parse(&lines).unwrap(), listeners }
}

fn place(hosts: &Hosts, process: usize) -> Place<'static> {
    Place { hosts: hosts.clone(), process, insecure: false, version: "0.4.0", settings: 7, within: LONG }
}

impl Troupe {
    fn address(&self, process: usize) -> SocketAddr {
        self.hosts.get(process).unwrap().to_string().parse().unwrap()
    }

    fn place(&self, process: usize) -> Place<'static> {
        place(&self.hosts, process)
    }

    fn begin(&mut self, process: usize) -> JoinHandle<Result<Joined>> {
        let place = self.place(process);
        self.begin_as(place)
    }

    fn begin_as(&mut self, place: Place<'static>) -> JoinHandle<Result<Joined>> {
        let listener = self.listeners[place.process].take().expect("each begins once");
        tokio::spawn(async move { join_at(listener, &place, &mut Rng::new()).await })
    }

    fn card(&self, process: usize, incarnation: u64) -> Card {
        Card { process, hosts: self.hosts.clone(), version: String::from("0.4.0"), settings: 7, incarnation }
    }

    /// Both connections of a process that is made by hand.
    async fn dial(&self, card: &Card, to: usize) -> [TcpStream; 2] {
        let mut streams = Vec::new();
        for kind in [Kind::Data, Kind::Talk] {
            match dial(card, to, kind).await {
                Dialled::Connected(stream, _) => streams.push(stream),
                other => panic!("{other:?}"),
            }
        }
        streams.try_into().unwrap()
    }
}

async fn joined(process: JoinHandle<Result<Joined>>) -> Joined {
    process.await.unwrap().unwrap()
}

async fn refused(process: JoinHandle<Result<Joined>>) -> String {
    format!("{:#}", process.await.unwrap().expect_err("it cannot join"))
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset is an end, too.
    timeout(LONG, stream.read_to_end(&mut rest)).await.map(drop).is_ok()
}

/// Each tells each of the others its index over both connections.
async fn check_connected(mut all: Vec<Joined>) {
    let starts: Vec<u64> = all.iter().map(|joined| joined.start).collect();
    assert!(starts.windows(2).all(|pair| pair[0] == pair[1]), "{starts:?}");
    let count = all.len();
    let pairs = || (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
    for (from, to) in pairs() {
        let byte = [u8::try_from(from).unwrap()];
        assert_eq!((all[from].sockets[to].is_some(), all[from].talks[to].is_some()), (from != to, from != to));
        if from != to {
            all[from].sockets[to].as_ref().unwrap().write_all(&byte).unwrap();
            all[from].talks[to].as_mut().unwrap().stream.write_all(&byte).await.unwrap();
        }
    }
    for (from, to) in pairs().filter(|(from, to)| from != to) {
        let (mut byte, expected) = ([0], [u8::try_from(from).unwrap()]);
        let socket = all[to].sockets[from].as_ref().unwrap();
        assert!(socket.nodelay().unwrap());
        { socket }.read_exact(&mut byte).unwrap();
        assert_eq!(byte, expected);
        all[to].talks[from].as_mut().unwrap().stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(byte, expected);
    }
}

#[tokio::test]
async fn processes_join_in_whatever_order_they_start() {
    for order in [&[0, 1][..], &[1, 0], &[0, 1, 2], &[2, 1, 0], &[1, 2, 0], &[2, 0, 1]] {
        let mut troupe = troupe(order.len()).await;
        let mut started: Vec<_> = order.iter().map(|process| (*process, troupe.begin(*process))).collect();
        started.sort_by_key(|(process, _)| *process);
        let mut all = Vec::new();
        for (_, process) in started {
            all.push(joined(process).await);
        }
        check_connected(all).await;
    }
}

#[tokio::test]
async fn eight_processes_join() {
    let mut troupe = troupe(8).await;
    let started: Vec<_> = (0..8).map(|process| troupe.begin(process)).collect();
    let mut all = Vec::new();
    for process in started {
        all.push(joined(process).await);
    }
    check_connected(all).await;
}

#[tokio::test]
async fn a_late_process_is_waited_for() {
    let mut troupe = troupe(3).await;
    let late = troupe.listeners[0].take().unwrap();
    let (one, two) = (troupe.begin(1), troupe.begin(2));
    // Others have knocked in vain, and knock again.
    for _ in 0..8 {
        drop(late.accept().await.unwrap());
    }
    troupe.listeners[0] = Some(late);
    let zero = troupe.begin(0);
    check_connected(vec![joined(zero).await, joined(one).await, joined(two).await]).await;
}

#[tokio::test]
async fn a_process_that_differs_is_refused_and_both_say_why() {
    type Change = fn(&mut Place<'static>);
    let cases: [(Change, &str, &str); 3] = [
        (
            |place| place.version = "0.4.1",
            "process 0 runs 0.4.0 and this is 0.4.1",
            "process 1 runs 0.4.1 and this is 0.4.0",
        ),
        (|place| place.settings = 8, "process 0 has other settings", "process 1 has other settings"),
        (
            |place| {
                let lines: Vec<String> = (0..2).map(|process| place.hosts.get(process).unwrap().to_string()).collect();
                place.hosts = Hosts::parse(&format!("{}\n127.0.0.1:1\n", lines.join("\n"))).unwrap();
            },
            "process 0 has another hosts file",
            "process 1 has another hosts file",
        ),
    ];
    let check = async |(change, by_the_other, by_the_first): (Change, &str, &str)| {
        let mut troupe = troupe(2).await;
        let mut other = troupe.place(1);
        change(&mut other);
        let zero = troupe.begin_as(Place { within: SHORT, ..troupe.place(0) });
        let told = refused(troupe.begin_as(other)).await;
        assert!(told.starts_with("this process cannot join: ") && told.contains(by_the_other), "{told}");
        let told = refused(zero).await;
        assert!(told.contains("have not all joined within 1.5s") && told.contains(by_the_first), "{told}");
    };
    join_all(cases.map(check)).await;
}

#[tokio::test]
async fn who_is_missed_is_told_with_what_is_known_of_it() {
    let mut troupe = troupe(4).await;
    let (two, name) = (Place { within: SHORT, ..troupe.place(2) }, |process| troupe.hosts.name(process));
    let expected = [
        format!("{}: Connection refused", name(0)),
        format!("{}: it hung up: ", name(1)),
        format!("{}: has not been heard of", name(3)),
    ];
    drop(troupe.listeners[0].take());
    let one = troupe.listeners[1].take().unwrap();
    let hanging_up = tokio::spawn(async move {
        loop {
            drop(one.accept().await.unwrap());
        }
    });
    let told = refused(troupe.begin_as(two)).await;
    for words in expected {
        assert!(told.contains(&words), "{told}");
    }
    hanging_up.abort();
}

#[tokio::test]
async fn strangers_are_turned_away_without_a_word_and_hinder_nobody() {
    let mut troupe = troupe(2).await;
    let address = troupe.address(0);
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let begun = Instant::now();
    let zero = troupe.begin(0);
    let cut_short = troupe.card(1, 1).hello(0, Kind::Talk, Verdict::Welcome).encode();
    let words: [&[u8]; 5] =
        [b"GET / HTTP/1.1\r\n\r\n", b"\x93sysmon\r and more", &[0x93; 5_000], &cut_short[..90], b""];
    for words in words {
        let mut stranger = TcpStream::connect(address).await.unwrap();
        stranger.write_all(words).await.unwrap();
        // It may have been hung up on already.
        drop(stranger.shutdown().await);
        let mut answer = Vec::new();
        // Closed with bytes unread is a reset.
        drop(timeout(LONG, stranger.read_to_end(&mut answer)).await.unwrap());
        assert!(answer.is_empty());
    }
    let one = troupe.begin(1);
    check_connected(vec![joined(zero).await, joined(one).await]).await;
    assert!(begun.elapsed() < super::super::dial::HELLO_WITHIN);
}

#[tokio::test]
async fn a_process_that_starts_again_takes_the_place_of_what_it_was() {
    let mut troupe = troupe(3).await;
    let zero = troupe.begin(0);
    // It was killed between its two connections, one left on the way, and one that stays open for want of a FIN.
    let former = troupe.card(1, 1);
    let mut streams = troupe.dial(&former, 0).await;
    let one = troupe.begin(1);
    for stream in &mut streams {
        assert!(is_closed(stream).await);
    }
    let two = troupe.begin(2);
    check_connected(vec![joined(zero).await, joined(one).await, joined(two).await]).await;
}

#[tokio::test]
async fn half_of_a_killed_process_is_never_taken_for_its_successor_s() {
    let mut troupe = troupe(2).await;
    let zero = troupe.begin(0);
    let (former, latter) = (troupe.card(1, 1), troupe.card(1, 2));
    let Dialled::Connected(mut old, _) = dial(&former, 0, Kind::Data).await else { panic!("welcome") };
    let Dialled::Connected(_new, _) = dial(&latter, 0, Kind::Talk).await else { panic!("welcome") };
    assert!(is_closed(&mut old).await);
    assert!(!zero.is_finished());
    zero.abort();
}

#[tokio::test]
async fn a_process_that_is_dialled_may_start_again_too() {
    let mut troupe = troupe(2).await;
    let listener = troupe.listeners[0].take().unwrap();
    let one = troupe.begin(1);
    let former = troupe.card(0, 1);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let (stream, _) = listener.accept().await.unwrap();
        let (stream, theirs) = door::listen(stream).await.unwrap();
        streams.push(door::answer(stream, former.hello(1, theirs.kind, Verdict::Welcome)).await.unwrap());
    }
    drop(streams);
    troupe.listeners[0] = Some(listener);
    let zero = troupe.begin(0);
    check_connected(vec![joined(zero).await, joined(one).await]).await;
}

#[tokio::test]
async fn two_that_are_alive_under_one_index_are_found() {
    let mut troupe = troupe(3).await;
    let zero = troupe.begin(0);
    let (first, second) = (troupe.card(1, 1), troupe.card(1, 2));
    let _gave_way = troupe.dial(&first, 0).await;
    let _has_it = troupe.dial(&second, 0).await;
    // From the same machine it might be the same one, started again; but the first one is alive.
    let outcome = dial(&first, 0, Kind::Data).await;
    assert!(matches!(outcome, Dialled::Refused(Refusal::Twice { process: 1 })), "{outcome:?}");
    // From another machine it is another one.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut third = socket.connect(troupe.address(0)).await.unwrap();
    let hello = troupe.card(1, 3).hello(0, Kind::Data, Verdict::Welcome);
    third.write_all(&hello.encode()).await.unwrap();
    let mut answer = [0; HELLO_BYTES];
    third.read_exact(&mut answer).await.unwrap();
    assert_eq!(Hello::decode(&answer).unwrap().verdict, Verdict::Twice);
    assert!(!zero.is_finished());
    zero.abort();
}

#[tokio::test]
async fn an_address_that_leads_back_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = Hosts::parse(&format!("localhost:{port}\n127.0.0.1:{port}\n")).unwrap();
    let error = join_at(listener, &place(&hosts, 1), &mut Rng::new()).await.unwrap_err();
    let told = format!("{error:#}");
    assert!(told.contains(&format!("process 0 (localhost:{port}) leads to this process itself, process 1")), "{told}");
    assert!(error.downcast_ref::<Refusal>().is_some());
}

#[tokio::test]
async fn afterwards_nobody_listens() {
    let mut troupe = troupe(2).await;
    let (zero, one) = (troupe.begin(0), troupe.begin(1));
    let _running = (joined(zero).await, joined(one).await);
    for process in 0..2 {
        let address = troupe.address(process);
        eventually(LONG, async || TcpStream::connect(address).await.is_err(), |refused| *refused).await.unwrap();
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_taken_is_told() {
    let troupe = troupe(2).await;
    let told = async |place: Place<'static>| format!("{:#}", join(&place).await.unwrap_err());
    let outside = told(Place { process: 2, ..troupe.place(0) }).await;
    assert_eq!(outside, "process 2 is not in the hosts file: --process is 0 to 1 there");
    let taken = told(troupe.place(1)).await;
    let expected = format!("process 1 ({}) cannot listen on its address: ", troupe.address(1));
    assert!(taken.starts_with(&expected) && taken.contains("another program"), "{taken}");
    let public = Hosts::parse("0.0.0.0:7080\n127.0.0.1:7080").unwrap();
    let everywhere = told(place(&public, 0)).await;
    assert!(everywhere.contains("--insecure"), "{everywhere}");
}

#[tokio::test]
async fn a_public_address_is_taken_when_its_owner_says_so() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let hosts = Hosts::parse(&format!("0.0.0.0:{}\n127.0.0.1:1", listener.local_addr().unwrap().port())).unwrap();
    drop(listener);
    let open = Place { insecure: true, ..place(&hosts, 0) };
    listen(&open).await.unwrap();
}
