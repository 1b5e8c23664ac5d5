//! Outcomes and refusals of writes.

use kontiki_types::{Outcome, Refusal};

use crate::v1::refusal::Reason;
use crate::{Error, v1};

impl From<Refusal> for v1::Refusal {
    fn from(refusal: Refusal) -> Self {
        let plain = |reason: Reason| Self { reason: reason.into(), regions: Vec::new() };
        match refusal {
            Refusal::EpochNotMatch(regions) => Self {
                reason: Reason::EpochNotMatch.into(),
                regions: regions.into_iter().map(Into::into).collect(),
            },
            Refusal::KeyNotInRegion => plain(Reason::KeyNotInRegion),
            Refusal::SessionUnknown => plain(Reason::SessionUnknown),
            Refusal::RequestForgotten => plain(Reason::RequestForgotten),
            Refusal::SessionFull => plain(Reason::SessionFull),
            Refusal::Invalid => plain(Reason::Invalid),
        }
    }
}

impl TryFrom<v1::Refusal> for Refusal {
    type Error = Error;

    fn try_from(refusal: v1::Refusal) -> Result<Self, Error> {
        let unknown = Error::Unknown { what: "reason of a refusal", number: refusal.reason };
        Ok(match Reason::try_from(refusal.reason).map_err(|_| unknown.clone())? {
            Reason::Unspecified => return Err(unknown),
            Reason::EpochNotMatch => Self::EpochNotMatch(
                refusal.regions.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            ),
            Reason::KeyNotInRegion => Self::KeyNotInRegion,
            Reason::SessionUnknown => Self::SessionUnknown,
            Reason::RequestForgotten => Self::RequestForgotten,
            Reason::SessionFull => Self::SessionFull,
            Reason::Invalid => Self::Invalid,
        })
    }
}

impl From<Outcome> for v1::Outcome {
    fn from(outcome: Outcome) -> Self {
        use v1::outcome::Outcome as Wire;
        let outcome = match outcome {
            Outcome::Done => Wire::Done(true),
            Outcome::Removed(count) => Wire::Removed(count),
            Outcome::Conditional { applied, previous } => {
                Wire::Conditional(v1::Conditional { applied, previous })
            }
            Outcome::Refused(refusal) => Wire::Refusal(refusal.into()),
        };
        Self { outcome: Some(outcome) }
    }
}

impl TryFrom<v1::Outcome> for Outcome {
    type Error = Error;

    /// # Errors
    /// When a newer server says what this version cannot read: the outcome is then unknown.
    fn try_from(outcome: v1::Outcome) -> Result<Self, Error> {
        use v1::outcome::Outcome as Wire;
        Ok(match outcome.outcome.ok_or(Error::Missing("outcome of a write"))? {
            Wire::Done(_) => Self::Done,
            Wire::Removed(count) => Self::Removed(count),
            Wire::Conditional(v1::Conditional { applied, previous }) => {
                Self::Conditional { applied, previous }
            }
            Wire::Refusal(refusal) => Self::Refused(refusal.try_into()?),
        })
    }
}
