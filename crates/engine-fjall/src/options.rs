//! How fjall is set up: every number that is not its default, with the reason.
//!
//! The measure is a machine of 2 cores and 24 GiB shared by three stores, rows of about 256 bytes,
//! and batches of about a hundred rows. fjall stores keyspace options when it creates a keyspace:
//! a change of the memtable or table options below takes effect on new directories only.

use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
};
use fjall::{CompressionType, Database, DatabaseBuilder, KeyspaceCreateOptions};
use kontiki_engine::Family;
use std::path::Path;

/// Blocks of tables kept in memory, shared by all families. Three stores take 192 MiB of the
/// machine; the page cache of the operating system is the larger second level.
const CACHE_BYTES: u64 = 64 << 20;

/// Rows of a big family in memory before they become a table. fjall stalls writers at 4 sealed
/// memtables, so a family takes up to 5 times this while a compaction holds up its flushes.
const MEMTABLE_BYTES: u64 = 32 << 20;

/// The same for the store's own rows: few keys rewritten with every batch. Small, because a
/// journal can go only when *every* family has flushed what it holds.
const META_MEMTABLE_BYTES: u64 = 8 << 20;

/// The same for the one row of the sync mark.
const MARK_MEMTABLE_BYTES: u64 = 1 << 20;

/// Journals kept before fjall forces families with old rows to flush. This bounds the time of an
/// open after a crash (replay runs at several hundred MB/s) and the disk used beside the tables.
const JOURNAL_BYTES_MAX: u64 = 256 << 20;

/// Background threads for flushes and compactions. With one, memtables grow without bound while a
/// compaction runs under full load (measured: 600 MiB, and 8 s to open again). The second one is
/// reserved for flushes by fjall; its price is that it spins while compactions wait, about an
/// eighth of a core at 85,000 puts a second.
const WORKER_THREADS: usize = 2;

/// Open table files kept by a store: tables are tens of MiB each, so this covers tens of GB.
const FILES_MAX: usize = 512;

/// A block is the unit of a read: about 30 rows of 256 bytes compress well and cost little.
const BLOCK_BYTES: u32 = 8 << 10;

/// Bits of bloom filter a key: under 1 % of gets of an absent key read a block for nothing.
const FILTER_BITS_PER_KEY: f32 = 10.0;

/// The database, before its keyspaces.
pub(crate) fn database(directory: &Path) -> DatabaseBuilder<Database> {
    Database::builder(directory)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .max_cached_files(Some(FILES_MAX))
        .worker_threads(WORKER_THREADS)
        // The journal lives for minutes and is written on the hot path: compressing it would
        // trade cpu, which is scarce, for disk, which is not.
        .journal_compression(CompressionType::None)
}

/// The keyspace of a family.
pub(crate) fn keyspace(family: Family) -> KeyspaceCreateOptions {
    let memtable_bytes = match family {
        Family::Default | Family::Write => MEMTABLE_BYTES,
        Family::Lock | Family::Meta => META_MEMTABLE_BYTES,
    };
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable_bytes)
        .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(
            BloomConstructionPolicy::BitsPerKey(FILTER_BITS_PER_KEY),
        )))
        // The upper levels are rewritten soon: compressing them is work thrown away.
        .data_block_compression_policy(CompressionPolicy::new([
            CompressionType::None,
            CompressionType::None,
            CompressionType::Lz4,
        ]))
}

/// The keyspace of the sync mark.
pub(crate) fn mark_keyspace() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MARK_MEMTABLE_BYTES)
}
