//! Linearizable reads without a log entry (thesis §6.4).
//!
//! The leader confirms that it still leads before it tells the commit index to wait for:
//! [`rounds`] numbers the confirmations and shares each among all reads that came before it.
//! A follower asks its leader: [`forward`]. Who wants it may trust the clock: [`lease`].

pub(crate) mod forward;
pub(crate) mod lease;
pub(crate) mod rounds;
