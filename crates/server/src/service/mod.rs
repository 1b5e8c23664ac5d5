//! The gRPC services: `Kv` for data, `Admin` for questions and orders.

pub(crate) mod admin;
pub(crate) mod kv;
mod reads;
mod refusal;
mod writes;
