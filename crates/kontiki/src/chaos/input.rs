//! What the writers of chaos write: the records of real files, or generated ones.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::exit::Failure;
use crate::records::{Dialect, Format, Reader, Record};

/// How many records are generated when no file is given.
const GENERATED: u32 = 20_000;

/// The records of all files, each key once (a key has one writer); generated ones without files.
pub(crate) fn records(files: &[PathBuf]) -> Result<Vec<Record>, Failure> {
    if files.is_empty() {
        return Ok((0..GENERATED).map(generated).collect());
    }
    let mut records = Vec::new();
    let mut keys = HashSet::new();
    for path in files {
        let fail = |why: &dyn std::fmt::Display| {
            Failure::usage(format!("cannot read --input {}: {why}", path.display()))
        };
        let mut input = BufReader::with_capacity(1 << 20, File::open(path).map_err(|e| fail(&e))?);
        let dialect = dialect(path, &mut input).map_err(|e| fail(&e))?;
        let mut reader = Reader::new(input, dialect);
        while let Some(record) = reader.next().map_err(|why| fail(&why))? {
            if keys.insert(record.key.clone()) {
                records.push(record);
            }
        }
    }
    if records.is_empty() {
        return Err(Failure::usage("the files of --input hold no records"));
    }
    Ok(records)
}

fn generated(number: u32) -> Record {
    let length = 20 + number as usize * 7919 % 400;
    Record {
        key: format!("generated-{number:06}").into(),
        value: format!("{number}-").repeat(length / 6).into(),
    }
}

/// JSON lines by name; else whatever separates the first line: a tab, a semicolon, or nothing.
fn dialect(path: &Path, input: &mut impl BufRead) -> std::io::Result<Dialect> {
    let format = Format::of_path(path);
    let start = input.fill_buf()?;
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let separator = if line.contains(&b'\t') || !line.contains(&b';') { b'\t' } else { b';' };
    Ok(Dialect { format, separator, escapes: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_lists_and_semicolon_files_are_recognized() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let words = write("words", "apple\nbanana\napple\n");
        let unicode = write("UnicodeData.txt", "0041;LATIN;Lu\n0042;B;Lu\n");
        let all = records(&[words, unicode]).unwrap();
        let keys: Vec<_> = all.iter().map(|r| str::from_utf8(&r.key).unwrap()).collect();
        assert_eq!(keys, ["apple", "banana", "0041", "0042"], "each key once");
        assert_eq!(all[2].value, "LATIN;Lu");
        assert!(records(&[write("empty", "")]).is_err());
    }

    #[test]
    fn generated_records_have_different_keys() {
        let all = records(&[]).unwrap();
        let keys: HashSet<_> = all.iter().map(|record| &record.key).collect();
        assert_eq!(keys.len(), all.len());
    }
}
