//! Who takes a turn, who calls back, and that nothing is left lying.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Instant;

use super::*;

/// Far beyond what anything in here takes.
const LONG: Duration = Duration::from_secs(20);

/// What a turn is to do.
enum Order {
    /// Say who takes it.
    Say,
    /// Let the thread say that it does.
    Tell,
    /// Be due again after this time, and let the thread say so then.
    Due(Duration),
    Panic,
    /// Go on when this comes; the other side hears that it waits.
    Hold(SyncSender<()>, Receiver<()>),
}

struct Turns {
    inputs: Arc<Mailbox<Order>>,
    start: Instant,
    said: SyncSender<ThreadId>,
    due: Option<Moment>,
    owed: usize,
    busy: Arc<AtomicBool>,
    panicked: Arc<AtomicBool>,
}

impl TakesTurns for Turns {
    fn take(&mut self) -> bool {
        assert!(!self.busy.swap(true, Ordering::SeqCst), "two turns at once");
        let mut found = Vec::new();
        let open = self.inputs.drain(&mut found, Some(Duration::ZERO));
        let now = self.now();
        self.owed += usize::from(self.due.take_if(|due| *due <= now).is_some());
        for order in found {
            match order {
                Order::Say => self.said.send(thread::current().id()).expect("heard"),
                Order::Tell => self.owed += 1,
                Order::Panic => panic!("as ordered"),
                Order::Due(after) => self.due = Some(now + after),
                Order::Hold(waits, until) => {
                    waits.send(()).expect("heard");
                    until.recv_timeout(LONG).expect("released");
                }
            }
        }
        self.busy.store(false, Ordering::SeqCst);
        open
    }

    fn owes(&self) -> bool {
        self.owed > 0
    }

    fn answer(&mut self) {
        for _ in 0..std::mem::take(&mut self.owed) {
            self.said.send(thread::current().id()).expect("heard");
        }
    }

    fn deadline(&self) -> Option<Moment> {
        self.due
    }

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.start.elapsed().as_micros()).expect("not that long"))
    }

    fn end(self, panicked: bool) {
        self.panicked.store(panicked, Ordering::SeqCst);
    }
}

struct Fixture {
    shard: Arc<ShardThread<Turns, Order>>,
    inputs: Arc<Mailbox<Order>>,
    said: Receiver<ThreadId>,
    thread: JoinHandle<()>,
    panicked: Arc<AtomicBool>,
}

impl Fixture {
    /// The thread sleeps; others take turns as well.
    fn start() -> Self {
        Self::start_shared(true)
    }

    fn start_shared(is_shared: bool) -> Self {
        let inputs = Arc::new(Mailbox::new(1024));
        let shard = Arc::new(ShardThread::new(Arc::clone(&inputs), is_shared));
        let (sender, said) = sync_channel(16);
        let panicked = Arc::<AtomicBool>::default();
        let turns = Turns {
            inputs: Arc::clone(&inputs),
            start: Instant::now(),
            said: sender,
            due: None,
            owed: 0,
            busy: Arc::default(),
            panicked: Arc::clone(&panicked),
        };
        let runs = Arc::clone(&shard);
        let body = move || runs.run(turns);
        let thread = thread::Builder::new().spawn(body).expect("a thread");
        let fixture = Self { shard, inputs, said, thread, panicked };
        fixture.until_asleep();
        fixture
    }

    fn until_asleep(&self) {
        let since = Instant::now();
        while !self.inputs.is_reader_asleep() {
            assert!(since.elapsed() < LONG, "the thread does not come to rest");
            thread::yield_now();
        }
    }

    fn bring(&self, order: Order) {
        assert!(self.shard.bring(order).is_ok());
    }

    fn by_whom(&self) -> ThreadId {
        self.said.recv_timeout(LONG).expect("a turn")
    }

    fn end(self) {
        self.inputs.close();
        self.thread.join().expect("it ends in peace");
        assert!(!self.panicked.load(Ordering::SeqCst), "a turn panicked");
        assert!(self.shard.bring(Order::Say).is_err_and(|(_, why)| why == Rejected::Closed));
        assert!(self.said.try_recv().is_err(), "more turns than were asked for");
    }
}

