//! `kontiki get`: prints one value.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;

use crate::bytes_arg;
use crate::connect::Connect;
use crate::exit::{Code, Failure};
use crate::output::{Form, table};

/// Print the value of a key
///
/// The value is printed as it is, with a line end after it; --file writes it byte for byte.
#[derive(clap::Args, Debug)]
pub(crate) struct Get {
    /// Key, byte for byte as given
    key: OsString,
    /// Write the value to a file (`-`: standard output), byte for byte and nothing else
    #[arg(long, env = "KONTIKI_FILE", value_name = "PATH")]
    file: Option<PathBuf>,
    /// KEY is hexadecimal, and the value is printed so
    #[arg(long, env = "KONTIKI_HEX", value_parser = FalseyValueParser::new())]
    hex: bool,
    /// Any replica may answer, at once, perhaps with an older value
    #[arg(long, env = "KONTIKI_STALE", value_parser = FalseyValueParser::new())]
    stale: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Get {
    /// Prints it.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let key = bytes_arg::key(&self.key, self.hex)?;
        let client = super::fresh_or_stale(self.connect.client().await?, self.stale);
        let value = client.get(&key).await.map_err(|error| self.connect.failure(&error))?;
        let Some(value) = value else {
            return Err(Failure::new(Code::NotMet, "key not found"));
        };
        let mut out = self.connect.out(Form::Plain, self.hex);
        if let Some(path) = self.file.as_deref().filter(|path| *path != Path::new("-")) {
            return std::fs::write(path, &value).map_err(|error| {
                Failure::machine(format!("cannot write {}", path.display()), error)
            });
        }
        match out.form {
            _ if self.file.is_some() => out.bytes(&value)?,
            Form::Json => out.row(&key, Some(&value))?,
            Form::Table => {
                let mut table = table(&["key", "value"]);
                table.add_row([out.text(&key), out.text(&value)]);
                out.line(&table.to_string())?;
            }
            Form::Plain if self.hex => {
                let text = out.text(&value);
                out.line(&text)?;
            }
            Form::Plain => {
                out.bytes(&value)?;
                out.bytes(b"\n")?;
            }
        }
        out.finish()
    }
}
