//! Tests of whole regions: claims to read, a model to compare with, crashes at every write.

mod builders;
mod crash_in_delete;
mod install;
mod model;
mod node;
mod opening;
mod overlap;
mod proposals;
mod random;
mod reads;
mod script;
