//! What a client can ask a region to change. Reads never travel through the log.
//!
//! Keys are full keys of the ordered space (space byte, keyspace, user key). Values are user bytes;
//! the flags byte that stands before them in the engine belongs to `kontiki_codec::value`.

use bytes::Bytes;

use crate::{ClientId, Epoch, KeyRange, RequestId};

/// The writes of one client that travel together: one payload of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriteBatch {
    /// Whose writes, under which epoch, when.
    pub header: Header,
    /// Request ids and commands, applied in this order, each atomic on its own.
    pub commands: Vec<(RequestId, Command)>,
}

/// What all commands of a [`WriteBatch`] share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The session that makes retries take effect once (RIFL).
    pub client: ClientId,
    /// Every request below this id has been answered, so its outcome may be forgotten.
    pub lowest: RequestId,
    /// The client has never had an answer under this id: an unknown session is opened, not refused.
    pub open: bool,
    /// The epoch under which the client routed; checked at propose and again at apply.
    pub epoch: Epoch,
    /// The proposer's wall clock, milliseconds since 1970; see [`crate::RegionTime`].
    pub wall_ms: u64,
}

/// One write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Store the value, whatever was there.
    Put {
        /// Key.
        key: Bytes,
        /// New value.
        value: Bytes,
    },
    /// Remove the key; a missing key is fine.
    Delete {
        /// Key.
        key: Bytes,
    },
    /// Several puts and deletes, all or nothing, in order.
    Batch {
        /// Key and new value; no value deletes.
        changes: Vec<(Bytes, Option<Bytes>)>,
    },
    /// Remove every key of the range.
    DeleteRange {
        /// Which keys.
        range: KeyRange,
    },
    /// Store only if the key is missing; answers the value that was there.
    PutIfAbsent {
        /// Key.
        key: Bytes,
        /// Value to store.
        value: Bytes,
    },
    /// Replace only if the current value equals `expect`; answers the value that was there.
    CompareAndPut {
        /// Key.
        key: Bytes,
        /// The value it must have; nothing: the key must be missing.
        expect: Option<Bytes>,
        /// The value it gets; nothing: the key is deleted.
        update: Option<Bytes>,
    },
    /// Compute a hash over the region's rows as of this entry, on every replica.
    HashState,
}
