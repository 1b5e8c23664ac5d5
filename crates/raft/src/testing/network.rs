//! The messages between peers, in the order they were sent; links can be cut.
//!
//! Loss, delay, duplication and reordering are what the caller does with the list.

use std::collections::BTreeSet;

use kontiki_types::{Message, PeerId};

/// See the module.
#[derive(Debug, Default)]
pub struct Network {
    under_way: Vec<Message>,
    /// Set aside by a test, to arrive later.
    pub held: Vec<Message>,
    cut: BTreeSet<(PeerId, PeerId)>,
}

impl Network {
    /// A message leaves. False when its link is cut: it is lost.
    pub fn send(&mut self, message: Message) -> bool {
        let open = !self.cut.contains(&(message.from, message.to));
        if open {
            self.under_way.push(message);
        }
        open
    }

    /// All messages under way, oldest first.
    pub fn under_way(&self) -> &[Message] {
        &self.under_way
    }

    /// Take the message at this place; nothing when there is none.
    pub fn take(&mut self, at: usize) -> Option<Message> {
        (at < self.under_way.len()).then(|| self.under_way.remove(at))
    }

    /// Take the messages that match, oldest first, at most `count`.
    pub fn take_matching(
        &mut self,
        count: usize,
        matches: impl Fn(&Message) -> bool,
    ) -> Vec<Message> {
        let mut left = count;
        let pick = |message: &mut Message| {
            let take = left > 0 && matches(message);
            left -= usize::from(take);
            take
        };
        self.under_way.extract_if(.., pick).collect()
    }

    /// Cut or mend the link from one peer to another.
    pub fn set_cut(&mut self, from: PeerId, to: PeerId, cut: bool) {
        if cut {
            self.cut.insert((from, to));
            self.under_way.retain(|message| (message.from, message.to) != (from, to));
        } else {
            self.cut.remove(&(from, to));
        }
    }

    /// Mend every link.
    pub fn heal(&mut self) {
        self.cut.clear();
    }
}
