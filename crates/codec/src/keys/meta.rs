//! Keys of the meta family: the store's identity, and per region its own rows.
//!
//! ```text
//! 'i'                                     identity of the store
//! 'r' | region (8 bytes) | 'a'            apply state
//! 'r' | region (8 bytes) | 'd'            descriptor
//! 'r' | region (8 bytes) | 'h'            who the replica here is, if it is an heir
//! 'r' | region (8 bytes) | 'm'            marker of an install under way
//! 'r' | region (8 bytes) | 'o' | index    outcome record of the apply that ended at this index
//! 'r' | region (8 bytes) | 's' | client   client session
//! ```
//!
//! Numbers are big end first, so that rows stand in order of region, index and client.

use bytes::Bytes;
use kontiki_types::{ClientId, Index, RegionId};

const STORE_IDENT: u8 = b'i';
const REGION: u8 = b'r';
const APPLY_STATE: u8 = b'a';
const DESCRIPTOR: u8 = b'd';
const HEIR: u8 = b'h';
const INSTALL_MARKER: u8 = b'm';
const OUTCOME_RECORD: u8 = b'o';
const SESSION: u8 = b's';

/// A key of the meta family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MetaKey {
    /// [`crate::store_ident`].
    StoreIdent,
    /// A row of a region.
    Region(RegionId, RegionRow),
}

/// A row of a region.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RegionRow {
    /// [`crate::apply_state`].
    ApplyState,
    /// [`crate::region`].
    Descriptor,
    /// [`crate::heir`].
    Heir,
    /// [`crate::install_marker`].
    InstallMarker,
    /// [`crate::outcome_record`].
    OutcomeRecord(Index),
    /// [`crate::session`].
    Session(ClientId),
}

impl MetaKey {
    /// The key.
    pub fn to_bytes(self) -> Bytes {
        let Self::Region(region, row) = self else { return Bytes::from_static(&[STORE_IDENT]) };
        let mut key = Vec::with_capacity(18);
        key.push(REGION);
        key.extend_from_slice(&region.0.to_be_bytes());
        match row {
            RegionRow::ApplyState => key.push(APPLY_STATE),
            RegionRow::Descriptor => key.push(DESCRIPTOR),
            RegionRow::Heir => key.push(HEIR),
            RegionRow::InstallMarker => key.push(INSTALL_MARKER),
            RegionRow::OutcomeRecord(index) => {
                key.push(OUTCOME_RECORD);
                key.extend_from_slice(&index.0.to_be_bytes());
            }
            RegionRow::Session(client) => {
                key.push(SESSION);
                key.extend_from_slice(&client.0.to_be_bytes());
            }
        }
        Bytes::from(key)
    }

    /// Reads a key; `None` when it is none of ours.
    pub fn from_bytes(key: &[u8]) -> Option<Self> {
        let (&first, rest) = key.split_first()?;
        if first == STORE_IDENT {
            return rest.is_empty().then_some(Self::StoreIdent);
        }
        if first != REGION {
            return None;
        }
        let (region, rest) = rest.split_first_chunk::<8>()?;
        let (&kind, rest) = rest.split_first()?;
        let row = match (kind, rest) {
            (APPLY_STATE, []) => RegionRow::ApplyState,
            (DESCRIPTOR, []) => RegionRow::Descriptor,
            (HEIR, []) => RegionRow::Heir,
            (INSTALL_MARKER, []) => RegionRow::InstallMarker,
            (OUTCOME_RECORD, index) => RegionRow::OutcomeRecord(Index(number(index)?)),
            (SESSION, client) => RegionRow::Session(ClientId(number(client)?)),
            _ => return None,
        };
        Some(Self::Region(RegionId(u64::from_be_bytes(*region)), row))
    }
}

/// What all rows of all regions begin with.
pub const REGIONS_PREFIX: &[u8] = &[REGION];

/// What all rows of a region begin with.
pub fn region_prefix(region: RegionId) -> Bytes {
    let mut prefix = Vec::with_capacity(9);
    prefix.push(REGION);
    prefix.extend_from_slice(&region.0.to_be_bytes());
    Bytes::from(prefix)
}

/// What all session rows of a region begin with.
pub fn sessions_prefix(region: RegionId) -> Bytes {
    kind_prefix(region, SESSION)
}

/// What all outcome records of a region begin with.
pub fn outcome_records_prefix(region: RegionId) -> Bytes {
    kind_prefix(region, OUTCOME_RECORD)
}

fn kind_prefix(region: RegionId, kind: u8) -> Bytes {
    let mut prefix = Vec::with_capacity(10);
    prefix.extend_from_slice(&region_prefix(region));
    prefix.push(kind);
    Bytes::from(prefix)
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}
