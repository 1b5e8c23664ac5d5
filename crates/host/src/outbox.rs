//! From messages to frames: everything one turn says to one store leaves as one frame.
//!
//! Used by whoever takes the shard's turn (what may leave at once) and by the log writer (what
//! waited for its sync). Never blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use kontiki_codec::frame;
use kontiki_codec::message::size_hint;
use kontiki_multiraft::{Event, Outbound};
use kontiki_types::{Body, StoreId, limits};

use crate::transport::{Class, Transport};

/// Most bytes gathered in one frame before the next begins.
const FRAME_BYTES_TARGET: usize = limits::APPEND_BYTES_MAX;

/// Builds and sends frames.
#[derive(Clone)]
pub(crate) struct Outbox {
    transport: Arc<dyn Transport>,
}

impl Outbox {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    /// Send these messages; `unreachable` gets an event per store that nothing reaches.
    pub(crate) fn send(&self, messages: &mut Vec<Outbound>, unreachable: &mut Vec<Event>) {
        let mut frames = begin(messages);
        for Outbound { store, group, message } in messages.drain(..) {
            // The offer of a snapshot travels with its chunks, never alone.
            debug_assert!(!matches!(message.body, Body::Snapshot { .. }), "{message:?} in a frame");
            let class = class_of(&message.body);
            let builder = frames.entry((store, class)).or_default();
            builder.push(group, &message);
            if builder.bytes() >= FRAME_BYTES_TARGET {
                let full = std::mem::take(builder);
                self.send_frame(store, class, full, unreachable);
            }
        }
        for ((store, class), builder) in frames {
            if !builder.is_empty() {
                self.send_frame(store, class, builder, unreachable);
            }
        }
    }

    fn send_frame(
        &self,
        store: StoreId,
        class: Class,
        frame: frame::Builder,
        unreachable: &mut Vec<Event>,
    ) {
        if !self.transport.send(store, class, frame.finish())
            && !unreachable.iter().any(|e| *e == Event::Unreachable { store })
        {
            unreachable.push(Event::Unreachable { store });
        }
    }
}

/// A frame for each store and class, with room for what it will hold: to grow is to copy.
fn begin(messages: &[Outbound]) -> BTreeMap<(StoreId, Class), frame::Builder> {
    let mut rooms = BTreeMap::<_, usize>::new();
    for Outbound { store, message, .. } in messages {
        *rooms.entry((*store, class_of(&message.body))).or_default() += size_hint(message);
    }
    let frame = |room: usize| frame::Builder::with_capacity(room.min(FRAME_BYTES_TARGET));
    rooms.into_iter().map(|(to, room)| (to, frame(room))).collect()
}

fn class_of(body: &Body) -> Class {
    match body {
        Body::Append { entries, .. } if !entries.is_empty() => Class::Append,
        _ => Class::Control,
    }
}
