//! Proposals of callers here: merged into entries at the end of a turn, and who waits for which.
//!
//! Part of [`super::Group`]. Every token that comes in leaves once: with the entry to the applier,
//! or refused.

use bytes::Bytes;
use kontiki_codec::payloads;
use kontiki_raft::ProposeError;
use kontiki_types::{Moment, Position, Term, limits};

use super::{Group, Proposal, Waiting};
use crate::Token;
use crate::effect::{Effects, Refused};

impl Group {
    pub(super) fn propose_collected(&mut self, now: Moment, effects: &mut Effects) {
        if self.proposals.is_empty() {
            return;
        }
        let mut proposals = std::mem::take(&mut self.proposals);
        let framed = |proposal: &Proposal| payloads::framed_len(proposal.payload.len());
        // Exactly as much as is needed: the entry may stay in memory for long.
        let mut room = proposals.iter().map(framed).sum::<usize>();
        let mut rest = proposals.drain(..).peekable();
        while let Some(first) = rest.next() {
            let mut builder = payloads::Builder::with_capacity(room.min(limits::ENTRY_BYTES_MAX));
            let mut tokens = vec![first.token];
            let mut bytes = first.payload.len();
            builder.push(&first.payload);
            while let Some(next) = rest.next_if(|next| {
                next.expected_term == first.expected_term
                    && builder.bytes() + next.payload.len() < limits::ENTRY_BYTES_MAX / 2
            }) {
                builder.push(&next.payload);
                bytes += next.payload.len();
                tokens.push(next.token);
            }
            room -= builder.bytes();
            let entry = Waiting { position: Position::ZERO, bytes, tokens };
            self.propose_entry(builder.finish(), first.expected_term, entry, now, effects);
        }
        drop(rest);
        self.proposals = proposals;
    }

    fn propose_entry(
        &mut self,
        data: Bytes,
        expected_term: Option<Term>,
        mut entry: Waiting,
        now: Moment,
        effects: &mut Effects,
    ) {
        let refused = match self.node.propose(data, expected_term, now) {
            Ok(position) => {
                entry.position = position;
                self.waiting.push_back(entry);
                return;
            }
            Err(ProposeError::NotLeader { .. }) => self.not_leader(),
            Err(ProposeError::Busy) => Refused::Busy,
            Err(ProposeError::Transferring) => Refused::Transferring,
            Err(ProposeError::TermMismatch { current }) => Refused::TermMismatch { current },
        };
        self.refuse(entry, refused, effects);
    }

    pub(super) fn refuse(&mut self, entry: Waiting, refused: Refused, effects: &mut Effects) {
        self.waiting_bytes -= entry.bytes;
        effects.refused.extend(entry.tokens.into_iter().map(|token| (token, refused)));
    }

    /// Whoever waits for an entry that is committed since the last time. While this peer leads,
    /// what stands at an index it proposed is what it proposed; when it ceases to, nobody waits.
    pub(super) fn tell_committed(&mut self, effects: &mut Effects) {
        let commit = self.node.commit();
        let known = self.waiting.partition_point(|entry| entry.position.index <= self.told);
        let news = self.waiting.iter().skip(known).take_while(|e| e.position.index <= commit);
        effects.committed.extend(news.flat_map(|entry| entry.tokens.iter().copied()));
        self.told = commit;
    }

    /// Who waits for the entry at this position; whoever waited for an entry that it replaced is
    /// told so.
    pub(super) fn tokens_at(&mut self, position: Position, effects: &mut Effects) -> Vec<Token> {
        while self.waiting.front().is_some_and(|first| first.position.index <= position.index) {
            let Some(first) = self.waiting.pop_front() else { break };
            if first.position == position {
                self.waiting_bytes -= first.bytes;
                return first.tokens;
            }
            self.refuse(first, Refused::LeadershipLost, effects);
        }
        Vec::new()
    }
}
