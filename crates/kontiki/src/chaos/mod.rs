//! `kontiki chaos`: torments a cluster of its own and proves that nothing was lost.
//!
//! | file | what |
//! |---|---|
//! | [`input`] | the records that are written |
//! | [`load`] | tasks that write and read: writers, counters, races, readers |
//! | [`faults`] | kills and pauses, on the main thread |
//! | [`books`] | what the tasks were told |
//! | [`history`], [`tally`] | pure: whether what was seen may be |
//! | [`verify`] | reads everything back at the end, compares the replicas |
//! | [`findings`], [`ack_clock`], [`report`] | what is wrong, outages, the verdict |
//!
//! The proof is per key: every key has one writer, which numbers its writes, so a read can be
//! judged against what was acknowledged before it began without any search. Counters and races
//! have several writers and are judged by their sums. Nothing here trusts the cluster: what it
//! says is compared with what it said before.

mod ack_clock;
mod books;
pub(crate) mod dice;
mod faults;
mod findings;
mod history;
mod input;
mod load;
mod report;
mod tally;
mod verify;

pub(crate) use verify::replicas_equal;

use std::cell::Cell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::builder::FalseyValueParser;
use indicatif::ProgressBar;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::cmd;
use crate::duration_arg;
use crate::exit::{Code, Failure};
use crate::output::count_text;
use crate::supervise::{Cluster, Event, Layout, Settings, TEND_EVERY, ready};
use books::Books;
use dice::Dice;
use faults::{Done, Faults, Plan};
use load::Alarm;
use report::Report;

/// Time between two faults unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long starting, recovering and verifying may each take.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often progress is told when standard error is not a terminal.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Kill and pause stores of a cluster of its own, and prove that nothing is lost
///
/// Starts stores, writes and reads while they are killed (kill -9) or paused (SIGSTOP), then
/// verifies every acknowledged write, every counter and race, and that the replicas are equal.
/// Exits with 0 only if nothing was lost or doubled, no read was stale, and no store crashed.
#[derive(clap::Args, Debug)]
pub(crate) struct Chaos {
    /// Kill a store every so often [default: 1s, unless --pause is given]
    #[arg(long, env = "KONTIKI_KILL", value_name = "INTERVAL", value_parser = duration_arg::parse)]
    kill: Option<Duration>,
    /// Pause stores for so long; with --kill, each time one or the other
    #[arg(long, env = "KONTIKI_PAUSE", value_name = "LENGTH", value_parser = duration_arg::parse)]
    pause: Option<Duration>,
    /// How long
    #[arg(long = "for", id = "for", env = "KONTIKI_FOR", value_name = "DURATION", value_parser = duration_arg::parse, default_value = "2m")]
    length: Duration,
    /// Files whose records are written: word lists, key TAB value, key;value, JSON lines
    #[arg(long, env = "KONTIKI_INPUT", value_name = "FILE", num_args = 1.., value_delimiter = ',')]
    input: Vec<PathBuf>,
    /// Write the numbers to this file (`-`: standard output)
    #[arg(long, env = "KONTIKI_JSON", value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where rows live: fjall (on disk) or memory (durable by log and snapshots)
    #[arg(long, env = "KONTIKI_ENGINE", value_parser = ["fjall", "memory"])]
    engine: Option<String>,
    /// Seed of what is chosen at random [default: drawn, and printed]
    #[arg(long, env = "KONTIKI_SEED", value_name = "N")]
    seed: Option<u64>,
    /// How many stores
    #[arg(long, env = "KONTIKI_STORES", value_name = "N", default_value_t = 3)]
    stores: u16,
    /// Tasks that write records
    #[arg(long, env = "KONTIKI_WRITERS", value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    writers: u16,
    /// Where data lies [default: a temporary directory, kept when the run fails]
    #[arg(long, env = "KONTIKI_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Store n listens on port BASE + n; 0 takes free ports
    #[arg(long, env = "KONTIKI_PORT_BASE", value_name = "BASE", default_value_t = 0)]
    port_base: u16,
    /// What the stores log
    #[arg(long, env = "KONTIKI_LOG_LEVEL", value_name = "FILTER")]
    log_level: Option<String>,
    /// Only the verdict
    #[arg(long, short, env = "KONTIKI_QUIET", value_parser = FalseyValueParser::new())]
    quiet: bool,
}

