//! `kontiki dump`: writes records so that `kontiki load` gives them back.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::builder::FalseyValueParser;
use indicatif::ProgressBar;
use kontiki_client::Row;

use super::range::RangeArgs;
use super::{load, progress};
use crate::connect::Connect;
use crate::exit::Failure;
use crate::output::count_text;
use crate::records::{self, Format, Record};

/// Rows asked for at once.
const PAGE_ROWS: u32 = 5000;

/// Write keys and values to a file that `kontiki load` reads
///
/// Rows come page by page: records written meanwhile may or may not be in the file. The file
/// appears when it is whole.
#[derive(clap::Args, Debug)]
pub(crate) struct Dump {
    /// The file; `-` is standard output
    #[arg(value_name = "FILE", default_value = "-")]
    path: PathBuf,
    /// How records stand in it; by default jsonl for .json, .jsonl, .ndjson and -o json, else tsv
    #[arg(long, env = "KONTIKI_FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    range: RangeArgs,
    /// Bounds of the range are hexadecimal
    #[arg(long, env = "KONTIKI_HEX", value_parser = FalseyValueParser::new())]
    hex: bool,
    /// No progress on standard error
    #[arg(long, env = "KONTIKI_QUIET", value_parser = FalseyValueParser::new())]
    quiet: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Dump {
    /// Writes them.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let by_output = self.connect.asks_for_json().then_some(Format::Jsonl);
        let format = self.format.or(by_output);
        let format = format.unwrap_or_else(|| Format::of_path(&self.path));
        let started = Instant::now();
        let count = if self.path == Path::new("-") {
            let mut out = BufWriter::new(io::stdout());
            let count = self.write(&mut out, format).await?;
            out.flush().map_err(|error| self.cannot_write(error))?;
            count
        } else {
            // `file` has an empty parent, which stands for the current directory.
            let parent = self.path.parent().filter(|p| !p.as_os_str().is_empty());
            let mut file = tempfile::NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))
                .map_err(|error| self.cannot_write(error))?;
            let mut out = BufWriter::with_capacity(1 << 20, &mut file);
            let count = self.write(&mut out, format).await?;
            out.flush().map_err(|error| self.cannot_write(error))?;
            drop(out);
            file.persist(&self.path).map_err(|error| self.cannot_write(error.error))?;
            count
        };
        if !self.quiet {
            let elapsed = started.elapsed();
            let _ = writeln!(
                io::stderr(),
                "dumped {} records in {:.1} s ({} records/s)",
                count_text(count),
                elapsed.as_secs_f64(),
                count_text(load::rate(count, elapsed))
            );
        }
        Ok(())
    }

    async fn write(&self, out: &mut impl Write, format: Format) -> Result<u64, Failure> {
        let range = self.range.resolve(self.hex)?;
        let client = self.connect.client().await?;
        let bar = if self.quiet { ProgressBar::hidden() } else { progress::bar(None) };
        let mut scan = range.scan(&client).page_rows(PAGE_ROWS);
        let mut count: u64 = 0;
        while let Some(page) =
            scan.next_page().await.map_err(|error| self.connect.failure(&error))?
        {
            for Row { key, value } in page {
                match records::write(out, format, &Record { key, value }) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(count),
                    written => written.map_err(|error| self.cannot_write(error))?,
                }
                count += 1;
            }
            bar.set_message(format!("{} records", count_text(count)));
        }
        bar.finish_and_clear();
        Ok(count)
    }

    fn cannot_write(&self, error: io::Error) -> Failure {
        Failure::machine(format!("cannot write {}", self.path.display()), error)
    }
}
