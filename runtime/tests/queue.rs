//! The queue's promises: Q-1 a capacity and a policy; order per sender, nothing lost, nothing twice, no wake-up missed.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use fastrand::Rng;
use runtime::queue::{Receiver, RecvError, SendError, Sender, WhenFull, bounded};

/// Far longer than any run takes: a missed wake-up shows as this time passing.
const STUCK: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(5);

#[test]
fn a_full_queue_that_sheds_refuses_with_a_count() {
    let (sender, mut receiver) = bounded("q", 2, WhenFull::Shed);
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.send_blocking(2), Ok(()));
    assert_eq!(sender.try_send(3), Err(SendError::Full(3)));
    assert_eq!(sender.send_blocking(4), Err(SendError::Full(4)), "it never waits");
    let stats = receiver.stats();
    assert_eq!((stats.depth(), stats.sent_total(), stats.shed_total(), stats.depth_max()), (2, 2, 2, 2));
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Ok(2)));
    assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
    assert_eq!((stats.depth(), stats.depth_max()), (0, 2));
}

#[test]
fn a_batch_fills_a_queue_to_its_capacity_and_keeps_the_rest() {
    let (sender, mut receiver) = bounded("q", 3, WhenFull::Block);
    let mut items = VecDeque::from([1, 2, 3, 4, 5]);
    assert!(sender.fill(&mut items) && sender.fill(&mut items));
    assert_eq!((items.make_contiguous(), sender.depth()), (&mut [4, 5][..], 3));
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Ok(2)));
    assert!(sender.fill(&mut items) && items.is_empty());
    sender.close();
    items.push_back(6);
    assert!(!sender.fill(&mut items), "a closed queue takes nothing");
    let rest: Vec<i32> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
    assert_eq!((rest, items.len()), (vec![3, 4, 5], 1));
}

#[test]
fn a_full_queue_that_blocks_gives_the_item_back_after_the_wait() {
    let (sender, mut receiver) = bounded("q", 1, WhenFull::Block);
    sender.send_blocking("a").unwrap();
    assert_eq!(sender.try_send("b"), Err(SendError::Full("b")));
    assert_eq!(sender.send_blocking_within("b", MOMENT), Err(SendError::Full("b")));
    assert_eq!(sender.stats().shed_total(), 0, "waiting is not shedding");
    assert_eq!(receiver.recv_timeout(MOMENT), Ok("a"));
    assert_eq!(receiver.recv_timeout(MOMENT), Err(RecvError::Empty));
}

#[tokio::test(start_paused = true)]
async fn an_async_sender_waits_for_space_or_until_its_deadline() {
    let (sender, mut receiver) = bounded("q", 1, WhenFull::Block);
    sender.send(1).await.unwrap();
    assert_eq!(sender.send_within(2, STUCK).await, Err(SendError::Full(2)));
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(3).await }
    });
    assert_eq!(receiver.recv().await, Some(1));
    assert_eq!(receiver.recv().await, Some(3));
    waiting.await.unwrap().unwrap();
}

#[test]
fn an_overshooting_queue_takes_everything_and_says_that_it_is_full() {
    let (sender, mut receiver) = bounded("egress", 4, WhenFull::Overshoot);
    assert!(sender.push_all(&mut vec![1, 2, 3]));
    assert!(!sender.is_full());
    sender.push(4).unwrap();
    assert!(sender.is_full());
    sender.push(5).unwrap();
    let mut out = Vec::new();
    assert_eq!(receiver.drain_into(&mut out, 3), 3);
    assert_eq!(receiver.drain_into(&mut out, 9), 2);
    assert_eq!(out, [1, 2, 3, 4, 5]);
}

#[test]
fn the_gate_reopens_once_below_half_the_capacity() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (sender, mut receiver) = bounded("egress", 4, WhenFull::Overshoot);
    let counted = Arc::clone(&calls);
    sender.on_space(Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    let mut taken_at_call = Vec::new();
    for round in 0..3 {
        sender.push_all(&mut vec![round; 5]);
        for taken in 1..=5 {
            receiver.try_recv().unwrap();
            if calls.swap(0, Ordering::SeqCst) == 1 {
                taken_at_call.push(taken);
            }
        }
    }
    assert_eq!(taken_at_call, [4, 4, 4], "one item left is the first depth below 2");
    sender.push_all(&mut vec![9; 3]);
    receiver.drain_into(&mut Vec::new(), 9);
    assert_eq!(calls.load(Ordering::SeqCst), 0, "never full, so nobody waits for space");
}

#[test]
fn a_closed_queue_refuses_and_still_gives_what_it_has() {
    let (sender, mut receiver) = bounded("q", 4, WhenFull::Block);
    sender.send_blocking(1).unwrap();
    receiver.close();
    assert_eq!(sender.send_blocking(2), Err(SendError::Closed(2)));
    assert!(sender.is_closed() && !receiver.is_finished());
    assert_eq!(receiver.recv_blocking(), Some(1));
    assert_eq!(receiver.recv_blocking(), None);
    assert_eq!(receiver.try_recv(), Err(RecvError::Closed));
    assert_eq!(receiver.recv_many_timeout(&mut Vec::new(), 9, STUCK), Err(RecvError::Closed));
    assert!(receiver.is_finished());
}

