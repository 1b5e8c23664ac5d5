//! How the tree is set up: every number that is not its default, with the reason.
//!
//! The measure is a machine of 2 cores and 24 GiB shared by three stores, rows of about 256 bytes,
//! and batches of about a hundred rows.

use std::sync::Arc;

use lsm_tree::compaction::{Factory, Leveled};
use lsm_tree::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
};
use lsm_tree::{Cache, CompressionType, Config, DescriptorTable, SequenceNumberCounter};
use std::path::Path;

/// Blocks of tables kept in memory when the owner does not say. The page cache of the operating
/// system is a second level: a block found there is read, checked and unpacked again.
pub(crate) const CACHE_BYTES: u64 = 64 << 20;

/// Rows in memory at which a writer makes a table by itself. A store syncs its engine long before;
/// this bounds the memory of one that does not, or that cannot keep up.
pub(crate) const MEMTABLE_BYTES_MAX: u64 = 128 << 20;

/// Tables as young as they come, each of which a get may have to ask: at so many a flush waits
/// for the compactor, and so, in the end, do the writers.
pub(crate) const YOUNG_TABLES_MAX: usize = 32;

/// Young tables that are merged into the first level at once. A sync makes one of 32 MiB or more;
/// the first level holds this many times [`TABLE_BYTES`]. More of them are cheaper to write and
/// cost a get a look into one more filter each.
const YOUNG_TABLES: u8 = 8;

/// A table of the levels below. Small, because a table is synced as a whole, and the log's sync
/// waits behind it on the same disk.
const TABLE_BYTES: u64 = 32 << 20;

/// Open table files kept by a store: tables are tens of MiB each, so this covers tens of GB.
const FILES_MAX: usize = 512;

/// A block is the unit of a read: about 30 rows of 256 bytes compress well and cost little.
const BLOCK_BYTES: u32 = 8 << 10;

/// Bits of bloom filter a key: under 1 % of gets of an absent key read a block for nothing.
const FILTER_BITS_PER_KEY: f32 = 10.0;

/// The tree of a directory. `filter` sees every row that a compaction moves.
pub(crate) fn tree(
    directory: &Path,
    cache: Arc<Cache>,
    sequence: &SequenceNumberCounter,
    filter: Arc<dyn Factory>,
) -> Config {
    // The tree would publish its own changes here, in the middle of a batch that is being written:
    // what may be seen is counted in `views.rs`, and nobody looks at this counter.
    let unused = SequenceNumberCounter::default();
    Config::new(directory, sequence.clone(), unused)
        .use_cache(cache)
        .use_descriptor_table(Some(Arc::new(DescriptorTable::new(FILES_MAX))))
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
        .with_compaction_filter_factory(Some(filter))
}

/// Which tables are merged, and when.
pub(crate) fn compaction() -> Arc<Leveled> {
    let strategy = Leveled::default();
    Arc::new(strategy.with_l0_threshold(YOUNG_TABLES).with_table_target_size(TABLE_BYTES))
}
