//! The crate `raft-engine`, its format and its syncs as by default, without compression, which
//! would only cost it time: the entries do not compress.

use std::path::Path;

use bytes::Bytes;
use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use super::Target;

const GROUP: u64 = 1;
/// As large as our segments.
const FILE_BYTES: u64 = 64 << 20;
/// Bytes of the index at the head of an entry.
const INDEX_BYTES: usize = 8;

/// Whether its files are written full of zeroes before they are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fill {
    /// The default: files are reserved and grow.
    Never,
    /// When it is opened, as its documentation advises where that is too slow.
    Before,
}

impl Fill {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Never => "raft-engine",
            Self::Before => "raft-engine, filled",
        }
    }
}

pub(super) struct Theirs(Engine);

impl Theirs {
    /// Opens it in an empty directory; about `bytes` will be written.
    pub(super) fn open(dir: &Path, fill: Fill, bytes: u64) -> anyhow::Result<Self> {
        let files = bytes.div_ceil(FILE_BYTES) + 2;
        let config = Config {
            dir: dir.display().to_string(),
            batch_compression_threshold: ReadableSize(0),
            target_file_size: ReadableSize(FILE_BYTES),
            prefill_for_recycle: fill == Fill::Before,
            prefill_limit: (fill == Fill::Before).then_some(ReadableSize(files * FILE_BYTES)),
            ..Config::default()
        };
        let engine = Engine::open(config)?;
        // The filling is not for the first measured syncs to wait for.
        rustix::fs::sync();
        Ok(Self(engine))
    }
}

/// Entries whose first bytes are their index.
struct Indexed;

impl MessageExt for Indexed {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        let head = entry.value.first_chunk::<INDEX_BYTES>();
        u64::from_be_bytes(*head.expect("every entry begins with its index"))
    }
}

impl Target for Theirs {
    type Batch = Vec<BytesValue>;

    fn prepare(&self, first: u64, data: Vec<Bytes>) -> Self::Batch {
        let entry = |(index, data): (u64, Bytes)| {
            let mut value = data.to_vec();
            value.resize(value.len().max(INDEX_BYTES), 0);
            value[..INDEX_BYTES].copy_from_slice(&index.to_be_bytes());
            BytesValue { value, ..BytesValue::default() }
        };
        (first..).zip(data).map(entry).collect()
    }

    fn append(&mut self, batch: Self::Batch) -> anyhow::Result<()> {
        let mut log = LogBatch::default();
        log.add_entries::<Indexed>(GROUP, &batch)?;
        self.0.write(&mut log, true)?;
        Ok(())
    }
}
