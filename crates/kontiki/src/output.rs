//! What commands print: tables, JSON lines or plain text, to standard output and nothing else.
//!
//! Progress and complaints go to standard error, so output can be piped. A reader that goes away
//! (`| head`) ends the command silently.

use std::io::{self, BufWriter, IsTerminal, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::bytes_text;
use crate::exit::Failure;
use crate::records::JsonRecord;

/// How a command prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
    /// One thing a line: a value as it is, or key, tab, value with `\t \n \r \\ \xNN` escapes.
    Plain,
}

/// Standard output.
pub(crate) struct Out {
    writer: BufWriter<io::Stdout>,
    /// The form asked for.
    pub(crate) form: Form,
    /// Keys and values in hexadecimal.
    pub(crate) hex: bool,
}

impl Out {
    /// Prints in this form.
    pub(crate) fn new(form: Form, hex: bool) -> Self {
        Self { writer: BufWriter::new(io::stdout()), form, hex }
    }

    /// Prints bytes exactly.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.writer.write_all(bytes);
        check(written)
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let written = writeln!(self.writer, "{text}");
        check(written)
    }

    /// Prints one JSON object on a line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).expect("plain structs always become JSON");
        self.line(&text)
    }

    /// Prints one row; in a table they are collected instead.
    pub(crate) fn row(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Failure> {
        match (self.form, value) {
            (Form::Json, _) => self.json(&JsonRecord::new(key, value, self.hex)),
            (_, Some(value)) => self.line(&format!("{}\t{}", self.text(key), self.text(value))),
            (_, None) => self.line(&self.text(key)),
        }
    }

    /// Bytes as text on one line.
    pub(crate) fn text(&self, bytes: &[u8]) -> String {
        if self.hex { bytes_text::hex(bytes) } else { bytes_text::escaped(bytes) }
    }

    /// Makes sure that everything is out; the last thing a command does.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        let flushed = self.writer.flush();
        check(flushed)
    }
}

/// A reader that went away is no failure of ours, but there is nothing left to do.
fn check(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::machine("cannot write to standard output", error)),
    }
}

/// An empty table with these columns; those whose name ends in a space-less `>` are flushed right.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(columns.iter().map(|name| Cell::new(name.trim_end_matches('>'))));
    for (index, name) in columns.iter().enumerate() {
        if name.ends_with('>')
            && let Some(column) = table.column_mut(index)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// True when standard error may be coloured: a terminal, and `NO_COLOR` is not set.
pub(crate) fn stderr_is_coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Bytes for people: `512 B`, `1.5 MiB`.
pub(crate) fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

/// A count for people: `1,234,567`.
pub(crate) fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(count_text(1_234_567), "1,234,567");
        assert_eq!(count_text(123), "123");
        assert_eq!(count_text(0), "0");
        assert_eq!(size_text(512), "512 B");
        assert_eq!(size_text(1536 * 1024), "1.5 MiB");
    }

    #[test]
    fn columns_of_numbers_are_flushed_right() {
        let mut table = table(&["store", "term>"]);
        table.add_row(["s1", "7"]);
        let text = table.to_string();
        assert!(text.contains("term ") && !text.contains("term>"), "{text}");
        assert!(text.contains("    7 │"), "{text}");
    }
}
