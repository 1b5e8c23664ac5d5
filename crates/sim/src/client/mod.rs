//! Clients: they ask stores, try again until they are told, and write down both.
//!
//! Reading order: [`workload`] (what they ask), [`pending`] (one operation under way and what its
//! answer means), then the two kinds: [`plain`], the simulator's own, and [`library`], the pure
//! core of the client library of production. An operation ends when it is answered, or unknown when
//! its time is up.

pub mod library;
pub mod pending;
pub mod plain;
pub mod workload;

use std::time::Duration;

use kontiki_testkit::Rng;
use kontiki_types::StoreId;

use crate::env::{ClientStep, Env};
use crate::network::exponential;
use crate::wire::Packet;

use workload::{Plan, Workload};

/// A client, as the world sees it.
pub trait Client {
    /// Begins to ask.
    fn start(&mut self, env: &mut Env);

    /// Whether nothing is under way or left to ask.
    fn is_done(&self) -> bool;

    /// In words, what is under way.
    fn describe(&self) -> String;

    /// No more operations of the workload; what is under way goes on to its end.
    fn wind_down(&mut self);

    /// Asks these, one after the other; done when all are answered.
    fn finish_with(&mut self, plans: Vec<Plan>, env: &mut Env);

    /// Dies with everything under way, and comes back as another client.
    fn crash(&mut self, env: &mut Env);

    /// The life in which steps are valid.
    fn life(&self) -> u64;

    /// Something it planned is due.
    fn on_step(&mut self, step: ClientStep, workload: &mut Workload, env: &mut Env);

    /// A packet of a store arrived.
    fn on_packet(&mut self, from: StoreId, packet: Packet, env: &mut Env);
}

/// How long a client waits before it begins something.
fn pause(rng: &mut Rng, env: &Env) -> Duration {
    env.options.habits.rest(env.now) + exponential(rng, env.options.workload.think)
}
