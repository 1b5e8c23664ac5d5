//! Bytes as text and back, without loss: the escapes of TSV files and tables, and hexadecimal.
//!
//! Escapes: `\t \n \r \\` and `\xNN`; bytes that are UTF-8 and can be printed stand for themselves.

use std::borrow::Cow;

/// Appends the bytes in escaped form, on one line and without a tab.
pub(crate) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\t' => out.extend_from_slice(b"\\t"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\\' => out.extend_from_slice(b"\\\\"),
                c if c.is_control() => {
                    c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape_hex(byte, out));
                }
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        chunk.invalid().iter().for_each(|&byte| escape_hex(byte, out));
    }
}

/// The bytes in escaped form, as text.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    escape(bytes, &mut out);
    String::from_utf8(out).expect("escape writes UTF-8: the rest is in hexadecimal")
}

fn escape_hex(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    out.extend_from_slice(hex(&[byte]).as_bytes());
}

/// The bytes that an escaped text stands for; an error names the escape nobody knows.
pub(crate) fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if !text.contains(&b'\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match rest.next() {
            Some(b't') => out.push(b'\t'),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b'\\') => out.push(b'\\'),
            Some(b'x') => {
                let digits = rest.as_slice().get(..2).ok_or("`\\x` needs two digits")?;
                out.extend(unhex(digits)?);
                rest = rest.as_slice()[2..].iter();
            }
            Some(&other) => return Err(format!("unknown escape `\\{}`", other.escape_ascii())),
            None => return Err("a `\\` at the end".to_owned()),
        }
    }
    Ok(Cow::Owned(out))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes of a hexadecimal text; an error says what is wrong with it.
pub(crate) fn unhex(text: &[u8]) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(2) {
        return Err(format!("hexadecimal of odd length {}", text.len()));
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or_else(|| format!("`{}` is no hexadecimal digit", byte.escape_ascii()))
    };
    text.chunks_exact(2).map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_both_forms_on_one_line() {
        let mut all: Vec<u8> = (0..=255).collect();
        all.extend("déjà \u{85} vu".as_bytes());
        let text = escaped(&all);
        assert!(!text.contains(['\t', '\n', '\r']), "{text}");
        assert_eq!(unescape(text.as_bytes()).unwrap(), all);
        assert_eq!(unhex(hex(&all).as_bytes()).unwrap(), all);
        assert_eq!(escaped("grün\\".as_bytes()), "grün\\\\");
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for bad in ["\\d", "\\", "\\x1", "\\xzz"] {
            assert!(unescape(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(unhex(b"abc").is_err());
        assert!(unhex(b"+1").is_err());
    }
}
