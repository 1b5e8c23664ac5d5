//! The bytes of a section: changes of one group, in order.
//!
//! [`Change`] is a [`Record`] without its group, plus what only the log itself writes. Borrowed
//! when it is written, owned when it is read. The meaning of a kind byte never changes: old logs
//! are replayed by new releases.

use std::borrow::Cow;

use bytes::Bytes;
use kontiki_codec::wire::{Reader, put_bytes, put_flag, put_u8, put_varint};
use kontiki_codec::{Error, Result, entry, hard_state, snapshot};
use kontiki_types::{Entry, HardState, SnapshotMeta};

use crate::Record;
use crate::limits::ENTRY_OVERHEAD_BYTES;

const APPEND: u8 = 1;
const HARD_STATE: u8 = 2;
const SNAPSHOT: u8 = 3;
const COMPACT: u8 = 4;
const FORGET: u8 = 5;
const RESTATE: u8 = 6;
const QUARANTINE: u8 = 7;

/// Fewest bytes of an entry: term, index, kind, length.
const ENTRY_BYTES_MIN: usize = 4;
/// Most bytes of one peer of a membership: two ids, two bytes of role and count.
const PEER_BYTES_MAX: usize = 24;
/// Most bytes of a reason that is logged.
const WHY_BYTES_MAX: usize = 1024;

/// One change of one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change<'a> {
    /// See [`Record::Append`].
    Append(Cow<'a, [Entry]>),
    /// See [`Record::HardState`].
    HardState(HardState),
    /// See [`Record::Snapshot`].
    Snapshot { meta: Cow<'a, SnapshotMeta>, keep_tail: bool },
    /// See [`Record::Compact`].
    Compact(Cow<'a, SnapshotMeta>),
    /// See [`Record::Forget`].
    Forget,
    /// Everything the group is, in place of all its records before: written to free a segment.
    Restate { hard_state: HardState, meta: Cow<'a, SnapshotMeta>, entries: Cow<'a, [Entry]> },
    /// The group is damaged for good, whatever its records before say.
    Quarantine(Cow<'a, str>),
}

impl<'a> Change<'a> {
    /// The change that a record asks for.
    pub(crate) fn of(record: &'a Record) -> Self {
        match record {
            Record::Append { entries, .. } => Self::Append(Cow::Borrowed(entries)),
            Record::HardState { state, .. } => Self::HardState(*state),
            Record::Snapshot { meta, keep_tail, .. } => {
                Self::Snapshot { meta: Cow::Borrowed(meta), keep_tail: *keep_tail }
            }
            Record::Compact { to, .. } => Self::Compact(Cow::Borrowed(to)),
            Record::Forget { .. } => Self::Forget,
        }
    }

    /// An upper bound of the bytes that [`Self::encode`] appends.
    pub(crate) fn bytes_max(&self) -> usize {
        match self {
            Self::Append(entries) => entries_bytes_max(entries),
            Self::HardState(_) | Self::Forget => ENTRY_OVERHEAD_BYTES,
            Self::Snapshot { meta, .. } | Self::Compact(meta) => meta_bytes_max(meta),
            Self::Restate { meta, entries, .. } => {
                ENTRY_OVERHEAD_BYTES + meta_bytes_max(meta) + entries_bytes_max(entries)
            }
            Self::Quarantine(_) => ENTRY_OVERHEAD_BYTES + WHY_BYTES_MAX,
        }
    }

    /// Appends the change.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Append(entries) => {
                put_u8(out, APPEND);
                encode_entries(out, entries);
            }
            Self::HardState(state) => {
                put_u8(out, HARD_STATE);
                hard_state::encode(out, state);
            }
            Self::Snapshot { meta, keep_tail } => {
                put_u8(out, SNAPSHOT);
                snapshot::encode(out, meta);
                put_flag(out, *keep_tail);
            }
            Self::Compact(to) => {
                put_u8(out, COMPACT);
                snapshot::encode(out, to);
            }
            Self::Forget => put_u8(out, FORGET),
            Self::Restate { hard_state: state, meta, entries } => {
                put_u8(out, RESTATE);
                hard_state::encode(out, state);
                snapshot::encode(out, meta);
                encode_entries(out, entries);
            }
            Self::Quarantine(why) => {
                put_u8(out, QUARANTINE);
                let why = why.as_bytes();
                put_bytes(out, why.get(..WHY_BYTES_MAX).unwrap_or(why));
            }
        }
    }

    fn decode(reader: &mut Reader) -> Result<Change<'static>> {
        Ok(match reader.u8()? {
            APPEND => Change::Append(Cow::Owned(decode_entries(reader)?)),
            HARD_STATE => Change::HardState(hard_state::decode(reader)?),
            SNAPSHOT => {
                let meta = Cow::Owned(snapshot::decode(reader)?);
                Change::Snapshot { meta, keep_tail: reader.flag()? }
            }
            COMPACT => Change::Compact(Cow::Owned(snapshot::decode(reader)?)),
            FORGET => Change::Forget,
            RESTATE => Change::Restate {
                hard_state: hard_state::decode(reader)?,
                meta: Cow::Owned(snapshot::decode(reader)?),
                entries: Cow::Owned(decode_entries(reader)?),
            },
            QUARANTINE => {
                let why = reader.bytes()?;
                Change::Quarantine(Cow::Owned(String::from_utf8_lossy(&why).into_owned()))
            }
            _ => return Err(Error::Corrupt("unknown kind of change")),
        })
    }
}

