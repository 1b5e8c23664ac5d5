//! Commands: one [`WriteBatch`] is one payload of a log entry.
//!
//! ```text
//! version (1) | client (u64) | lowest | flags | conf_ver | version | wall_ms
//!             | count | (request - previous request, tag, fields) * count
//! ```
//!
//! Proposers encode, apply decodes; keys and values share the memory of the entry. What a batch
//! may ask for is checked by the store, not here: only its form is.

use bytes::Bytes;
use kontiki_types::limits::BATCH_COMMANDS_MAX;
use kontiki_types::{ClientId, Command, Epoch, Header, RequestId, WriteBatch};

use crate::region::{decode_range, encode_range};
use crate::wire::{
    Reader, put_bytes, put_flag, put_option_bytes, put_u8, put_u64, put_varint, whole,
};
use crate::{Error, Result};

const VERSION: u8 = 1;

/// Fewest bytes of a command: request, tag.
const COMMAND_BYTES_MIN: usize = 2;
/// Fewest bytes of a change within [`Command::Batch`]: empty key, no value.
const CHANGE_BYTES_MIN: usize = 2;
/// Bytes of a header at most.
const HEADER_BYTES: usize = 1 + 8 + 10 + 1 + 10 + 10 + 10 + 10;
/// Bytes of a command at most, beside its keys and values.
const COMMAND_BYTES: usize = 24;

/// The payload of these commands.
pub fn to_bytes(batch: &WriteBatch) -> Bytes {
    let room = batch.commands.iter().map(|(_, command)| COMMAND_BYTES + data_bytes(command));
    let mut out = Vec::with_capacity(HEADER_BYTES + room.sum::<usize>());
    put_u8(&mut out, VERSION);
    encode_header(&mut out, &batch.header);
    put_varint(&mut out, batch.commands.len() as u64);
    let mut previous = batch.header.lowest.0;
    for (request, command) in &batch.commands {
        // Ids grow by one in a batch, so the difference is one byte; it wraps if they do not.
        put_varint(&mut out, request.0.wrapping_sub(previous));
        previous = request.0;
        encode(&mut out, command);
    }
    Bytes::from(out)
}

/// Reads a payload.
///
/// # Errors
/// When the bytes are not one, of another version, or hold more than [`BATCH_COMMANDS_MAX`].
pub fn from_bytes(payload: Bytes) -> Result<WriteBatch> {
    whole(payload, |reader| {
        reader.version(VERSION)?;
        let header = decode_header(reader)?;
        let count = reader.count(COMMAND_BYTES_MIN)?;
        if count > BATCH_COMMANDS_MAX {
            return Err(Error::Corrupt("more commands than a batch may have"));
        }
        let mut previous = header.lowest.0;
        let commands = reader.items(count, |reader| {
            previous = previous.wrapping_add(reader.varint()?);
            Ok((RequestId(previous), decode(reader)?))
        })?;
        Ok(WriteBatch { header, commands })
    })
}

/// Bytes of keys and values in a command: what limits of batches count.
pub fn data_bytes(command: &Command) -> usize {
    match command {
        Command::Put { key, value } | Command::PutIfAbsent { key, value } => {
            key.len() + value.len()
        }
        Command::Delete { key } => key.len(),
        Command::Batch { changes } => changes
            .iter()
            .map(|(key, value)| COMMAND_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len))
            .sum(),
        Command::DeleteRange { range } => {
            range.start.len() + range.end.as_ref().map_or(0, Bytes::len)
        }
        Command::CompareAndPut { key, expect, update } => {
            key.len()
                + expect.as_ref().map_or(0, Bytes::len)
                + update.as_ref().map_or(0, Bytes::len)
        }
        Command::HashState => 0,
    }
}

fn encode_header(out: &mut Vec<u8>, header: &Header) {
    put_u64(out, header.client.0);
    put_varint(out, header.lowest.0);
    put_flag(out, header.open);
    put_varint(out, header.epoch.conf_ver);
    put_varint(out, header.epoch.version);
    put_varint(out, header.wall_ms);
}

fn decode_header(reader: &mut Reader) -> Result<Header> {
    Ok(Header {
        client: ClientId(reader.u64()?),
        lowest: RequestId(reader.varint()?),
        open: reader.flag()?,
        epoch: Epoch { conf_ver: reader.varint()?, version: reader.varint()? },
        wall_ms: reader.varint()?,
    })
}

fn encode(out: &mut Vec<u8>, command: &Command) {
    match command {
        Command::Put { key, value } => {
            put_u8(out, 1);
            put_bytes(out, key);
            put_bytes(out, value);
        }
        Command::Delete { key } => {
            put_u8(out, 2);
            put_bytes(out, key);
        }
        Command::Batch { changes } => {
            put_u8(out, 3);
            put_varint(out, changes.len() as u64);
            for (key, value) in changes {
                put_bytes(out, key);
                put_option_bytes(out, value.as_deref());
            }
        }
        Command::DeleteRange { range } => {
            put_u8(out, 4);
            encode_range(out, range);
        }
        Command::PutIfAbsent { key, value } => {
            put_u8(out, 5);
            put_bytes(out, key);
            put_bytes(out, value);
        }
        Command::CompareAndPut { key, expect, update } => {
            put_u8(out, 6);
            put_bytes(out, key);
            put_option_bytes(out, expect.as_deref());
            put_option_bytes(out, update.as_deref());
        }
        Command::HashState => put_u8(out, 7),
    }
}

fn decode(reader: &mut Reader) -> Result<Command> {
    Ok(match reader.u8()? {
        1 => Command::Put { key: reader.bytes()?, value: reader.bytes()? },
        2 => Command::Delete { key: reader.bytes()? },
        3 => {
            let count = reader.count(CHANGE_BYTES_MIN)?;
            let changes =
                reader.items(count, |reader| Ok((reader.bytes()?, reader.option_bytes()?)))?;
            Command::Batch { changes }
        }
        4 => Command::DeleteRange { range: decode_range(reader)? },
        5 => Command::PutIfAbsent { key: reader.bytes()?, value: reader.bytes()? },
        6 => Command::CompareAndPut {
            key: reader.bytes()?,
            expect: reader.option_bytes()?,
            update: reader.option_bytes()?,
        },
        7 => Command::HashState,
        _ => return Err(Error::Corrupt("unknown command")),
    })
}
