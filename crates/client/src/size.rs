//! Sizes are checked before a call costs anything, so that a store never has to refuse them.

use kontiki_types::Command;
use kontiki_types::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

use crate::Error;

/// Bytes of a full key before its user key.
const PREFIX_BYTES: usize = 4;
/// What a command costs on the wire beyond its keys and values, generously.
const OVERHEAD_BYTES: usize = 32;

/// # Errors
/// [`Error::TooLarge`] for a full key whose user key is too long.
pub(crate) fn check_key(key: &[u8]) -> Result<(), Error> {
    within("key", key.len().saturating_sub(PREFIX_BYTES), KEY_BYTES_MAX)
}

fn check_value(value: &[u8]) -> Result<(), Error> {
    within("value", value.len(), VALUE_BYTES_MAX)
}

/// # Errors
/// [`Error::TooLarge`] for a command that no store would take.
pub(crate) fn check(command: &Command) -> Result<(), Error> {
    match command {
        Command::Put { key, value } | Command::PutIfAbsent { key, value } => {
            check_key(key).and_then(|()| check_value(value))
        }
        Command::Delete { key } => check_key(key),
        Command::CompareAndPut { key, expect, update } => {
            check_key(key)?;
            [expect, update].into_iter().flatten().try_for_each(|value| check_value(value))
        }
        Command::DeleteRange { range } => {
            check_key(&range.start)?;
            range.end.as_deref().map_or(Ok(()), check_key)
        }
        Command::Batch { changes } => {
            for (key, value) in changes {
                check_key(key)?;
                value.as_deref().map_or(Ok(()), check_value)?;
            }
            within("number of changes in a batch", changes.len(), BATCH_COMMANDS_MAX)?;
            within("batch", bytes(command), BATCH_BYTES_MAX)
        }
        Command::HashState => Ok(()),
    }
}

fn within(what: &str, actual: usize, limit: usize) -> Result<(), Error> {
    if actual <= limit {
        return Ok(());
    }
    Err(Error::TooLarge { what: what.into(), limit: limit as u64, actual: actual as u64 })
}

/// Bytes a command counts for in a batch, its overhead included.
pub(crate) fn bytes(command: &Command) -> usize {
    let length = |value: &Option<bytes::Bytes>| value.as_ref().map_or(0, bytes::Bytes::len);
    OVERHEAD_BYTES
        + match command {
            Command::Put { key, value } | Command::PutIfAbsent { key, value } => {
                key.len() + value.len()
            }
            Command::Delete { key } => key.len(),
            Command::CompareAndPut { key, expect, update } => {
                key.len() + length(expect) + length(update)
            }
            Command::DeleteRange { range } => range.start.len() + length(&range.end),
            Command::Batch { changes } => {
                changes.iter().map(|(key, value)| OVERHEAD_BYTES + key.len() + length(value)).sum()
            }
            Command::HashState => 0,
        }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn too_large(command: &Command) -> Option<String> {
        match check(command) {
            Err(Error::TooLarge { what, .. }) => Some(what),
            Ok(()) => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_command_at_the_limit_passes_and_one_byte_more_is_refused_by_name() {
        let key = |user_bytes| Bytes::from(vec![1; PREFIX_BYTES + user_bytes]);
        let value = |bytes| Bytes::from(vec![2; bytes]);
        let put = |k, v| Command::Put { key: key(k), value: value(v) };
        assert_eq!(too_large(&put(KEY_BYTES_MAX, VALUE_BYTES_MAX)), None);
        assert_eq!(too_large(&put(KEY_BYTES_MAX + 1, 0)).as_deref(), Some("key"));
        assert_eq!(too_large(&put(0, VALUE_BYTES_MAX + 1)).as_deref(), Some("value"));
        let update = Some(value(VALUE_BYTES_MAX + 1));
        let swap = Command::CompareAndPut { key: key(1), expect: None, update };
        assert_eq!(too_large(&swap).as_deref(), Some("value"));
        let batch =
            |count, size| Command::Batch { changes: vec![(key(1), Some(value(size))); count] };
        assert_eq!(too_large(&batch(BATCH_COMMANDS_MAX, 1)), None);
        let many = too_large(&batch(BATCH_COMMANDS_MAX + 1, 1));
        assert_eq!(many.as_deref(), Some("number of changes in a batch"));
        assert_eq!(too_large(&batch(4, VALUE_BYTES_MAX)).as_deref(), Some("batch"));
    }
}