/// Reads the changes of a whole section. Entries share its memory.
pub(crate) fn decode_section(bytes: Bytes) -> Result<Vec<Change<'static>>> {
    let mut reader = Reader::new(bytes);
    let mut changes = Vec::new();
    while !reader.is_empty() {
        changes.push(Change::decode(&mut reader)?);
    }
    Ok(changes)
}

/// Bytes that entries take at most.
pub(crate) fn entries_bytes_max(entries: &[Entry]) -> usize {
    entries.iter().map(entry_bytes_max).sum::<usize>() + ENTRY_OVERHEAD_BYTES
}

/// Bytes that one entry takes at most: position, kind and length are varints.
pub(crate) fn entry_bytes_max(entry: &Entry) -> usize {
    entry.data.len() + 32
}

fn meta_bytes_max(meta: &SnapshotMeta) -> usize {
    ENTRY_OVERHEAD_BYTES + meta.membership.len() * PEER_BYTES_MAX
}

fn encode_entries(out: &mut Vec<u8>, entries: &[Entry]) {
    put_varint(out, entries.len() as u64);
    for item in entries {
        entry::encode(out, item);
    }
}

fn decode_entries(reader: &mut Reader) -> Result<Vec<Entry>> {
    let count = reader.count(ENTRY_BYTES_MIN)?;
    reader.items(count, entry::decode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_types::{EntryKind, Index, Membership, PeerId, Position, Term};

    fn entry(term: u64, index: u64) -> Entry {
        let position = Position::new(Term(term), Index(index));
        Entry { position, kind: EntryKind::Normal, data: Bytes::from(vec![7; 40]) }
    }

    #[test]
    fn every_change_is_read_back_and_within_its_bound() {
        let meta = SnapshotMeta {
            position: Position::new(Term(u64::MAX), Index(u64::MAX)),
            membership: Membership::of_voters(9),
        };
        let state =
            HardState { term: Term(u64::MAX), vote: Some(PeerId(u64::MAX)), commit: Index(9) };
        let entries = [entry(u64::MAX, u64::MAX), entry(1, 2)];
        let changes = [
            Change::Append(Cow::Borrowed(&entries[..])),
            Change::HardState(state),
            Change::Snapshot { meta: Cow::Borrowed(&meta), keep_tail: true },
            Change::Compact(Cow::Borrowed(&meta)),
            Change::Forget,
            Change::Restate {
                hard_state: state,
                meta: Cow::Borrowed(&meta),
                entries: Cow::Borrowed(&entries[..]),
            },
            Change::Quarantine(Cow::Borrowed("a bad sector")),
        ];
        let mut section = Vec::new();
        for change in &changes {
            let before = section.len();
            change.encode(&mut section);
            assert!(section.len() - before <= change.bytes_max(), "{change:?}");
        }
        assert_eq!(decode_section(Bytes::from(section)).unwrap(), changes);
    }
}
