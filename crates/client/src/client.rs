//! The handle users hold: user keys in, user keys out, sizes checked, everything else delegated.
//!
//! A handle is an `Arc` and a few settings: clone it freely, one clone per task. The connections
//! live as long as any handle does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{Command, Index, Outcome, RegionId, StoreId};

use crate::admin::{BootstrapInfo, Routes, Status};
use crate::ask::{Ask, Got, Read};
use crate::shell::{Shell, Ticket};
use crate::{Batch, Error, Keyspace, Op, Options, ReadMode, Reply, Scan, Swap, size};

/// Reads of one `multi_get`, or writes of one `write_each`, that are under way at once.
const FAN_OUT_MAX: usize = 4096;

/// A client of one cluster.
#[derive(Clone)]
pub struct Client {
    shell: Arc<Shell>,
    keyspace: Keyspace,
    deadline: Duration,
    read_mode: ReadMode,
}

/// A call under way; it goes on whether it is awaited or not. Dropping it does not undo a write.
#[must_use = "the outcome of a call is known only to who awaits it"]
pub struct Pending {
    ticket: Ticket,
}

impl Client {
    /// Connects to a cluster by any of its stores (`host:port`, or `http://host:port`).
    ///
    /// # Errors
    /// [`Error::Invalid`] for an endpoint that is none, [`Error::Unavailable`] when no endpoint
    /// answers within the deadline of `options`.
    pub async fn connect<E>(
        endpoints: impl IntoIterator<Item = E>,
        options: Options,
    ) -> Result<Self, Error>
    where
        E: Into<String>,
    {
        let (deadline, read_mode) = (options.deadline, options.read_mode);
        let endpoints = endpoints.into_iter().map(Into::into).collect();
        let shell = Shell::connect(endpoints, options).await?;
        Ok(Self { shell, keyspace: Keyspace::default(), deadline, read_mode })
    }

    /// The same client, in another keyspace.
    #[must_use]
    pub fn with_keyspace(&self, keyspace: Keyspace) -> Self {
        Self { keyspace, ..self.clone() }
    }

    /// The same client, whose calls may take this long, retries included.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The same client, whose reads are this fresh.
    #[must_use]
    pub fn with_read_mode(&self, read_mode: ReadMode) -> Self {
        Self { read_mode, ..self.clone() }
    }