#[test]
fn what_comes_while_the_thread_sleeps_is_taken_in_by_whoever_brings_it() {
    let fixture = Fixture::start();
    fixture.bring(Order::Say);
    let by = fixture.said.try_recv();
    assert_eq!(by, Ok(thread::current().id()), "before bring returns");
    fixture.inputs.push(Order::Say);
    assert_eq!(fixture.by_whom(), fixture.thread.thread().id());
    fixture.end();
}

#[test]
fn a_transport_that_takes_locks_leaves_all_turns_to_the_thread() {
    let fixture = Fixture::start_shared(false);
    fixture.bring(Order::Say);
    assert_eq!(fixture.by_whom(), fixture.thread.thread().id());
    fixture.end();
}

#[test]
fn a_turn_that_panics_ends_the_thread_whoever_took_it() {
    for brings in [true, false] {
        let fixture = Fixture::start();
        thread::scope(|scope| {
            let (shard, inputs) = (&fixture.shard, &fixture.inputs);
            let body = move || {
                if brings {
                    drop(shard.bring(Order::Panic));
                } else {
                    inputs.push(Order::Panic);
                }
            };
            let other = scope.spawn(body);
            assert_eq!(other.join().is_err(), brings);
        });
        fixture.thread.join().expect("it ends in peace");
        assert!(fixture.panicked.load(Ordering::SeqCst), "nobody was told");
        assert!(fixture.shard.bring(Order::Say).is_err(), "nobody reads it");
        assert!(fixture.said.try_recv().is_err(), "a turn after half a turn");
    }
}

#[test]
fn callbacks_are_the_threads_alone() {
    let fixture = Fixture::start();
    fixture.bring(Order::Tell);
    assert_eq!(fixture.by_whom(), fixture.thread.thread().id());
    fixture.end();
}

#[test]
fn a_turn_that_is_due_sooner_than_the_thread_sleeps_is_in_time() {
    let fixture = Fixture::start();
    fixture.bring(Order::Due(Duration::from_hours(1)));
    fixture.until_asleep();
    fixture.bring(Order::Due(Duration::from_millis(2)));
    assert_eq!(fixture.by_whom(), fixture.thread.thread().id());
    fixture.end();
}

#[test]
fn what_comes_during_a_turn_is_seen_to_after_it() {
    let fixture = Fixture::start();
    thread::scope(|scope| {
        let (waits, is_held) = sync_channel(1);
        let (release, until) = sync_channel(1);
        let shard = &fixture.shard;
        let other = scope.spawn(move || assert!(shard.bring(Order::Hold(waits, until)).is_ok()));
        is_held.recv_timeout(LONG).expect("the other one's turn");
        fixture.bring(Order::Say);
        assert!(fixture.said.try_recv().is_err(), "taken during another turn");
        release.send(()).expect("heard");
        other.join().expect("no panic");
    });
    assert_eq!(fixture.by_whom(), fixture.thread.thread().id());
    fixture.end();
}

#[test]
fn nothing_is_left_lying_whoever_brings_it() {
    const ROUNDS: usize = 3_000;
    const BRINGERS: usize = 3;
    let fixture = Fixture::start();
    let together = Barrier::new(BRINGERS + 1);
    thread::scope(|scope| {
        for n in 0..BRINGERS {
            let (shard, inputs, together) = (&fixture.shard, &fixture.inputs, &together);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    together.wait();
                    match (n + round) % 4 {
                        0 => inputs.push(Order::Say),
                        1 => assert!(shard.bring(Order::Tell).is_ok()),
                        _ => assert!(shard.bring(Order::Say).is_ok()),
                    }
                }
            });
        }
        // Nothing more comes before all of a round was said: what is lost is never found.
        for _ in 0..ROUNDS {
            together.wait();
            for _ in 0..BRINGERS {
                fixture.by_whom();
            }
        }
    });
    fixture.end();
}
