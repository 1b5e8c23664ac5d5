//! `kontiki scan`: prints the rows of a range, page by page.

use clap::builder::FalseyValueParser;

use super::range::RangeArgs;
use crate::connect::Connect;
use crate::exit::Failure;
use crate::output::{Form, table};

/// Print keys and values in order
///
/// Plain and JSON output is what `kontiki load` reads. Rows come page by page: each page shows the
/// store as it is when the page is read.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(clap::Args, Debug)]
pub(crate) struct Scan {
    #[command(flatten)]
    range: RangeArgs,
    /// At most this many rows
    #[arg(long, env = "KONTIKI_LIMIT", value_name = "ROWS")]
    limit: Option<u64>,
    /// From the greatest key to the least
    #[arg(long, env = "KONTIKI_REVERSE", value_parser = FalseyValueParser::new())]
    reverse: bool,
    /// Leave the values out
    #[arg(long, env = "KONTIKI_KEYS_ONLY", value_parser = FalseyValueParser::new())]
    keys_only: bool,
    /// Rows asked for at once
    #[arg(long, env = "KONTIKI_PAGE", value_name = "ROWS", default_value_t = 1000)]
    page: u32,
    /// Keys and values are hexadecimal
    #[arg(long, env = "KONTIKI_HEX", value_parser = FalseyValueParser::new())]
    hex: bool,
    /// Any replica may answer, at once, perhaps with older values
    #[arg(long, env = "KONTIKI_STALE", value_parser = FalseyValueParser::new())]
    stale: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Scan {
    /// Prints them.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let range = self.range.resolve(self.hex)?;
        let client = super::fresh_or_stale(self.connect.client().await?, self.stale);
        let mut scan = range.scan(&client).page_rows(self.page);
        if self.reverse {
            scan = scan.reverse();
        }
        if self.keys_only {
            scan = scan.keys_only();
        }
        if let Some(limit) = self.limit {
            scan = scan.limit(limit);
        }
        let mut out = self.connect.out(Form::Plain, self.hex);
        let columns: &[&str] = if self.keys_only { &["key"] } else { &["key", "value"] };
        let mut rows = table(columns);
        while let Some(page) =
            scan.next_page().await.map_err(|error| self.connect.failure(&error))?
        {
            for row in page {
                let value = (!self.keys_only).then_some(&row.value[..]);
                if out.form == Form::Table {
                    let cells = std::iter::once(&row.key[..]).chain(value);
                    rows.add_row(cells.map(|bytes| out.text(bytes)).collect::<Vec<_>>());
                } else {
                    out.row(&row.key, value)?;
                }
            }
        }
        if out.form == Form::Table {
            out.line(&rows.to_string())?;
        }
        out.finish()
    }
}
