//! Who waits for which token. A waiter is called exactly once: with its reply or its refusal.
//!
//! One waiter stands for a whole batch of requests of a stream, so the lock here is paid per
//! batch. Waiters are called outside the lock.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use kontiki_multiraft::{Refused, Token};
use kontiki_raft::TransferOutcome;
use kontiki_types::Membership;

use crate::library::Done;

/// Called with the state machine's reply.
pub type ProposeDone = Box<dyn FnOnce(Result<Bytes, Refused>) + Send>;
/// Called on the apply worker when the state may be read: read there and then.
pub type ReadDone = Box<dyn FnOnce(Result<(), Refused>) + Send>;
/// Called with the membership that a change led to.
pub type ChangeDone = Box<dyn FnOnce(Result<Membership, Refused>) + Send>;
/// Called when a transfer has ended, with how.
pub type TransferDone = Box<dyn FnOnce(Result<TransferOutcome, Refused>) + Send>;

/// A caller that waits.
pub(crate) enum Waiter {
    Propose(ProposeDone),
    Read(ReadDone),
    Change(ChangeDone),
    Transfer(TransferDone),
    /// Of a library user: its state machine takes it out and answers itself.
    Task(Done),
}

impl Waiter {
    pub(crate) fn refuse(self, refused: Refused) {
        match self {
            Self::Propose(done) => done(Err(refused)),
            Self::Read(done) => done(Err(refused)),
            Self::Change(done) => done(Err(refused)),
            Self::Transfer(done) => done(Err(refused)),
            Self::Task(done) => done.run(Err(refused.into())),
        }
    }
}

/// All callers that wait, by token.
#[derive(Default)]
pub(crate) struct Waiters {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: BTreeMap<Token, Waiter>,
}

impl Waiters {
    /// Remember a waiter under a token never used before in this process.
    pub(crate) fn add(&self, waiter: Waiter) -> Token {
        let mut state = self.lock();
        state.next += 1;
        let token = Token(state.next);
        state.waiting.insert(token, waiter);
        token
    }

    /// Take a waiter out; it is the caller's duty to call it.
    pub(crate) fn take(&self, token: Token) -> Option<Waiter> {
        self.lock().waiting.remove(&token)
    }

    /// Take out who waits for a beginning, not for an end.
    pub(crate) fn take_accepted(&self, token: Token) -> Option<ProposeDone> {
        let mut state = self.lock();
        match state.waiting.get(&token)? {
            Waiter::Propose(_) => match state.waiting.remove(&token)? {
                Waiter::Propose(done) => Some(done),
                _ => None,
            },
            _ => None,
        }
    }

    /// Call the waiters of these replies.
    pub(crate) fn reply_all(&self, replies: &mut Vec<(Token, Bytes)>) {
        let waiters: Vec<_> = {
            let mut state = self.lock();
            replies.drain(..).map(|(token, r)| (state.waiting.remove(&token), r)).collect()
        };
        for (waiter, reply) in waiters {
            if let Some(Waiter::Propose(done)) = waiter {
                done(Ok(reply));
            }
        }
    }

    /// Let these callers read.
    pub(crate) fn read_all(&self, tokens: &mut Vec<Token>) {
        let waiters: Vec<_> = {
            let mut state = self.lock();
            tokens.drain(..).map(|token| state.waiting.remove(&token)).collect()
        };
        for waiter in waiters {
            if let Some(Waiter::Read(done)) = waiter {
                done(Ok(()));
            }
        }
    }

    /// Take out the completions of these tasks, in order.
    pub(crate) fn take_tasks(&self, tokens: &[Option<Token>]) -> Vec<Option<Done>> {
        if tokens.iter().all(Option::is_none) {
            return Vec::new();
        }
        let mut state = self.lock();
        let take = |token: &Option<Token>| match state.waiting.remove(&(*token)?)? {
            Waiter::Task(done) => Some(done),
            _ => None,
        };
        tokens.iter().map(take).collect()
    }

    /// Tell these callers that the state machine they waited for is gone.
    pub(crate) fn refuse_gone(&self, tokens: &mut Vec<Token>) {
        for token in tokens.drain(..) {
            match self.take(token) {
                Some(reader @ Waiter::Read(_)) => reader.refuse(Refused::Halted),
                Some(waiter) => waiter.refuse(Refused::LeadershipLost),
                None => {}
            }
        }
    }

    /// Call everyone who still waits: the host stops.
    pub(crate) fn refuse_all(&self, refused: Refused) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        for (_, waiter) in waiting {
            waiter.refuse(refused);
        }
    }

    /// Callers that wait now.
    pub(crate) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
