//! `kontiki cas`: replaces a value that is as expected, atomically.

use std::ffi::OsString;

use clap::builder::FalseyValueParser;
use serde::Serialize;

use crate::bytes_arg;
use crate::connect::Connect;
use crate::exit::{Code, Failure};
use crate::output::Form;
use crate::records::JsonRecord;

/// Compare and swap: change a key only if it holds what is expected
///
/// Exits with 1 and shows what the key holds when it does not.
#[derive(clap::Args, Debug)]
#[command(group(clap::ArgGroup::new("condition").required(true).args(["expect", "absent"])))]
#[command(group(clap::ArgGroup::new("change").required(true).args(["update", "delete"])))]
pub(crate) struct Cas {
    /// Key, byte for byte as given
    key: OsString,
    /// The value it must hold
    #[arg(long, env = "KONTIKI_EXPECT", value_name = "VALUE", allow_negative_numbers = true)]
    expect: Option<OsString>,
    /// It must not exist
    #[arg(long, env = "KONTIKI_ABSENT", value_parser = FalseyValueParser::new())]
    absent: bool,
    /// The value it gets
    #[arg(long, env = "KONTIKI_UPDATE", value_name = "VALUE", allow_negative_numbers = true)]
    update: Option<OsString>,
    /// It is deleted
    #[arg(long, env = "KONTIKI_DELETE", value_parser = FalseyValueParser::new())]
    delete: bool,
    /// KEY and values are hexadecimal
    #[arg(long, env = "KONTIKI_HEX", value_parser = FalseyValueParser::new())]
    hex: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The answer in JSON: whether it took effect, and what was there before.
#[derive(Serialize)]
struct Answer {
    applied: bool,
    #[serde(flatten)]
    previous: JsonRecord,
}

impl Cas {
    /// Tries it.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let key = bytes_arg::key(&self.key, self.hex)?;
        let value = |what, text: &Option<OsString>| {
            text.as_deref().map(|text| bytes_arg::argument(what, text, self.hex)).transpose()
        };
        let expect = value("--expect", &self.expect)?;
        let update = value("--update", &self.update)?;
        let client = self.connect.client().await?;
        let swap = client
            .compare_and_put(&key, expect, update)
            .await
            .map_err(|error| self.connect.failure(&error))?;
        let mut out = self.connect.out(Form::Plain, self.hex);
        let previous = swap.previous.as_deref();
        if out.form == Form::Json {
            let previous = JsonRecord::new(&key, previous, self.hex);
            out.json(&Answer { applied: swap.applied, previous })?;
        } else if swap.applied {
            out.line("ok")?;
        }
        out.finish()?;
        if swap.applied {
            return Ok(());
        }
        let holds = match previous {
            Some(value) => format!("the key holds {}", out.text(value)),
            None => "the key does not exist".to_owned(),
        };
        Err(Failure::new(Code::NotMet, format!("condition not met: {holds}")))
    }
}
