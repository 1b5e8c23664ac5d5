//! Bytes and types: what stands on disk and what travels between peers.
//!
//! Serialization exists here and in `kontiki-proto` (clients) and nowhere else. The rules:
//!
//! - Encoders append to a `Vec<u8>`; decoders take [`bytes::Bytes`] or a [`wire::Reader`] over
//!   them and return slices that share the memory. Nothing is copied twice.
//! - A decoder never panics and never reserves more than its input could fill, whatever the input.
//! - Encodings are canonical: what decodes encodes to the same bytes.
//! - `encode` / `decode` write and read a part of something larger; `to_bytes` / `from_bytes` a
//!   whole row or payload. Rows at rest start with a version byte; parts do not.
//! - Golden vectors in `tests/formats/golden.txt` freeze every format. A change of one needs a new
//!   version.
//!
//! Reading order: [`wire`], [`crc`]; what a Raft group keeps and says: [`position`], [`entry`],
//! [`hard_state`], [`membership`], [`snapshot`], [`message`], [`frame`], [`payloads`]; what a
//! region is told and answers: [`command`], [`outcome`], [`region`]; where and how it keeps rows:
//! [`keys`], [`value`], [`apply_state`], [`session`], [`outcome_record`], [`install_marker`],
//! [`store_ident`]; how it travels: [`hello`], [`snapshot_chunk`], [`region_snapshot`], and for
//! state machines of library users [`snapshot_manifest`] and [`admin`].

#![forbid(unsafe_code)]

pub mod admin;
pub mod apply_state;
pub mod command;
pub mod crc;
pub mod entry;
mod error;
pub mod frame;
pub mod hard_state;
pub mod heir;
pub mod hello;
pub mod install_marker;
pub mod keys;
pub mod membership;
pub mod message;
pub mod outcome;
pub mod outcome_record;
pub mod payloads;
pub mod position;
pub mod region;
pub mod region_snapshot;
mod region_time;
pub mod session;
pub mod snapshot;
pub mod snapshot_chunk;
pub mod snapshot_manifest;
pub mod store_ident;
pub mod value;
pub mod wire;

pub use error::{Error, Result};