impl Chaos {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let records = input::records(&self.input)?;
        let seed = self.seed.unwrap_or_else(drawn_seed);
        let temporary = tempfile::Builder::new()
            .prefix("kontiki-chaos-")
            .tempdir()
            .map_err(|error| Failure::machine("cannot make a temporary directory", error))?;
        let dir = self.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
        let layout = Layout::new(&dir, self.stores, self.port_base)?;
        let endpoints = layout.endpoints();
        let runtime = cmd::runtime()?;
        let settings = Settings {
            engine: self.engine.clone(),
            log_level: self.log_level.clone(),
            verbose: false,
        };
        let started = Instant::now();
        let mut cluster = Cluster::start(layout, settings, true)?;
        await_ready(&runtime, &mut cluster, None)?;
        self.say(&format!(
            "{} stores serve; {} records, seed {seed}, for {} s",
            self.stores,
            count_text(records.len() as u64),
            self.length.as_secs()
        ));
        let books = Arc::new(Books::new(records, load::COUNTERS, Instant::now() + self.length));
        let done = self.torment(&runtime, &mut cluster, &books, seed)?;
        self.say("all stores run again; reading everything back");
        let equal = Self::verify(&runtime, &mut cluster, &books, &endpoints);
        let report = Report::new(&books, done, seed, equal);
        for (store, how) in cluster.stop() {
            self.say(&format!("store {store} did not stop cleanly: {how}"));
        }
        let text = report.text(&books, started.elapsed());
        let _ = io::stdout().write_all(text.as_bytes());
        self.write_json(&report)?;
        if report.passed {
            return Ok(());
        }
        let mut failure = Failure::new(Code::Verification, "the cluster broke its promises");
        if self.data_dir.is_none() {
            failure =
                failure.hint(format!("data and logs are kept in {}", temporary.keep().display()));
        }
        Err(failure)
    }

    /// The load and the faults, until the time is over.
    fn torment(
        &self,
        runtime: &Runtime,
        cluster: &mut Cluster,
        books: &Arc<Books>,
        seed: u64,
    ) -> Result<Done, Failure> {
        let (alarm, alarmed) = watch::channel(Alarm::default());
        let endpoints = cluster.layout().endpoints();
        let writers = usize::from(self.writers);
        let tasks = runtime.block_on(load::start(books, &endpoints, writers, seed, &alarmed));
        let mut tasks = tasks.map_err(|error| crate::connect::failure(&error))?;
        runtime.spawn(end_on_signal(books.clone()));
        let bar = if self.quiet { ProgressBar::hidden() } else { cmd::progress::bar(None) };
        let told = Cell::new(Instant::now());
        let progress = |done: Done| self.progress(&bar, &told, books, done);
        let plan = Plan {
            interval: self.kill.or(self.pause).unwrap_or(INTERVAL).max(TEND_EVERY),
            kills: self.kill.is_some() || self.pause.is_none(),
            pause: self.pause,
        };
        let faults = Faults {
            cluster,
            runtime,
            books,
            alarm,
            dice: Dice::new(seed, 0),
            progress: &progress,
            done: Done::default(),
        };
        let done = faults.run(plan)?;
        books.clock.close();
        bar.finish_and_clear();
        // Every operation ends by its deadline, and tasks begin no more.
        runtime.block_on(async {
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(|error| Failure::machine("a task of the load", error))?;
            }
            Ok::<(), Failure>(())
        })?;
        Ok(done)
    }

    /// Whether the replicas are equal, or why nothing could be verified.
    fn verify(
        runtime: &Runtime,
        cluster: &mut Cluster,
        books: &Arc<Books>,
        endpoints: &[String],
    ) -> Result<bool, String> {
        await_ready(runtime, cluster, Some(books)).map_err(|failure| failure.message)?;
        let compare = async {
            let client = load::client(endpoints).await?;
            verify::data(&client, books).await?;
            replicas_equal(&client, endpoints).await
        };
        // The timer needs the runtime around it from its birth.
        let verified = runtime.block_on(async { tokio::time::timeout(PATIENCE, compare).await });
        match verified {
            Ok(Ok(equal)) => Ok(equal),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("not done within {} s", PATIENCE.as_secs())),
        }
    }

    fn progress(&self, bar: &ProgressBar, told: &Cell<Instant>, books: &Books, done: Done) {
        let text = || {
            format!(
                "{} kills, {} pauses, {} writes acknowledged, longest outage {} ms",
                done.kills,
                done.pauses,
                count_text(books.clock.count()),
                books.clock.longest().as_millis()
            )
        };
        if !bar.is_hidden() {
            bar.set_message(text());
        } else if told.get().elapsed() >= TELL_EVERY {
            told.set(Instant::now());
            self.say(&text());
        }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    fn write_json(&self, report: &Report) -> Result<(), Failure> {
        let Some(path) = &self.json else { return Ok(()) };
        let text = serde_json::to_string(report).expect("plain structs always become JSON");
        let written = if path == Path::new("-") {
            writeln!(io::stdout(), "{text}")
        } else {
            std::fs::write(path, text + "\n")
        };
        written.map_err(|error| Failure::machine(format!("cannot write {}", path.display()), error))
    }
}

/// Tends the stores until all serve. A store that ends meanwhile is noted in the books; before
/// the load (no books) it is a failure at once.
fn await_ready(
    runtime: &Runtime,
    cluster: &mut Cluster,
    books: Option<&Books>,
) -> Result<(), Failure> {
    let endpoints = cluster.layout().endpoints();
    let waiting = runtime.spawn(async move { ready::wait(&endpoints).await });
    let deadline = Instant::now() + PATIENCE;
    while !waiting.is_finished() {
        std::thread::sleep(TEND_EVERY);
        for event in cluster.tend() {
            let Event::Died { store, status, last_lines, .. } = event else { continue };
            let what =
                format!("store {store} ended by itself ({status}): {}", last_lines.join("\n  "));
            match books {
                Some(books) => books.findings.add(findings::Kind::Crash, 1, what),
                None => return Err(Failure::new(Code::Machine, what)),
            }
        }
        if Instant::now() > deadline {
            waiting.abort();
            let message = format!("not all stores serve after {} s", PATIENCE.as_secs());
            return Err(Failure::new(Code::Unavailable, message));
        }
    }
    Ok(())
}

/// The first Ctrl-C ends the load, and what was written so far is verified; the second ends all.
async fn end_on_signal(books: Arc<Books>) {
    const ENDED_BY_SIGNAL: i32 = 130;
    if tokio::signal::ctrl_c().await.is_ok() {
        books.end_now();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(ENDED_BY_SIGNAL);
        }
    }
}

/// A seed from the randomness that the standard library keeps for its hash maps.
fn drawn_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() % 1_000_000
}
