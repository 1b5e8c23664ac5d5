//! The plainest state machine: a map. A command is a key of eight bytes and a value.
//!
//! Handles share the map: one lies in the host and applies, others read where the host says so.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use kontiki_multiraft::{Committed, CommittedKind, Error, SnapshotSource, StateMachine, Token};
use kontiki_types::SnapshotMeta;

use super::rows::{KEY_BYTES, Rows};

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Machine {
    rows: Arc<RwLock<Rows>>,
}

impl Machine {
    /// Bytes of the value of this key.
    pub(super) fn get(&self, key: [u8; KEY_BYTES]) -> Option<usize> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.get(key).map(<[u8]>::len)
    }

    /// Bytes of all keys and values.
    pub(super) fn bytes(&self) -> u64 {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).bytes()
    }
}

impl StateMachine for Machine {
    fn apply(
        &mut self,
        entries: &[Committed],
        replies: &mut Vec<(Token, Bytes)>,
    ) -> Result<(), Error> {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let CommittedKind::Normal(payloads) = &entry.kind else { continue };
            for payload in payloads {
                if let Some((key, value)) = payload.data.split_first_chunk() {
                    rows.insert(*key, value);
                }
                replies.extend(payload.token.map(|token| (token, Bytes::new())));
            }
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Error> {
        Err(Error::Snapshot("a measurement sends none".to_owned()))
    }

    fn install(
        &mut self,
        _meta: &SnapshotMeta,
        _spool: u64,
        _chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        Err(Error::Snapshot("a measurement sends none".to_owned()))
    }
}
