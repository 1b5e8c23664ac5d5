//! Records as lines: key, separator, value. The separator is a tab in what `dump` writes.
//!
//! Called by [`super::Reader`] and [`super::write`] only.

use std::io::{self, Write};

use bytes::Bytes;

use super::{Dialect, Record};
use crate::bytes_text;

/// The record of a line without its line end.
pub(super) fn parse(line: &[u8], dialect: Dialect) -> Result<Record, String> {
    let cut = line.iter().position(|&byte| byte == dialect.separator);
    let (key, value) = match cut {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &[][..]),
    };
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    Ok(Record { key: field(key, dialect)?, value: field(value, dialect)? })
}

fn field(text: &[u8], dialect: Dialect) -> Result<Bytes, String> {
    if !dialect.escapes {
        return Ok(Bytes::copy_from_slice(text));
    }
    let bytes = bytes_text::unescape(text)
        .map_err(|why| format!("{why}; write `\\\\` for a backslash, or give --no-escapes"))?;
    Ok(Bytes::copy_from_slice(&bytes))
}

/// Writes `key<TAB>value`, or the key alone when the value is empty.
pub(super) fn write(out: &mut impl Write, record: &Record) -> io::Result<()> {
    let mut line = Vec::with_capacity(record.key.len() + record.value.len() + 2);
    bytes_text::escape(&record.key, &mut line);
    if !record.value.is_empty() {
        line.push(b'\t');
        bytes_text::escape(&record.value, &mut line);
    }
    line.push(b'\n');
    out.write_all(&line)
}
