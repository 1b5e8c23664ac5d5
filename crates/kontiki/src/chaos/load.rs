//! The tasks that write and read while stores die: writers, counters, races, readers, sleepers.
//!
//! Each notes what it was told in the [`Books`] and goes on after errors; whether what it was told
//! may be is judged there. An answer that never came is noted as such and nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use kontiki_client::{Client, Error, Options};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::books::{Books, PREFIX, RaceBook};
use super::dice::Dice;
use super::findings::Kind;
use super::history::{Change, Fate};
use super::tally::{Counter, RacerEnd};

/// How long one operation may take: longer than any outage, so that few writes stay unanswered.
const OP_DEADLINE: Duration = Duration::from_secs(15);
/// Client sessions; tasks share them.
const SESSIONS: usize = 4;
/// Counters, and the writers of each.
pub(crate) const COUNTERS: usize = 4;
const COUNTER_WRITERS: usize = 3;
/// Tasks that hold races, and the racers of each.
const RACE_TASKS: usize = 2;
const RACERS: usize = 4;
/// Tasks that read.
const READERS: usize = 8;
/// Clients that strike when a paused store wakes, and their reads.
const SLEEPERS: usize = 4;
const STRIKE_READS: usize = 16;
/// How long a task waits after an error.
const AFTER_ERROR: Duration = Duration::from_millis(20);
/// How long races and counters wait between two rounds.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(5);

/// What the sleepers are told about a store that is paused.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Alarm {
    /// Nothing.
    #[default]
    Sleep,
    /// A store is about to be paused: learn who leads.
    Learn,
    /// It is about to wake: read now, while it may still think that it leads.
    Strike,
}

/// Starts every task. They end by themselves when the books say that the load is over.
pub(crate) async fn start(
    books: &Arc<Books>,
    endpoints: &[String],
    writers: usize,
    seed: u64,
    alarm: &watch::Receiver<Alarm>,
) -> Result<JoinSet<()>, Error> {
    let mut tasks = JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(client(endpoints).await?);
    }
    let mut stream = 0;
    let mut next = || {
        stream += 1;
        let number = usize::try_from(stream).expect("few tasks");
        (clients[number % SESSIONS].clone(), books.clone(), Dice::new(seed, stream))
    };
    for number in 0..writers {
        let (client, books, dice) = next();
        tasks.spawn(write_keys(client, books, dice, number, writers));
    }
    for counter in (0..COUNTERS).flat_map(|counter| [counter; COUNTER_WRITERS]) {
        let (client, books, _) = next();
        tasks.spawn(raise_counter(client, books, counter));
    }
    for task in 0..RACE_TASKS {
        let (_, books, _) = next();
        tasks.spawn(hold_races(clients.clone(), books, task));
    }
    for _ in 0..READERS {
        let (client, books, dice) = next();
        tasks.spawn(read_keys(client, books, dice));
    }
    for _ in 0..SLEEPERS {
        let (_, books, dice) = next();
        let own = client(endpoints).await?;
        tasks.spawn(sleep_and_strike(own, books, dice, alarm.clone()));
    }
    Ok(tasks)
}

/// A client whose operations outlast outages.
pub(crate) async fn client(endpoints: &[String]) -> Result<Client, Error> {
    let options = Options { deadline: OP_DEADLINE, ..Options::default() };
    Client::connect(endpoints, options).await
}

/// What became of a write, in the words of a history.
fn fate<T>(result: &Result<T, Error>, books: &Books) -> Fate {
    match result {
        Ok(_) => {
            books.clock.ack();
            Fate::Acked
        }
        Err(error) if error.outcome_unknown() => {
            books.unanswered.fetch_add(1, Relaxed);
            Fate::Unknown
        }
        Err(_) => Fate::Refused,
    }
}

