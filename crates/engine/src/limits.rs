//! The sizes an engine accepts, and the chunk sizes of work done in pieces.
//!
//! The bounds of keys and values are part of the contract: callers check user input against them
//! long before a batch is built, so a batch that breaks them is a bug and asserts.

/// The longest key in bytes: what a 16-bit length can say, the smallest bound of our engines, less
/// the byte in which such an engine keeps the family.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize - 1;

/// The longest value in bytes; a value travels in one Raft entry, and those are far smaller.
pub const VALUE_BYTES_MAX: usize = 256 << 20;

/// Rows deleted by one batch of [`delete_range`](crate::delete_range) unless told otherwise:
/// enough to spread the cost of a batch, few enough to never hold up other writers for long.
pub const DELETE_CHUNK_ROWS: usize = 1024;

/// Payload bytes after which the memory engine closes a block of its image: large enough that
/// header and checksum cost nothing, small enough to be a unit of streaming.
pub const IMAGE_BLOCK_BYTES: usize = 64 << 10;

/// The largest block an image reader accepts: one row may be larger than a block by itself.
pub const IMAGE_BLOCK_BYTES_MAX: usize =
    IMAGE_BLOCK_BYTES + KEY_BYTES_MAX + VALUE_BYTES_MAX + IMAGE_ROW_HEADER_BYTES;

/// Bytes in front of each row of an image block: family, key length, value length.
pub const IMAGE_ROW_HEADER_BYTES: usize = 1 + 4 + 4;

/// Batches a simulated disk keeps apart as "not yet synced". Older ones become durable without a
/// sync, as an operating system writes back old pages by itself; this bounds the list.
pub const UNSYNCED_BATCHES_MAX: usize = 4096;

const _: () = assert!(IMAGE_BLOCK_BYTES_MAX <= u32::MAX as usize, "block lengths are 32 bits");
