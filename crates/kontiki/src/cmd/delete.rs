//! `kontiki delete`: removes keys.

use std::ffi::OsString;

use clap::builder::FalseyValueParser;
use serde_json::json;

use crate::bytes_arg;
use crate::connect::Connect;
use crate::exit::Failure;
use crate::output::Form;

/// Remove keys; a missing key is fine
#[derive(clap::Args, Debug)]
pub(crate) struct Delete {
    /// Keys, byte for byte as given; removed one after the other
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
    /// Keys are hexadecimal
    #[arg(long, env = "KONTIKI_HEX", value_parser = FalseyValueParser::new())]
    hex: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Delete {
    /// Removes them.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let keys = self.keys.iter().map(|key| bytes_arg::key(key, self.hex));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let client = self.connect.client().await?;
        for key in &keys {
            client.delete(key).await.map_err(|error| self.connect.failure(&error))?;
        }
        let mut out = self.connect.out(Form::Plain, self.hex);
        match out.form {
            Form::Json => out.json(&json!({ "applied": true }))?,
            Form::Table | Form::Plain => out.line("ok")?,
        }
        out.finish()
    }
}
