//! Records in files: what `load` and `chaos` read and `dump` writes.
//!
//! Two forms, both without loss: lines of `key<TAB>value` with escapes ([`lines`]), and JSON lines
//! ([`json`]). A line without the separator is a key with an empty value, so a word list is a
//! valid file. Nothing here talks to a cluster.

mod json;
mod lines;

use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use bytes::Bytes;

pub(crate) use json::Record as JsonRecord;

/// Longest line that is read: a full key and value in hexadecimal, and room for the rest.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// One key and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    /// Key.
    pub(crate) key: Bytes,
    /// Value.
    pub(crate) value: Bytes,
}

/// How records stand in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// `key<TAB>value` with `\t \n \r \\ \xNN` escapes; a line without tab is a key alone.
    Tsv,
    /// One object a line: `key` and `value`, or `key_hex` and `value_hex` for binary.
    Jsonl,
}

impl Format {
    /// The form the name of a file promises: JSON for `.json`, `.jsonl`, `.ndjson`, else lines.
    pub(crate) fn of_path(path: &Path) -> Self {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "json" | "jsonl" | "ndjson" => Self::Jsonl,
            _ => Self::Tsv,
        }
    }
}

/// How to read the lines of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dialect {
    /// The form.
    pub(crate) format: Format,
    /// What stands between key and value in [`Format::Tsv`].
    pub(crate) separator: u8,
    /// Whether backslashes mean something in [`Format::Tsv`].
    pub(crate) escapes: bool,
}

impl Dialect {
    /// What `dump` writes and `load` reads unless told otherwise.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, separator: b'\t', escapes: true }
    }
}

/// Reads records line by line.
pub(crate) struct Reader<R> {
    input: R,
    dialect: Dialect,
    line: Vec<u8>,
    line_number: u64,
    bytes_read: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads `input` in this dialect.
    pub(crate) fn new(input: R, dialect: Dialect) -> Self {
        Self { input, dialect, line: Vec::new(), line_number: 0, bytes_read: 0 }
    }

    /// Bytes of the input that were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next record, nothing at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// The number of the line and what is wrong with it.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, String> {
        loop {
            self.line.clear();
            self.line_number += 1;
            let read = Read::take(&mut self.input, LINE_BYTES_MAX)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| self.complain(&error.to_string()))?;
            self.bytes_read += read as u64;
            if read == 0 {
                return Ok(None);
            }
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            } else if read as u64 == LINE_BYTES_MAX {
                return Err(self.complain("longer than any record can be"));
            }
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            if self.line.is_empty() {
                continue;
            }
            let record = match self.dialect.format {
                Format::Tsv => lines::parse(&self.line, self.dialect),
                Format::Jsonl => json::parse(&self.line),
            };
            return record.map(Some).map_err(|why| self.complain(&why));
        }
    }

    fn complain(&self, why: &str) -> String {
        format!("line {}: {why}", self.line_number)
    }
}

/// Writes one record so that [`Reader`] gives it back.
///
/// # Errors
/// Those of the output.
pub(crate) fn write(out: &mut impl Write, format: Format, record: &Record) -> io::Result<()> {
    match format {
        Format::Tsv => lines::write(out, record),
        Format::Jsonl => json::write(out, record),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Record {
        Record { key: key.into().into(), value: value.into().into() }
    }

    fn read_all(text: &[u8], dialect: Dialect) -> Result<Vec<Record>, String> {
        let mut reader = Reader::new(text, dialect);
        std::iter::from_fn(|| reader.next().transpose()).collect()
    }

    #[test]
    fn what_dump_writes_load_reads() {
        let records = vec![
            record("word", ""),
            record("a\tb\nc\\", "line\r\nend\r"),
            record((0..=255).collect::<Vec<u8>>(), vec![0xff, 0, b'"', 0xc3]),
            record("ключ", "значение"),
            record("end with return\r", "{\"x\":1}"),
        ];
        for format in [Format::Tsv, Format::Jsonl] {
            let mut text = Vec::new();
            for record in &records {
                write(&mut text, format, record).unwrap();
            }
            assert_eq!(read_all(&text, Dialect::new(format)).unwrap(), records, "{format:?}");
        }
    }

    #[test]
    fn word_lists_and_other_separators_are_files_too() {
        let tsv = Dialect::new(Format::Tsv);
        let words = read_all(b"apple\n\nbanana\r\ncherry", tsv).unwrap();
        assert_eq!(words, [record("apple", ""), record("banana", ""), record("cherry", "")]);
        let unicode = Dialect { separator: b';', escapes: false, ..tsv };
        let points = read_all(b"0041;LATIN \\CAPITAL;Lu\n", unicode).unwrap();
        assert_eq!(points, [record("0041", "LATIN \\CAPITAL;Lu")]);
    }

    #[test]
    fn bad_lines_are_named() {
        let tsv = read_all(b"fine\tx\nbad\\q\tx\n", Dialect::new(Format::Tsv)).unwrap_err();
        assert!(tsv.starts_with("line 2: unknown escape `\\q`"), "{tsv}");
        let json = Dialect::new(Format::Jsonl);
        for bad in ["{\"key\":\"a\"", "{\"kye\":\"a\",\"value\":\"\"}", "{\"value\":\"\"}"] {
            let error = read_all(bad.as_bytes(), json).unwrap_err();
            assert!(error.starts_with("line 1: "), "{error}");
        }
    }
}