/// Writes every `writers`-th key, again and again; now and then deletes one.
async fn write_keys(
    client: Client,
    books: Arc<Books>,
    mut dice: Dice,
    number: usize,
    writers: usize,
) {
    loop {
        for (index, book) in books.keys.iter().enumerate().skip(number).step_by(writers) {
            if books.over() {
                return;
            }
            let change = if dice.one_in(10) { Change::Delete } else { Change::Put };
            let version = book.history().begin(change);
            books.note_recent(index);
            let result = match change {
                Change::Put => client.put(&book.key, book.value(version)).await,
                Change::Delete => client.delete(&book.key).await,
            };
            let fate = fate(&result, &books);
            book.history().end(version, fate);
            if result.is_err() {
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
        if books.over() || number >= books.keys.len() {
            return;
        }
    }
}

/// Raises one counter by compare-and-put, together with other tasks.
async fn raise_counter(client: Client, books: Arc<Books>, number: usize) {
    let key = Books::counter_key(number);
    while !books.over() {
        let floor = books.counter(number).acked;
        let Ok(current) = client.get(&key).await else {
            tokio::time::sleep(AFTER_ERROR).await;
            continue;
        };
        books.reads.fetch_add(1, Relaxed);
        let value = current.as_deref().map(|bytes| counter_value(&key, bytes, &books));
        Counter::judge_read(&key, floor, value, &books.findings);
        let raised = Bytes::from((value.unwrap_or(0) + 1).to_string());
        let result = client.compare_and_put(&key, current, Some(raised)).await;
        match result {
            // Another task was quicker: nothing was changed.
            Ok(swap) if !swap.applied => books.clock.ack(),
            result => match fate(&result, &books) {
                Fate::Acked => books.counter(number).acked += 1,
                Fate::Unknown => books.counter(number).unanswered += 1,
                Fate::Pending | Fate::Refused => tokio::time::sleep(AFTER_ERROR).await,
            },
        }
        tokio::time::sleep(BETWEEN_ROUNDS).await;
    }
}

/// The number a counter holds; anything else is something nobody wrote.
pub(crate) fn counter_value(key: &str, bytes: &[u8], books: &Books) -> u64 {
    let value = str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    value.unwrap_or_else(|| {
        let what = format!("{key}: holds {}, which nobody wrote", bytes.escape_ascii());
        books.findings.add(Kind::Doubled, 1, what);
        0
    })
}

/// Lets several racers put the same key if absent, from several sessions at once.
async fn hold_races(clients: Vec<Client>, books: Arc<Books>, task: usize) {
    for round in 0.. {
        if books.over() {
            return;
        }
        let key = format!("{PREFIX}race/{task}-{round}");
        let mut racing = JoinSet::new();
        for racer in 0..RACERS {
            let (client, books, key) =
                (clients[racer % clients.len()].clone(), books.clone(), key.clone());
            racing.spawn(async move {
                let own = format!("{key} racer {racer}").into_bytes();
                let result = client.put_if_absent(&key, own.clone()).await;
                let fate = fate(&result, &books);
                let end = match (result, fate) {
                    (Ok(swap), _) if swap.applied => RacerEnd::Won,
                    (Ok(swap), _) => RacerEnd::Lost(swap.previous.map(|value| value.to_vec())),
                    (Err(_), Fate::Unknown) => RacerEnd::Unknown,
                    (Err(_), _) => RacerEnd::Refused,
                };
                (own, end)
            });
        }
        let racers = racing.join_all().await;
        books.note_race(RaceBook { key, racers });
        tokio::time::sleep(BETWEEN_ROUNDS).await;
    }
}

/// Reads keys that were written just now, and others.
async fn read_keys(client: Client, books: Arc<Books>, mut dice: Dice) {
    while !books.over() {
        if read_one(&client, &books, &mut dice).await.is_err() {
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
}

async fn read_one(client: &Client, books: &Books, dice: &mut Dice) -> Result<(), Error> {
    let book = books.any_key(dice);
    let floor = book.history().floor();
    let value = client.get(&book.key).await?;
    books.reads.fetch_add(1, Relaxed);
    book.judge(floor, value.as_deref(), Kind::StaleRead, &books.findings);
    Ok(())
}

/// Learns who leads before a store is paused, does nothing that could teach it better, and reads
/// at the moment the store wakes: an old leader that answers from its own state is caught here.
async fn sleep_and_strike(
    client: Client,
    books: Arc<Books>,
    mut dice: Dice,
    mut alarm: watch::Receiver<Alarm>,
) {
    // The sender goes away when the faults are over.
    while alarm.changed().await.is_ok() {
        let now = *alarm.borrow_and_update();
        match now {
            Alarm::Sleep => {}
            Alarm::Learn => {
                let _ = read_one(&client, &books, &mut dice).await;
            }
            Alarm::Strike => {
                let mut reads = JoinSet::new();
                for _ in 0..STRIKE_READS {
                    let (client, books) = (client.clone(), books.clone());
                    let mut dice = Dice::new(dice.next(), 0);
                    reads.spawn(async move {
                        let _ = read_one(&client, &books, &mut dice).await;
                    });
                }
                reads.join_all().await;
            }
        }
    }
}
