//! The whole story in one run: three stores, adds and reads, a leader that dies.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

const STORES: usize = 3;
const PATIENCE: Duration = Duration::from_mins(1);

/// Killed when it is dropped.
struct Store {
    process: Child,
    clients: String,
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn run() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let addresses = free_addresses(2 * STORES)?;
    let (peers, clients) = addresses.split_at(STORES);
    let conf: Vec<String> = (1..).zip(peers).map(|(n, at)| format!("{n}@{at}")).collect();
    let conf = conf.join(",");
    println!("starting {conf}");
    let mut stores = Vec::new();
    for (n, clients) in (1..).zip(clients) {
        let place = dir.path().join(format!("store-{n}"));
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", &format!("{n}")])
            .arg(place)
            .args([&conf, clients])
            .stdout(Stdio::piped())
            .spawn()?;
        let out = process.stdout.take().ok_or("no output")?;
        stores.push(Some(Store { process, clients: clients.clone() }));
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
    }

    let mut sum = 0;
    for n in 1..=10 {
        sum += n;
        assert_eq!(add(&stores, n)?, sum, "the leader answers with the sum");
    }
    println!("added 1 to 10 through the leader: {sum}");
    for store in 1..=STORES {
        println!("store {store} reads {}", get(&stores, store, sum)?);
    }

    let leader = leader(&stores)?;
    stores[leader - 1] = None;
    println!("killed the leader, store {leader}");
    let began = Instant::now();
    sum += 100;
    assert_eq!(add(&stores, 100)?, sum);
    println!("added 100 after {} ms: {sum}", began.elapsed().as_millis());
    for store in (1..=STORES).filter(|store| *store != leader) {
        println!("store {store} reads {}", get(&stores, store, sum)?);
    }
    println!("done");
    Ok(())
}

/// Ports that were free a moment ago.
fn free_addresses(count: usize) -> Outcome<Vec<String>> {
    let held: Result<Vec<TcpListener>, _> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    held?.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

fn ask(store: &Store, question: &str) -> Outcome<String> {
    let mut socket = TcpStream::connect(&store.clients)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    writeln!(socket, "{question}")?;
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Ask one after the other until one says `ok`.
fn until_ok(stores: &[Option<Store>], question: &str) -> Outcome<String> {
    let began = Instant::now();
    loop {
        for store in stores.iter().flatten() {
            let answer = ask(store, question)?;
            if let Some(answer) = answer.strip_prefix("ok ").filter(|answer| *answer != "0") {
                return Ok(answer.to_owned());
            }
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("nobody answers {question}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn add(stores: &[Option<Store>], n: i64) -> Outcome<i64> {
    Ok(until_ok(stores, &format!("add {n}"))?.parse()?)
}

fn leader(stores: &[Option<Store>]) -> Outcome<usize> {
    Ok(until_ok(stores, "leader")?.parse()?)
}

/// What this very store reads; never less than what was acknowledged.
fn get(stores: &[Option<Store>], store: usize, acknowledged: i64) -> Outcome<i64> {
    let began = Instant::now();
    let one = stores[store - 1].as_ref().ok_or("it was killed")?;
    loop {
        let answer = ask(one, "get")?;
        if let Some(value) = answer.strip_prefix("ok ") {
            let value = value.parse()?;
            assert_eq!(value, acknowledged, "store {store} reads what was acknowledged");
            return Ok(value);
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("store {store}: {answer}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
