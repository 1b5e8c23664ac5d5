//! What happened, as text for people and as one number for comparing runs.
//!
//! The number is always kept: every happening, every packet and every decision is mixed into it, so
//! two runs of a seed that end in the same number went the same way. The text costs more and is
//! only written when asked for; it must never change what happens.

use std::fmt::{self, Write as _};

use kontiki_types::Moment;

/// The record of one run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    text: Option<String>,
}

impl Trace {
    /// A trace; with text only when `is_told`.
    pub fn new(seed: u64, is_told: bool) -> Self {
        Self { hash: seed ^ 0x9e37_79b9_7f4a_7c15, text: is_told.then(String::new) }
    }

    /// Mixes a number into the hash of the run.
    pub fn mix(&mut self, number: u64) {
        let mixed = (self.hash ^ number).wrapping_mul(0x9fb2_1c65_1e98_df25);
        self.hash = mixed ^ (mixed >> 32);
    }

    /// The hash of all that was mixed in so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether text is kept: lets callers skip the work of describing.
    pub fn is_told(&self) -> bool {
        self.text.is_some()
    }

    /// Adds a line of text, if text is kept.
    pub fn line(&mut self, at: Moment, what: fmt::Arguments<'_>) {
        if let Some(text) = &mut self.text {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{at} {what}");
        }
    }

    /// Takes the text written so far, for printing while the run goes on.
    pub fn take_text(&mut self) -> String {
        self.text.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
