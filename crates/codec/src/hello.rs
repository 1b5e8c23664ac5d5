//! The first words on a connection from one store to another.
//!
//! ```text
//! caller:   magic (8) | length (u32) | hello
//! receiver:             length (u32) | refusal, as text; nothing: welcome
//! then, caller only:  ( length (u32) | bytes ) *
//! ```
//!
//! The magic tells a peer from a client (HTTP/2, TLS) on one port. What follows the hello depends
//! on its purpose: frames ([`crate::frame`]), or the offer and the chunks of one snapshot.

use bytes::Bytes;
use kontiki_types::{ClusterId, StoreId};

use crate::wire::{Reader, put_bytes, put_u8, put_u64, whole};
use crate::{Error, Result};

/// Begins every connection between stores; no client protocol begins so.
pub const MAGIC: [u8; 8] = *b"kontiki\n";

/// The version this build speaks, and the only one it answers.
pub const VERSION: u8 = 3;

/// Most bytes of a hello.
pub const BYTES_MAX: usize = 64 + ADDRESS_BYTES_MAX;

/// Most bytes of an address: a host name and a port.
pub const ADDRESS_BYTES_MAX: usize = 262;

/// Most bytes of a refusal.
pub const REFUSAL_BYTES_MAX: usize = 1024;

/// What a connection is for. Each purpose has its own, so that bulk never delays heartbeats.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Purpose {
    /// Votes, heartbeats, read rounds, replies.
    Control,
    /// Log entries.
    Append,
    /// One snapshot.
    Snapshot,
}

/// Who calls, whom, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The cluster of the caller.
    pub cluster: ClusterId,
    /// The caller.
    pub from: StoreId,
    /// Whom it believes to call.
    pub to: StoreId,
    /// Differs with every start of the caller's process.
    pub incarnation: u64,
    /// What the connection is for.
    pub purpose: Purpose,
    /// Where the caller is to be called; empty when that is known by other means.
    pub address: String,
}

/// A hello, without magic and length.
pub fn to_bytes(hello: &Hello) -> Bytes {
    let mut out = Vec::with_capacity(BYTES_MAX);
    put_u8(&mut out, VERSION);
    put_u64(&mut out, hello.cluster.0);
    put_u64(&mut out, hello.from.0);
    put_u64(&mut out, hello.to.0);
    put_u64(&mut out, hello.incarnation);
    put_u8(
        &mut out,
        match hello.purpose {
            Purpose::Control => 1,
            Purpose::Append => 2,
            Purpose::Snapshot => 3,
        },
    );
    put_bytes(&mut out, hello.address.as_bytes());
    Bytes::from(out)
}

/// Reads a hello.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn from_bytes(bytes: Bytes) -> Result<Hello> {
    whole(bytes, |reader: &mut Reader| {
        reader.version(VERSION)?;
        Ok(Hello {
            cluster: ClusterId(reader.u64()?),
            from: StoreId(reader.u64()?),
            to: StoreId(reader.u64()?),
            incarnation: reader.u64()?,
            purpose: match reader.u8()? {
                1 => Purpose::Control,
                2 => Purpose::Append,
                3 => Purpose::Snapshot,
                _ => return Err(Error::Corrupt("purpose of a connection")),
            },
            address: String::from_utf8(reader.bytes()?.to_vec())
                .map_err(|_| Error::Corrupt("address of a store"))?,
        })
    })
}
