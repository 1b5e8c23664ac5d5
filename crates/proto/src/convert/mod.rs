//! Conversions between messages and the words of `kontiki-types`: `From` where nothing can go wrong
//! (words to messages), `TryFrom` where the message may lack something (messages to words).
//!
//! Keys and values move as shared slices; nothing is copied.

mod command;
mod outcome;
mod region;

#[cfg(test)]
mod tests;
