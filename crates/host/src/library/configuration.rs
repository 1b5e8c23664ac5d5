//! The members of a group, as people write them: `1@10.0.0.1:8081,2@10.0.0.2:8081/learner`.
//!
//! A member is a store, the address where it is reached, the number of its replica (the store's
//! own, unless told as `2#7@…`) and whether it votes. Identity is the number, never the address.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use kontiki_types::{Membership, Peer, PeerId, PeerRole, StoreId};

use super::error::Error;

/// A member of a group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Member {
    /// Its store.
    pub store: StoreId,
    /// Its replica.
    pub peer: PeerId,
    /// Where the store is reached, `host:port`; empty when that is known otherwise.
    pub address: String,
    /// Receives the log, has no vote.
    pub is_learner: bool,
}

impl Member {
    /// A voter on this store, whose replica has the store's own number.
    pub fn new(store: StoreId, address: impl Into<String>) -> Self {
        Self { store, peer: PeerId(store.0), address: address.into(), is_learner: false }
    }

    /// The same without a vote.
    #[must_use]
    pub fn learner(mut self) -> Self {
        self.is_learner = true;
        self
    }

    /// The same under another number of its replica.
    #[must_use]
    pub fn with_peer(mut self, peer: PeerId) -> Self {
        self.peer = peer;
        self
    }

    /// As the Raft core knows it.
    pub fn to_peer(&self) -> Peer {
        let role = if self.is_learner { PeerRole::Learner } else { PeerRole::Voter };
        Peer { id: self.peer, store: self.store, role }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.store.0)?;
        if self.peer.0 != self.store.0 {
            write!(f, "#{}", self.peer.0)?;
        }
        write!(f, "@{}", self.address)?;
        if self.is_learner { write!(f, "/learner") } else { Ok(()) }
    }
}

impl FromStr for Member {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Invalid(format!("{text:?} is no member: write 1@host:port"));
        let (who, place) = text.trim().split_once('@').ok_or_else(wrong)?;
        let (store, peer) = who.split_once('#').unwrap_or((who, who));
        let number = |digits: &str| digits.parse().ok().filter(|n| *n > 0).ok_or_else(wrong);
        let (store, peer) = (StoreId(number(store)?), PeerId(number(peer)?));
        let (address, is_learner) = match place.split_once('/') {
            None => (place, false),
            Some((address, "learner")) => (address, true),
            Some(_) => return Err(wrong()),
        };
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if !address.is_empty() && port.is_none() {
            return Err(wrong());
        }
        Ok(Self { store, peer, address: address.to_owned(), is_learner })
    }
}

/// The members of a group, in order of store.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Configuration {
    members: Vec<Member>,
}

impl Configuration {
    /// These members; of two on one store the later counts.
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let mut configuration = Self::default();
        for member in members {
            configuration.add(member);
        }
        configuration
    }

    /// One more; takes the place of one on the same store.
    pub fn add(&mut self, member: Member) {
        self.remove(member.store);
        self.members.push(member);
        self.members.sort();
    }

    /// One less.
    pub fn remove(&mut self, store: StoreId) {
        self.members.retain(|member| member.store != store);
    }

    /// All members, in order of store.
    pub fn members(&self) -> impl Iterator<Item = &Member> + Clone {
        self.members.iter()
    }

    /// The member on this store.
    pub fn member(&self, store: StoreId) -> Option<&Member> {
        self.members.iter().find(|member| member.store == store)
    }

    /// Nobody.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// As the Raft core knows it.
    ///
    /// # Panics
    /// When two members have one peer.
    pub fn to_membership(&self) -> Membership {
        Membership::new(self.members.iter().map(Member::to_peer))
    }
}

/// Members as a user put them together, which says nothing of whether they can be.
///
/// # Errors
/// [`Error::Invalid`] when a number is 0 or a peer occurs twice.
pub(super) fn check<'a>(members: impl IntoIterator<Item = &'a Member>) -> Result<(), Error> {
    let mut peers = BTreeSet::new();
    for member in members {
        if member.store == StoreId(0) || member.peer == PeerId(0) {
            return Err(Error::Invalid(format!("{member}: numbers begin at 1")));
        }
        if !peers.insert(member.peer) {
            return Err(Error::Invalid(format!("{} occurs twice", member.peer)));
        }
    }
    Ok(())
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, member) in self.members.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{member}")?;
        }
        Ok(())
    }
}

impl FromStr for Configuration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let members = text.split(',').filter(|part| !part.trim().is_empty()).map(str::parse);
        let members = members.collect::<Result<Vec<Member>, Error>>()?;
        let configuration = Self::new(members.clone());
        let peers: BTreeSet<PeerId> = members.iter().map(|m| m.peer).collect();
        if configuration.members.len() < members.len() || peers.len() < members.len() {
            return Err(Error::Invalid(format!("{text:?} names a store or a peer twice")));
        }
        Ok(configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = "1@a:1,2#7@b:2,3@c:3/learner";
        let configuration: Configuration = text.parse().expect("fine");
        assert_eq!(configuration.to_string(), text);
        let membership = configuration.to_membership();
        assert!(membership.is_voter(PeerId(7)) && !membership.is_voter(PeerId(3)));
        assert!("".parse::<Configuration>().expect("nobody").is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a", "1", "0@a:1", "1@a", "1@a:b", "1@a:1/x", "1@a:1,1@b:2", "1@a:1,2#1@b:1"] {
            let result = text.parse::<Configuration>();
            assert!(matches!(result, Err(Error::Invalid(_))), "{text}: {result:?}");
        }
    }
}
