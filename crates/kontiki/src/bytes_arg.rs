//! Keys and values as arguments, files or standard input, byte for byte.
//!
//! Arguments are taken as the bytes the shell gave, whether or not they are UTF-8; `--hex` reads
//! them as hexadecimal, `--file` and `-` take a value from elsewhere. Nothing is ever trimmed.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;

use crate::bytes_text;
use crate::exit::{Code, Failure};

/// The bytes of an argument.
pub(crate) fn argument(what: &str, text: &OsStr, hex: bool) -> Result<Bytes, Failure> {
    let bytes = text.as_bytes();
    if !hex {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    bytes_text::unhex(bytes)
        .map(Bytes::from)
        .map_err(|why| Failure::usage(format!("{what} is not hexadecimal, as --hex asks: {why}")))
}

/// A key, which must not be empty.
pub(crate) fn key(text: &OsStr, hex: bool) -> Result<Bytes, Failure> {
    let key = argument("the key", text, hex)?;
    if key.is_empty() {
        return Err(Failure::usage("the key is empty"));
    }
    Ok(key)
}

/// A value: an argument, `-` for standard input, or a file (`-` again).
pub(crate) fn value(
    text: Option<&OsStr>,
    file: Option<&Path>,
    hex: bool,
) -> Result<Bytes, Failure> {
    match (text, file) {
        (Some(text), None) if text == "-" => read(Path::new("-")),
        (Some(text), None) => argument("the value", text, hex),
        (None, Some(file)) => read(file),
        _ => Err(Failure::usage("no value, or two")
            .hint("give VALUE, or - for standard input, or --file PATH")),
    }
}

/// Everything a file holds; `-` is standard input.
fn read(path: &Path) -> Result<Bytes, Failure> {
    // One byte more than a value may have is enough for the cluster's refusal, and for memory.
    const READ_MAX: u64 = kontiki_types::limits::VALUE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(READ_MAX).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(READ_MAX).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::machine(format!("cannot read {}", path.display()), error))?;
    if bytes.len() as u64 == READ_MAX {
        let limit = kontiki_types::limits::VALUE_BYTES_MAX;
        let message = format!("{} holds more than {limit} bytes", path.display());
        return Err(Failure::new(Code::Usage, message).hint("split it over several keys"));
    }
    Ok(bytes.into())
}
