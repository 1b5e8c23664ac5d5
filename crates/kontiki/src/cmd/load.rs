//! `kontiki load`: puts the records of a file, many at a time.
//!
//! A file is read once, from start to end. When loading stops half way, loading the file again is
//! safe: the same puts give the same store.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::builder::FalseyValueParser;
use indicatif::ProgressBar;
use kontiki_client::{Client, Error, Op, Pending};
use serde_json::json;

use super::progress;
use crate::connect::Connect;
use crate::exit::Failure;
use crate::output::{Form, count_text};
use crate::records::{Dialect, Format, Reader};

/// Put the records of a file
///
/// Lines of `key<TAB>value` (with \t \n \r \\ \xNN escapes; a line without a tab is a key with an
/// empty value, so a word list will do), or JSON lines with `key` and `value` (`key_hex` and
/// `value_hex` for binary). It is what `kontiki dump` and `kontiki scan` write.
#[derive(clap::Args, Debug)]
pub(crate) struct Load {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// How records stand in it; by default jsonl for .json, .jsonl and .ndjson, else tsv
    #[arg(long, env = "KONTIKI_FORMAT")]
    format: Option<Format>,
    /// What stands between key and value in tsv, for example ';'
    #[arg(long, env = "KONTIKI_SEPARATOR", value_parser = separator, default_value = "\t", hide_default_value = true)]
    separator: u8,
    /// Backslashes in tsv mean themselves
    #[arg(long, env = "KONTIKI_NO_ESCAPES", value_parser = FalseyValueParser::new())]
    no_escapes: bool,
    /// Puts under way at once
    #[arg(long, env = "KONTIKI_IN_FLIGHT", value_name = "PUTS", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=16384))]
    in_flight: u32,
    /// No progress bar
    #[arg(long, env = "KONTIKI_QUIET", value_parser = FalseyValueParser::new())]
    quiet: bool,
    #[command(flatten)]
    connect: Connect,
}

fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ if text == "\\t" => Ok(b'\t'),
        _ => Err("give one ASCII character".to_owned()),
    }
}

impl Load {
    /// Puts them.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let stdin = self.path == Path::new("-");
        let format = self.format.unwrap_or_else(|| Format::of_path(&self.path));
        let dialect = Dialect {
            separator: self.separator,
            escapes: !self.no_escapes,
            ..Dialect::new(format)
        };
        let cannot =
            |error| Failure::machine(format!("cannot read {}", self.path.display()), error);
        let (input, size): (Box<dyn BufRead>, Option<u64>) = if stdin {
            (Box::new(BufReader::new(std::io::stdin())), None)
        } else {
            let file = File::open(&self.path).map_err(cannot)?;
            let size = file.metadata().map_err(cannot)?.len();
            (Box::new(BufReader::with_capacity(1 << 20, file)), Some(size))
        };
        let client = self.connect.client().await?;
        let bar = if self.quiet { ProgressBar::hidden() } else { progress::bar(size) };
        let mut loading = Loading::new(client, self.in_flight as usize, bar);
        let result = loading.all(Reader::new(input, dialect)).await;
        loading.bar.finish_and_clear();
        let (stored, elapsed) = (loading.stored, loading.started.elapsed());
        result.map_err(|stop| self.explain(&stop, stored))?;
        let rate = rate(stored, elapsed);
        let mut out = self.connect.out(Form::Plain, false);
        match out.form {
            Form::Json => out.json(&json!({
                "records": stored,
                "seconds": elapsed.as_secs_f64(),
                "records_per_s": rate,
            }))?,
            Form::Table | Form::Plain => out.line(&format!(
                "loaded {} records in {:.1} s ({} records/s)",
                count_text(stored),
                elapsed.as_secs_f64(),
                count_text(rate)
            ))?,
        }
        out.finish()
    }

    fn explain(&self, stop: &Stop, stored: u64) -> Failure {
        let mut failure = match stop {
            Stop::Input(why) => Failure::usage(format!("{}: {why}", self.path.display())),
            Stop::Cluster(error) => self.connect.failure(error),
        };
        failure.message =
            format!("{} (after {} records were stored)", failure.message, count_text(stored));
        if failure.hint.is_none() || matches!(stop, Stop::Cluster(_)) {
            let again = "loading the file again is safe: the same puts give the same store";
            failure.hint = Some(match failure.hint.take() {
                Some(hint) => format!("{hint}; {again}"),
                None => again.to_owned(),
            });
        }
        failure
    }
}

/// Why loading stopped.
enum Stop {
    /// The file.
    Input(String),
    /// The cluster.
    Cluster(Error),
}

/// A load under way.
struct Loading {
    client: Client,
    in_flight_max: usize,
    under_way: VecDeque<(Bytes, Pending)>,
    /// Keys under way: puts of one key may take effect in any order, so the second waits.
    keys: HashSet<Bytes>,
    stored: u64,
    started: Instant,
    bar: ProgressBar,
}

impl Loading {
    fn new(client: Client, in_flight_max: usize, bar: ProgressBar) -> Self {
        Self {
            client,
            in_flight_max,
            under_way: VecDeque::new(),
            keys: HashSet::new(),
            stored: 0,
            started: Instant::now(),
            bar,
        }
    }

    /// Puts every record; after a failure it waits for what is under way and puts no more.
    async fn all(&mut self, mut reader: Reader<impl BufRead>) -> Result<(), Stop> {
        let mut result = Ok(());
        while result.is_ok() {
            let record = match reader.next() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(why) => {
                    result = Err(Stop::Input(why));
                    break;
                }
            };
            while result.is_ok()
                && (self.under_way.len() >= self.in_flight_max || self.keys.contains(&record.key))
            {
                result = self.settle_oldest().await;
            }
            if result.is_ok() {
                result = self.begin(record.key, record.value).await;
            }
            if self.stored.is_multiple_of(256) {
                self.show(reader.bytes_read());
            }
        }
        while !self.under_way.is_empty() {
            let settled = self.settle_oldest().await;
            result = result.and(settled);
        }
        result
    }

    async fn begin(&mut self, key: Bytes, value: Bytes) -> Result<(), Stop> {
        let op = Op::Put { key: key.clone(), value };
        let pending = self.client.submit(op).await.map_err(Stop::Cluster)?;
        self.keys.insert(key.clone());
        self.under_way.push_back((key, pending));
        Ok(())
    }

    async fn settle_oldest(&mut self) -> Result<(), Stop> {
        let Some((key, pending)) = self.under_way.pop_front() else { return Ok(()) };
        let outcome = pending.await;
        self.keys.remove(&key);
        outcome.map_err(Stop::Cluster)?;
        self.stored += 1;
        Ok(())
    }

    fn show(&self, bytes_read: u64) {
        self.bar.set_position(bytes_read);
        let rate = rate(self.stored, self.started.elapsed());
        let stored = count_text(self.stored);
        self.bar.set_message(format!("{stored} records, {} records/s", count_text(rate)));
    }
}

/// Whole records a second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people: not negative, and far below 2^53"
)]
pub(super) fn rate(records: u64, elapsed: Duration) -> u64 {
    (records as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}
