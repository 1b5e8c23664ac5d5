//! Check 1: before a write is proposed, so that what must fail fails without the log.
//!
//! Called by the server with the descriptor that [`crate::Descriptors`] holds at that moment. It
//! is a courtesy and a shield, not a guarantee: apply checks again.

use kontiki_codec::command::data_bytes;
use kontiki_types::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX};
use kontiki_types::{Epoch, Refusal, Region, WriteBatch};

use crate::check;

/// Why a write was not proposed, with what the client needs to do better.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// This store holds no such region.
    #[error("region is not on this store")]
    RegionNotFound,
    /// The region changed since the client routed.
    #[error("region changed since the request was routed")]
    EpochNotMatch {
        /// As it is now.
        current: Vec<Region>,
    },
    /// A key does not belong to the region.
    #[error("key is not in the region")]
    KeyNotInRegion {
        /// As it is now.
        current: Vec<Region>,
    },
    /// There is nothing to do.
    #[error("batch has no commands")]
    Empty,
    /// Too many commands, or too many bytes.
    #[error(
        "batch of {commands} commands and {bytes} bytes is too large; split it \
         (at most {BATCH_COMMANDS_MAX} commands, {BATCH_BYTES_MAX} bytes)"
    )]
    TooLarge {
        /// How many.
        commands: usize,
        /// How much.
        bytes: usize,
    },
    /// A command breaks a limit or has no sense.
    #[error("command {0} of the batch is invalid: key or value too long, or key space not raw")]
    Invalid(usize),
}

/// Whether this batch may be proposed to this region.
///
/// # Errors
/// The first reason why not; nothing was done.
pub fn check(region: Option<&Region>, batch: &WriteBatch) -> Result<(), ProposeError> {
    let region = region.ok_or(ProposeError::RegionNotFound)?;
    if batch.commands.is_empty() {
        return Err(ProposeError::Empty);
    }
    let commands = batch.commands.len();
    let bytes = batch.commands.iter().map(|(_, command)| data_bytes(command)).sum();
    if commands > BATCH_COMMANDS_MAX || bytes > BATCH_BYTES_MAX {
        return Err(ProposeError::TooLarge { commands, bytes });
    }
    check_epoch(region, batch.header.epoch)?;
    for (nth, (_, command)) in batch.commands.iter().enumerate() {
        check::command(command, region).map_err(|refusal| match refusal {
            Refusal::KeyNotInRegion => {
                ProposeError::KeyNotInRegion { current: vec![region.clone()] }
            }
            _ => ProposeError::Invalid(nth),
        })?;
    }
    Ok(())
}

fn check_epoch(region: &Region, routed: Epoch) -> Result<(), ProposeError> {
    if region.epoch == routed {
        Ok(())
    } else {
        Err(ProposeError::EpochNotMatch { current: vec![region.clone()] })
    }
}
