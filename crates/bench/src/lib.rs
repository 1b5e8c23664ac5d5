//! Load, side by side with peers.

#![forbid(unsafe_code)]
