//! `kontiki delete-range`: removes every key of a range.

use clap::builder::FalseyValueParser;
use serde_json::json;

use super::range::RangeArgs;
use crate::connect::Connect;
use crate::exit::Failure;
use crate::output::{Form, count_text};

/// Remove every key of a range
#[derive(clap::Args, Debug)]
pub(crate) struct DeleteRange {
    #[command(flatten)]
    range: RangeArgs,
    /// Really every key there is: needed when no range is given
    #[arg(long, env = "KONTIKI_ALL", value_parser = FalseyValueParser::new())]
    all: bool,
    /// Keys are hexadecimal
    #[arg(long, env = "KONTIKI_HEX", value_parser = FalseyValueParser::new())]
    hex: bool,
    #[command(flatten)]
    connect: Connect,
}

impl DeleteRange {
    /// Removes them.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        if self.range.is_everything() != self.all {
            let message = if self.all { "--all and a range" } else { "no range" };
            return Err(Failure::usage(message)
                .hint("give --prefix, or --start and --end, or --all for every key there is"));
        }
        let range = self.range.resolve(self.hex)?;
        let client = self.connect.client().await?;
        let removed = client
            .delete_range(&range.start, range.end.as_deref())
            .await
            .map_err(|error| self.connect.failure(&error))?;
        let mut out = self.connect.out(Form::Plain, self.hex);
        match out.form {
            Form::Json => out.json(&json!({ "removed": removed }))?,
            Form::Table | Form::Plain => {
                let keys = if removed == 1 { "key" } else { "keys" };
                out.line(&format!("removed {} {keys}", count_text(removed)))?;
            }
        }
        out.finish()
    }
}
