//! A store process: configuration, services, assembly.

#![forbid(unsafe_code)]
