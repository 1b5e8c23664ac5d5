//! Why a message cannot be said in the words of `kontiki-types`.

/// A message that decodes as protobuf but makes no sense. Answered as `Invalid`; never retried.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field that must be there is not: a bug of the other side, or a newer version of it.
    #[error("message without {0}; is the other side of a newer version?")]
    Missing(&'static str),
    /// An enumeration has a number this version does not know.
    #[error("{what} has unknown number {number}; is the other side of a newer version?")]
    Unknown {
        /// Which enumeration.
        what: &'static str,
        /// The number.
        number: i32,
    },
    /// The command is not one that clients may send.
    #[error("{0} cannot be sent by a client")]
    NotForClients(&'static str),
}
