//! Commands and the batches they travel in.

use kontiki_types::{ClientId, Command, Epoch, Header, RequestId, WriteBatch};

use crate::v1::write::Op;
use crate::{Error, v1};

impl TryFrom<Command> for Op {
    type Error = Error;

    /// # Errors
    /// [`Error::NotForClients`] for a command that only a server may propose.
    fn try_from(command: Command) -> Result<Self, Error> {
        Ok(match command {
            Command::Put { key, value } => Self::Put(v1::Put { key, value }),
            Command::Delete { key } => Self::Delete(v1::Delete { key }),
            Command::Batch { changes } => Self::Batch(v1::WriteBatch {
                changes: changes
                    .into_iter()
                    .map(|(key, value)| v1::Change { key, value })
                    .collect(),
            }),
            Command::DeleteRange { range } => {
                Self::DeleteRange(v1::DeleteRange { range: Some(range.into()) })
            }
            Command::PutIfAbsent { key, value } => {
                Self::PutIfAbsent(v1::PutIfAbsent { key, value })
            }
            Command::CompareAndPut { key, expect, update } => {
                Self::CompareAndPut(v1::CompareAndPut { key, expect, update })
            }
            Command::HashState => return Err(Error::NotForClients("a state hash")),
        })
    }
}

impl TryFrom<Op> for Command {
    type Error = Error;

    /// # Errors
    /// [`Error::Missing`] for a range deletion without a range.
    fn try_from(op: Op) -> Result<Self, Error> {
        Ok(match op {
            Op::Put(v1::Put { key, value }) => Self::Put { key, value },
            Op::Delete(v1::Delete { key }) => Self::Delete { key },
            Op::Batch(v1::WriteBatch { changes }) => Self::Batch {
                changes: changes.into_iter().map(|change| (change.key, change.value)).collect(),
            },
            Op::DeleteRange(v1::DeleteRange { range }) => {
                Self::DeleteRange { range: range.ok_or(Error::Missing("range to delete"))?.into() }
            }
            Op::PutIfAbsent(v1::PutIfAbsent { key, value }) => Self::PutIfAbsent { key, value },
            Op::CompareAndPut(v1::CompareAndPut { key, expect, update }) => {
                Self::CompareAndPut { key, expect, update }
            }
        })
    }
}

impl TryFrom<(RequestId, Command)> for v1::Write {
    type Error = Error;

    fn try_from((id, command): (RequestId, Command)) -> Result<Self, Error> {
        Ok(Self { request_id: id.0, op: Some(command.try_into()?) })
    }
}

impl TryFrom<v1::Write> for (RequestId, Command) {
    type Error = Error;

    fn try_from(write: v1::Write) -> Result<Self, Error> {
        let op = write.op.ok_or(Error::Missing("operation of a write"))?;
        Ok((RequestId(write.request_id), op.try_into()?))
    }
}

impl v1::Writes {
    /// The payload to propose: these writes under the epoch of their batch, at the proposer's time.
    ///
    /// # Errors
    /// When a write lacks its operation.
    pub fn into_write_batch(self, epoch: Epoch, wall_ms: u64) -> Result<WriteBatch, Error> {
        Ok(WriteBatch {
            header: Header {
                client: ClientId(self.client_id),
                lowest: RequestId(self.lowest),
                open: self.open,
                epoch,
                wall_ms,
            },
            commands: self.writes.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}
