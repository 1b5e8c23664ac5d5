//! The gRPC services: `Kv` for data, `Admin` for questions and orders, `Peer` for other stores.

pub(crate) mod admin;
pub(crate) mod kv;
pub(crate) mod peer;
mod reads;
mod refusal;
mod writes;
