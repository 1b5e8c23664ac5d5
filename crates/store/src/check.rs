//! Whether a command may be carried out by a region: the part that both checks share.
//!
//! Called before propose, so that nonsense never reaches the log, and again at apply, because a
//! region may have changed in between and because a peer may run another version.

use bytes::Bytes;
use kontiki_codec::keys::user::{is_raw_key, is_raw_range};
use kontiki_types::limits::VALUE_BYTES_MAX;
use kontiki_types::{Command, KeyRange, Refusal, Region};

/// Form and limits first, then whether its keys belong to the region.
pub(crate) fn command(command: &Command, region: &Region) -> Result<(), Refusal> {
    match command {
        Command::Put { key, value } | Command::PutIfAbsent { key, value } => {
            check_key(key)?;
            check_value(Some(value))?;
            check_owned(key, region)
        }
        Command::Delete { key } => {
            check_key(key)?;
            check_owned(key, region)
        }
        Command::Batch { changes } => {
            for (key, value) in changes {
                check_key(key)?;
                check_value(value.as_ref())?;
            }
            // No changes is not "all of nothing done": it is a client that forgot something.
            if changes.is_empty() {
                return Err(Refusal::Invalid);
            }
            changes.iter().try_for_each(|(key, _)| check_owned(key, region))
        }
        Command::DeleteRange { range } => check_range(range, region),
        Command::CompareAndPut { key, expect, update } => {
            check_key(key)?;
            check_value(expect.as_ref())?;
            check_value(update.as_ref())?;
            check_owned(key, region)
        }
        Command::HashState => Ok(()),
    }
}

fn check_key(key: &[u8]) -> Result<(), Refusal> {
    if is_raw_key(key) { Ok(()) } else { Err(Refusal::Invalid) }
}

fn check_value(value: Option<&Bytes>) -> Result<(), Refusal> {
    if value.is_none_or(|value| value.len() <= VALUE_BYTES_MAX) {
        Ok(())
    } else {
        Err(Refusal::Invalid)
    }
}

fn check_owned(key: &[u8], region: &Region) -> Result<(), Refusal> {
    if region.range.contains(key) { Ok(()) } else { Err(Refusal::KeyNotInRegion) }
}

fn check_range(range: &KeyRange, region: &Region) -> Result<(), Refusal> {
    if !is_raw_range(range) || range.is_empty() {
        return Err(Refusal::Invalid);
    }
    if region.range.contains_range(range) { Ok(()) } else { Err(Refusal::KeyNotInRegion) }
}
