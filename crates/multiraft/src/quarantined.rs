//! A replica that must not take part: its log is damaged, so what it promised is not known.
//!
//! Held by the shard beside the groups that work, for `status` and for refusals by name. There is
//! no Raft node behind it, so nothing can make it vote, acknowledge or echo a read round.

use kontiki_types::{Index, PeerId, Position, RegionId, Term};

use crate::GroupStatus;

/// See the module.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// Which group.
    pub group: RegionId,
    /// Which replica.
    pub peer: PeerId,
    /// What its state machine holds; that is whole, but may be old.
    pub applied: Position,
    /// What was found, for people.
    pub why: String,
}

impl Quarantined {
    pub(crate) fn status(&self) -> GroupStatus {
        let applied = self.applied.index;
        GroupStatus {
            group: self.group,
            peer: self.peer,
            role: "quarantined",
            term: Term(0),
            leader: None,
            first: Index(0),
            last: Position::ZERO,
            commit: Index(0),
            applied,
            durable_applied: applied,
            log_bytes: 0,
            cached_bytes: 0,
            quarantine: Some(self.why.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kontiki_types::{Body, Message, Moment, ReadMode, StoreId};

    use super::*;
    use crate::{Effects, Event, Refused, Shard, ShardConfig, Token};

    const GROUP: RegionId = RegionId(1);

    #[test]
    fn a_quarantined_replica_answers_nobody_and_is_shown() {
        let mut shard = Shard::new(ShardConfig::default());
        let (peer, why) = (PeerId(2), "a flipped byte".to_owned());
        let applied = Position::new(Term(3), Index(9));
        shard.add_quarantined(Quarantined { group: GROUP, peer, applied, why: why.clone() });

        let now = Moment::ZERO;
        let (payload, expected_term) = (Bytes::from_static(b"x"), None);
        let events = [
            Event::Propose { group: GROUP, payload, token: Token(1), expected_term },
            Event::Read { group: GROUP, token: Token(2), mode: ReadMode::Index },
            Event::Transfer { group: GROUP, to: Some(StoreId(1)), token: Token(3) },
        ];
        let last = Position::new(Term(9), Index(99));
        let bodies = [
            Body::PreVote { last },
            Body::Vote { last, transfer: false },
            Body::Heartbeat { session: 1, commit: Index(9), round: 7 },
        ];
        let message = |body| Message { from: PeerId(1), to: peer, term: Term(9), body };
        let said = bodies.map(|body| Event::Message {
            group: GROUP,
            store: StoreId(1),
            message: message(body),
        });
        for event in events.into_iter().chain(said) {
            shard.on_event(event, now);
        }
        assert_eq!(shard.next_deadline(), None, "it would campaign");
        let mut effects = Effects::default();
        shard.take_effects(now, &mut effects);
        let refused: Vec<_> = [1, 2, 3].map(|n| (Token(n), Refused::Quarantined)).into();
        assert_eq!(std::mem::take(&mut effects.refused), refused);
        assert!(effects.is_empty(), "it said something: {effects:?}");

        let status = shard.status(GROUP).expect("shown");
        assert_eq!((status.role, status.quarantine), ("quarantined", Some(why)));
        assert_eq!(status.applied, Index(9));
    }
}
