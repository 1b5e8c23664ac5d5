//! The log against a model, through every crash and every kind of damage.
//!
//! All checkers return what they found wrong instead of panicking, because each is also run against
//! a log that is broken on purpose ([`crate::broken`]) and must then find something.

mod crash;
mod damage;
mod faults;
mod model;
mod read;
mod rewrite;
mod run;
mod space;
