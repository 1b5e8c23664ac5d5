//! Records as JSON objects, one a line: text as text, anything else in hexadecimal under
//! `key_hex` and `value_hex`. Also the form of `-o json`.

use std::io::{self, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bytes_text;

/// One record in JSON. Of each pair exactly one field is present; a value may be missing, which
/// means the key alone (`scan --keys-only`, or a key that was not found).
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
}

impl Record {
    /// This key and this value.
    pub(crate) fn new(key: &[u8], value: Option<&[u8]>, hex: bool) -> Self {
        let (key, key_hex) = split(key, hex);
        let (value, value_hex) = value.map(|value| split(value, hex)).unwrap_or_default();
        Self { key, key_hex, value, value_hex }
    }
}

fn split(bytes: &[u8], hex: bool) -> (Option<String>, Option<String>) {
    match str::from_utf8(bytes) {
        Ok(text) if !hex => (Some(text.to_owned()), None),
        _ => (None, Some(bytes_text::hex(bytes))),
    }
}

fn join(what: &str, text: Option<String>, hex: Option<String>) -> Result<Option<Bytes>, String> {
    match (text, hex) {
        (Some(_), Some(_)) => Err(format!("`{what}` and `{what}_hex` are both given")),
        (Some(text), None) => Ok(Some(text.into())),
        (None, Some(hex)) => {
            let bytes = bytes_text::unhex(hex.as_bytes());
            bytes.map(|b| Some(b.into())).map_err(|why| format!("`{what}_hex`: {why}"))
        }
        (None, None) => Ok(None),
    }
}

/// The record of a line; a value may be left out.
pub(super) fn parse(line: &[u8]) -> Result<super::Record, String> {
    let record: Record = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let key = join("key", record.key, record.key_hex)?.filter(|key| !key.is_empty());
    let key = key.ok_or("`key` or `key_hex` is missing or empty")?;
    let value = join("value", record.value, record.value_hex)?.unwrap_or_default();
    Ok(super::Record { key, value })
}

/// Writes one line.
pub(super) fn write(out: &mut impl Write, record: &super::Record) -> io::Result<()> {
    let record = Record::new(&record.key, Some(&record.value), false);
    serde_json::to_writer(&mut *out, &record)?;
    out.write_all(b"\n")
}
