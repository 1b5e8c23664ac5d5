//! What a snapshot made of files holds: its place, its membership, and every file with its length
//! and checksum. Written beside the files by a library host, and the first chunk of the stream when
//! such a snapshot is sent.
//!
//! ```text
//! version (1) | meta | count | (name | length | crc32c (u32)) * count
//!             | crc32c over all before (u32)
//!
//! stream: chunk of kind 1 = the manifest; then chunks of kind 2 = the files' bytes, in the order
//! of the manifest, none with bytes of two files
//! ```

use bytes::Bytes;
use kontiki_types::SnapshotMeta;

use crate::wire::{Reader, put_bytes, put_u8, put_u32, put_varint};
use crate::{Error, Result, crc, snapshot};

/// The version this build writes, and the only one it reads.
pub const VERSION: u8 = 1;
/// Kind of the chunk that holds the manifest.
pub const KIND_MANIFEST: u8 = 1;
/// Kind of a chunk that holds bytes of a file.
pub const KIND_DATA: u8 = 2;
/// Most files of a snapshot: a sender holds all of them open.
pub const FILES_MAX: usize = 256;
/// Longest name of a file, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

const CRC_BYTES: usize = 4;
/// Fewest bytes of a file's entry: a name of one byte, length, checksum.
const FILE_BYTES_MIN: usize = 2 + 1 + 4;

/// One file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileEntry {
    /// Its name: letters, digits, `-`, `_` and `.`, not beginning with a dot.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The checksum of its bytes under [`crc::SALT_FILE`].
    pub crc: u32,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// What the snapshot replaces.
    pub meta: SnapshotMeta,
    /// Its files, in the order they were written.
    pub files: Vec<FileEntry>,
}

/// True when a file may be called this: a name can then never lead out of its directory.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && name.chars().all(plain)
}

/// The bytes of a manifest.
///
/// # Panics
/// When it has too many files, or one with a name that is none.
pub fn to_bytes(manifest: &Manifest) -> Bytes {
    assert!(manifest.files.len() <= FILES_MAX, "{} files in a snapshot", manifest.files.len());
    let mut out = Vec::with_capacity(64 + manifest.files.len() * 48);
    put_u8(&mut out, VERSION);
    snapshot::encode(&mut out, &manifest.meta);
    put_varint(&mut out, manifest.files.len() as u64);
    for FileEntry { name, bytes, crc } in &manifest.files {
        assert!(is_name(name), "{name:?} is no name for a file of a snapshot");
        put_bytes(&mut out, name.as_bytes());
        put_varint(&mut out, *bytes);
        put_u32(&mut out, *crc);
    }
    let crc = crc::salted(crc::SALT_MANIFEST, &out);
    put_u32(&mut out, crc);
    Bytes::from(out)
}

/// Reads a manifest.
///
/// # Errors
/// When it is of another version, damaged anywhere, or names a file as no file may be named.
pub fn from_bytes(mut data: Bytes) -> Result<Manifest> {
    Reader::new(data.clone()).version(VERSION)?;
    let covered = data.len().checked_sub(CRC_BYTES).ok_or(Error::Truncated)?;
    let stored = Reader::new(data.split_off(covered)).u32()?;
    let computed = crc::salted(crc::SALT_MANIFEST, &data);
    if stored != computed {
        return Err(Error::Checksum { stored, computed });
    }
    let mut reader = Reader::new(data);
    reader.version(VERSION)?;
    let meta = snapshot::decode(&mut reader)?;
    let count = reader.count(FILE_BYTES_MIN)?;
    if count > FILES_MAX {
        return Err(Error::Corrupt("more files than a snapshot may have"));
    }
    let files = reader.items(count, file)?;
    reader.finish()?;
    Ok(Manifest { meta, files })
}

fn file(reader: &mut Reader) -> Result<FileEntry> {
    let name = String::from_utf8(reader.bytes()?.to_vec())
        .ok()
        .filter(|name| is_name(name))
        .ok_or(Error::Corrupt("a file of a snapshot has no proper name"))?;
    Ok(FileEntry { name, bytes: reader.varint()?, crc: reader.u32()? })
}

#[cfg(test)]
mod tests {
    use kontiki_types::{Index, Membership, Position, Term};

    use super::*;

    #[test]
    fn a_manifest_reads_back_and_damage_anywhere_is_seen() {
        let manifest = Manifest {
            meta: SnapshotMeta {
                position: Position::new(Term(2), Index(9)),
                membership: Membership::of_voters(3),
            },
            files: vec![FileEntry { name: "state.bin".to_owned(), bytes: 300, crc: 7 }],
        };
        let bytes = to_bytes(&manifest);
        assert_eq!(from_bytes(bytes.clone()), Ok(manifest));
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            if let Some(byte) = damaged.get_mut(at) {
                *byte ^= 1;
            }
            assert!(from_bytes(Bytes::from(damaged)).is_err(), "byte {at}");
        }
    }

    #[test]
    fn names_never_lead_elsewhere() {
        for bad in ["", ".", "..", "../a", "a/b", ".hidden", "a\0", "ä"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_name("table-01.sst"));
    }
}
