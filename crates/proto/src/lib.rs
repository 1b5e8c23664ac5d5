//! The wire messages clients see (`kontiki.v1`). No logic.
//!
//! [`v1`] is generated from `proto/kontiki/v1/*.proto`, where the meaning of every field stands.
//! [`convert`] turns messages into the words of `kontiki-types` and back; what cannot be said in
//! those words is an [`Error`], never a panic, because everything here comes from the network.
//!
//! Servers and clients must raise tonic's limit of 4 MiB for a decoded message to
//! [`MESSAGE_BYTES_MAX`] (`max_decoding_message_size`), on both sides.

#![forbid(unsafe_code)]

pub mod convert;
mod error;

pub use error::Error;
/// Most bytes of one client message, for `max_decoding_message_size`.
pub use kontiki_types::limits::MESSAGE_BYTES_MAX;

/// The generated messages and services of `kontiki.v1`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    unreachable_pub,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("kontiki.v1");
}