    /// The value of a key, if it has one. An empty value is not a missing one.
    ///
    /// # Errors
    /// See [`Error`]; so for all calls.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        let ask = self.get_ask(key.as_ref())?;
        match self.start(ask).await?.outcome().await? {
            Got::Value(value) => Ok(value),
            got => unreachable!("a get answered {got:?}"),
        }
    }

    /// The values of several keys, in the order of the keys. Each is as fresh as a [`Self::get`];
    /// together they are not a snapshot of one moment.
    pub async fn multi_get<K>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Bytes>>, Error>
    where
        K: AsRef<[u8]>,
    {
        let asks = keys.into_iter().map(|key| self.get_ask(key.as_ref()));
        let asks = asks.collect::<Result<Vec<_>, _>>()?;
        let mut values = Vec::with_capacity(asks.len());
        for got in self.all(asks).await {
            match got? {
                Got::Value(value) => values.push(value),
                got => unreachable!("a get answered {got:?}"),
            }
        }
        Ok(values)
    }

    /// Reads rows in order of keys, page by page. `end` is excluded; none means to the end of the
    /// keyspace. Each page is as fresh as a [`Self::get`] made when the page is asked for.
    pub fn scan(&self, start: impl AsRef<[u8]>, end: Option<&[u8]>) -> Scan {
        let range = self.keyspace.raw_range(start.as_ref(), end);
        Scan::new(self.clone(), range)
    }

    /// Reads the rows whose keys begin with `prefix`.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Scan {
        let end = prefix_end(prefix.as_ref());
        self.scan(prefix, end.as_deref())
    }

    /// Stores a value, whatever was there.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Result<(), Error> {
        let key = self.keyspace.raw_key(key.as_ref());
        self.write(Command::Put { key, value: value.into() }).await.map(drop)
    }

    /// Removes a key; a missing key is fine.
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let key = self.keyspace.raw_key(key.as_ref());
        self.write(Command::Delete { key }).await.map(drop)
    }

    /// Applies all changes or none, in order. Its keys must lie in one region.
    ///
    /// # Errors
    /// [`Error::NotAtomic`] when they do not.
    pub async fn batch(&self, batch: Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.write(self.batch_command(batch)).await.map(drop)
    }

    /// Applies each change on its own: fast for many, never limited by regions, not atomic as a
    /// whole. Changes of one key may be applied in any order.
    ///
    /// # Errors
    /// The first error; other changes may have been applied, so [`Error::outcome_unknown`] then
    /// speaks only about the change that failed.
    pub async fn write_each(&self, batch: Batch) -> Result<(), Error> {
        let commands = batch.changes.into_iter().map(|(key, value)| {
            let key = self.keyspace.raw_key(&key);
            let command = match value {
                Some(value) => Command::Put { key, value },
                None => Command::Delete { key },
            };
            size::check(&command).map(|()| Ask::Write(command))
        });
        let asks = commands.collect::<Result<Vec<_>, _>>()?;
        self.all(asks).await.into_iter().try_for_each(|got| got.map(drop))
    }

    /// Removes every key from `start` to `end` (excluded; none: to the end of the keyspace) and
    /// says how many there were. Atomic in each region, not as a whole.
    pub async fn delete_range(
        &self,
        start: impl AsRef<[u8]>,
        end: Option<&[u8]>,
    ) -> Result<u64, Error> {
        let mut rest = Some(self.keyspace.raw_range(start.as_ref(), end));
        let mut total = 0;
        while let Some(range) = rest.take().filter(|range| !range.is_empty()) {
            match self.write(Command::DeleteRange { range }).await? {
                Got::Removed { count, rest: next } => (total, rest) = (total + count, next),
                got => unreachable!("a range deletion answered {got:?}"),
            }
        }
        Ok(total)
    }

    /// Stores a value if the key is missing, and tells what was there.
    pub async fn put_if_absent(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Bytes>,
    ) -> Result<Swap, Error> {
        let key = self.keyspace.raw_key(key.as_ref());
        self.write(Command::PutIfAbsent { key, value: value.into() }).await.map(swap)
    }

    /// Replaces the value if it equals `expect` (nothing: the key is missing) by `update` (nothing:
    /// the key is deleted), and tells what was there.
    pub async fn compare_and_put(
        &self,
        key: impl AsRef<[u8]>,
        expect: Option<Bytes>,
        update: Option<Bytes>,
    ) -> Result<Swap, Error> {
        let key = self.keyspace.raw_key(key.as_ref());
        self.write(Command::CompareAndPut { key, expect, update }).await.map(swap)
    }

    /// Begins an operation and comes back as soon as it is under way, so that one task may have
    /// many under way. Waits only while [`Options::calls_max`] calls are under way already.
    /// Operations begun in order may take effect in any order.
    pub async fn submit(&self, op: Op) -> Result<Pending, Error> {
        let key = |key: Bytes| self.keyspace.raw_key(&key);
        let command = match op {
            Op::Get { key } => return self.start(self.get_ask(&key)?).await,
            Op::Put { key: k, value } => Command::Put { key: key(k), value },
            Op::Delete { key: k } => Command::Delete { key: key(k) },
            Op::Batch(batch) if batch.is_empty() => {
                return Err(Error::Invalid { message: "an empty batch".into() });
            }
            Op::Batch(batch) => self.batch_command(batch),
            Op::PutIfAbsent { key: k, value } => Command::PutIfAbsent { key: key(k), value },
            Op::CompareAndPut { key: k, expect, update } => {
                Command::CompareAndPut { key: key(k), expect, update }
            }
        };
        size::check(&command)?;
        self.start(Ask::Write(command)).await
    }

    /// Where everything is, asked freshly from any store.
    pub async fn routes(&self) -> Result<Routes, Error> {
        self.shell.routes(self.deadline).await
    }

    /// How a store is.
    pub async fn status(&self, store: StoreId) -> Result<Status, Error> {
        self.shell.status(store, self.deadline).await
    }

    /// How the store behind an endpoint is, whether the map knows it or not.
    pub async fn status_of(&self, endpoint: &str) -> Result<Status, Error> {
        self.shell.status_of(endpoint, self.deadline).await
    }

    /// Which cluster the store behind an endpoint belongs to, and as whom.
    pub async fn bootstrap_info(&self, endpoint: &str) -> Result<BootstrapInfo, Error> {
        self.shell.bootstrap_info(endpoint, self.deadline).await
    }

    /// Asks the leader of a region to hand over to a store; none lets the leader choose. Comes
    /// back when the transfer has begun; [`Self::routes`] tells when it is done.
    pub async fn transfer_leader(
        &self,
        region: RegionId,
        to: Option<StoreId>,
    ) -> Result<(), Error> {
        self.shell.transfer_leader(region, to, self.deadline).await
    }

    /// Makes every replica of a region hash its rows at one index, and tells the index;
    /// [`Self::status`] of each store shows the hashes.
    pub async fn hash_state(&self, region: RegionId) -> Result<Index, Error> {
        self.shell.hash_state(region, self.deadline).await
    }

    /// The keyspace of this handle.
    pub fn keyspace(&self) -> Keyspace {
        self.keyspace
    }

    pub(crate) async fn read(&self, read: Read) -> Result<Got, Error> {
        self.start(Ask::Read(read, self.read_mode)).await?.outcome().await
    }

    fn get_ask(&self, key: &[u8]) -> Result<Ask, Error> {
        let key = self.keyspace.raw_key(key);
        size::check_key(&key)?;
        Ok(Ask::Read(Read::Get(key), self.read_mode))
    }

    fn batch_command(&self, batch: Batch) -> Command {
        let raw = |(key, value): (Bytes, _)| (self.keyspace.raw_key(&key), value);
        Command::Batch { changes: batch.changes.into_iter().map(raw).collect() }
    }

    async fn write(&self, command: Command) -> Result<Got, Error> {
        size::check(&command)?;
        self.start(Ask::Write(command)).await?.outcome().await
    }

    async fn start(&self, ask: Ask) -> Result<Pending, Error> {
        Ok(Pending { ticket: self.shell.start(ask, self.deadline).await? })
    }

    /// Runs all, up to [`FAN_OUT_MAX`] at once; results in the order of `asks`.
    async fn all(&self, asks: Vec<Ask>) -> Vec<Result<Got, Error>> {
        let mut results = Vec::with_capacity(asks.len());
        let mut asks = asks.into_iter().peekable();
        while asks.peek().is_some() {
            let mut under_way = Vec::new();
            for ask in asks.by_ref().take(FAN_OUT_MAX) {
                under_way.push(self.start(ask).await);
            }
            for pending in under_way {
                results.push(match pending {
                    Ok(pending) => pending.outcome().await,
                    Err(error) => Err(error),
                });
            }
        }
        results
    }
}

impl Pending {
    async fn outcome(self) -> Result<Got, Error> {
        self.ticket.await
    }
}

impl Future for Pending {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.ticket).poll(context).map_ok(|got| match got {
            Got::Outcome(Outcome::Done) => Reply::Done,
            Got::Value(value) => Reply::Value(value),
            got @ Got::Outcome(_) => Reply::Swap(swap(got)),
            got => unreachable!("an operation answered {got:?}"),
        })
    }
}

fn swap(got: Got) -> Swap {
    match got {
        Got::Outcome(Outcome::Conditional { applied, previous }) => Swap { applied, previous },
        got => unreachable!("a conditional write answered {got:?}"),
    }
}

/// The first key that does not begin with `prefix` and is greater; none when there is none.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::prefix_end;

    #[test]
    fn a_prefix_ends_where_its_last_byte_grows() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