#[test]
fn the_last_sender_closes_and_wakes_a_waiting_receiver() {
    let (sender, mut receiver) = bounded::<u8>("q", 4, WhenFull::Block);
    let other = sender.clone();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.recv_timeout(STUCK));
        drop(sender);
        drop(other);
        assert_eq!(waiting.join().unwrap(), Err(RecvError::Closed));
    });
}

#[test]
fn a_dropped_receiver_wakes_waiting_senders_and_frees_what_waited() {
    let item = Arc::new(());
    let (sender, receiver) = bounded("q", 1, WhenFull::Block);
    sender.send_blocking(Arc::clone(&item)).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| sender.send_blocking_within(Arc::clone(&item), STUCK));
        drop(receiver);
        assert!(waiting.join().unwrap().unwrap_err().is_closed());
    });
    assert_eq!(Arc::strong_count(&item), 1);
}

#[test]
fn a_cancelled_sender_passes_its_turn_on() {
    let (sender, mut receiver) = bounded("q", 1, WhenFull::Block);
    sender.try_send(0).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut second = pin!(sender.send(2));
    {
        let mut first = pin!(sender.send(1));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        receiver.try_recv().unwrap();
        // The turn was the first one's; it goes away without taking it.
    }
    assert!(second.as_mut().poll(&mut context).is_ready());
    assert_eq!(receiver.try_recv(), Ok(2));
}

#[test]
fn a_sender_that_gets_in_wakes_the_next_while_there_is_space() {
    let (sender, mut receiver) = bounded("q", 2, WhenFull::Block);
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let (mut first, mut second) = (pin!(sender.send(3)), pin!(sender.send(4)));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    receiver.drain_into(&mut Vec::new(), 2);
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

/// Counts its wake-ups.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_cancelled_receive_loses_nothing() {
    let (sender, mut receiver) = bounded("q", 1, WhenFull::Block);
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(receiver.recv()).as_mut().poll(&mut context).is_pending());
    sender.try_send(7).unwrap();
    assert_eq!(receiver.recv_timeout(STUCK), Ok(7));
    assert_eq!(receiver.recv_timeout(MOMENT), Err(RecvError::Empty), "the old wake-up is spent or harmless");
}

/// Threads and tasks send, by every call there is, to a receiver that mixes its calls too; each sender's items must
/// arrive complete and in order.
#[test]
fn nothing_is_lost_doubled_or_stuck_under_stress() {
    const SENDERS: usize = 6;
    const ITEMS: usize = 4_000;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let async_side = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for capacity in [1, 2, 7, 64] {
        let (sender, receiver) = bounded("stress", capacity, WhenFull::Block);
        for index in 0..SENDERS {
            let (sender, mut rng) = (sender.clone(), Rng::with_seed(seed ^ (index * 31 + capacity) as u64));
            if index % 2 == 0 {
                async_side.spawn(async move { send_from_task(&sender, index, ITEMS, &mut rng).await });
            } else {
                std::thread::spawn(move || send_from_thread(&sender, index, ITEMS, &mut rng));
            }
        }
        drop(sender);
        let next = receive_all(receiver, SENDERS, &mut Rng::with_seed(seed));
        assert_eq!(next, [ITEMS; SENDERS], "capacity {capacity}");
    }
}

async fn send_from_task(sender: &Sender<(usize, usize)>, index: usize, items: usize, rng: &mut Rng) {
    for item in 0..items {
        let mut value = (index, item);
        loop {
            // Short waits run out again and again: each is a cancelled wait. The long one ends only by a wake-up.
            let wait = if rng.bool() { STUCK } else { Duration::from_micros(rng.u64(0..50)) };
            match sender.send_within(value, wait).await {
                Ok(()) => break,
                Err(error) => value = error.into_inner(),
            }
            assert_ne!(wait, STUCK, "a wake-up was missed");
        }
    }
}

fn send_from_thread(sender: &Sender<(usize, usize)>, index: usize, items: usize, rng: &mut Rng) {
    for item in 0..items {
        let mut value = (index, item);
        loop {
            let sent = match rng.u8(0..3) {
                0 => sender.try_send(value),
                1 => sender.send_blocking_within(value, Duration::from_micros(rng.u64(0..50))),
                _ => sender.send_blocking_within(value, STUCK),
            };
            match sent {
                Ok(()) => break,
                Err(error) => value = error.into_inner(),
            }
        }
    }
}

fn receive_all(mut receiver: Receiver<(usize, usize)>, senders: usize, rng: &mut Rng) -> Vec<usize> {
    let (mut next, mut got) = (vec![0; senders], Vec::new());
    loop {
        let received = match rng.u8(0..4) {
            0 => receiver.try_recv().map(|item| got.push(item)),
            1 => receiver.recv_timeout(STUCK).map(|item| got.push(item)),
            2 => receiver.recv_timeout(Duration::from_micros(rng.u64(0..50))).map(|item| got.push(item)),
            _ => receiver.recv_many_timeout(&mut got, rng.usize(1..9), STUCK).map(|_count| ()),
        };
        for (sender, item) in got.drain(..) {
            assert_eq!(item, next[sender], "sender {sender} out of order");
            next[sender] += 1;
        }
        if received == Err(RecvError::Closed) {
            return next;
        }
    }
}
