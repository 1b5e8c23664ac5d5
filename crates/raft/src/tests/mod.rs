//! Tests of the whole core, from the inside out: quorum properties, rounds of a single node, rules
//! of the paper, golden scripts, random schedules.

mod changes;
mod paper;
mod quorums;
mod rounds;
mod schedules;
mod scripts;
mod steps;
mod timeouts;
mod tinykv;
