//! `kontiki put`: stores one value.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use serde_json::json;

use crate::bytes_arg;
use crate::connect::Connect;
use crate::exit::{Code, Failure};
use crate::output::Form;

/// Store a value under a key
#[derive(clap::Args, Debug)]
pub(crate) struct Put {
    /// Key, byte for byte as given
    key: OsString,
    /// Value; `-` reads it from standard input
    #[arg(allow_negative_numbers = true)]
    value: Option<OsString>,
    /// Take the value from a file (`-`: standard input), byte for byte
    #[arg(long, env = "KONTIKI_FILE", value_name = "PATH", conflicts_with = "value")]
    file: Option<PathBuf>,
    /// Only if the key is missing; otherwise exit with 1
    #[arg(long, env = "KONTIKI_IF_ABSENT", value_parser = FalseyValueParser::new())]
    if_absent: bool,
    /// KEY and VALUE are hexadecimal
    #[arg(long, env = "KONTIKI_HEX", value_parser = FalseyValueParser::new())]
    hex: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Put {
    /// Stores it.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let key = bytes_arg::key(&self.key, self.hex)?;
        let value = bytes_arg::value(self.value.as_deref(), self.file.as_deref(), self.hex)?;
        let client = self.connect.client().await?;
        let mut out = self.connect.out(Form::Plain, self.hex);
        let failure = |error| self.connect.failure(&error);
        if self.if_absent {
            let swap = client.put_if_absent(&key, value).await.map_err(failure)?;
            if !swap.applied {
                if out.form == Form::Json {
                    out.json(&json!({ "applied": false }))?;
                    out.finish()?;
                }
                return Err(Failure::new(Code::NotMet, "the key exists: nothing was changed"));
            }
        } else {
            client.put(&key, value).await.map_err(failure)?;
        }
        match out.form {
            Form::Json => out.json(&json!({ "applied": true }))?,
            Form::Table | Form::Plain => out.line("ok")?,
        }
        out.finish()
    }
}
