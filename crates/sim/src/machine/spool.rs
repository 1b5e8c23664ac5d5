//! Snapshots that arrived, on a simulated disk of their own, as the host keeps them in files.

use std::collections::BTreeSet;

use bytes::Bytes;
use kontiki_log::{Disk, File, SimDisk};
use kontiki_multiraft::Error;

/// The spools of a machine.
pub(super) struct Spools {
    disk: SimDisk,
    next: u64,
}

/// A spool being written.
pub(super) struct SpoolWriter {
    number: u64,
    disk: SimDisk,
    file: <SimDisk as Disk>::File,
    bytes: u64,
}

impl Spools {
    pub(super) fn new() -> Self {
        Self { disk: SimDisk::new(), next: 1 }
    }

    /// The disk below.
    pub(super) fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// Begins a spool.
    pub(super) fn create(&mut self) -> std::io::Result<SpoolWriter> {
        let number = self.next;
        self.next += 1;
        let file = self.disk.create(&name(number))?;
        Ok(SpoolWriter { number, disk: self.disk.clone(), file, bytes: 0 })
    }

    /// Every chunk of a spool, in order.
    pub(super) fn read(&self, number: u64) -> Result<Vec<Bytes>, Error> {
        let contents = self.contents(number);
        let contents = contents.map_err(|error| Error::Snapshot(format!("spool: {error}")))?;
        let mut rest = Bytes::from(contents);
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let cut = || Error::Snapshot(format!("spool {number} is cut short"));
            let (length, _) = rest.split_first_chunk().ok_or_else(cut)?;
            let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut())?;
            if rest.len() < 4 + length {
                return Err(cut());
            }
            chunks.push(rest.slice(4..4 + length));
            rest = rest.slice(4 + length..);
        }
        Ok(chunks)
    }

    fn contents(&self, number: u64) -> std::io::Result<Vec<u8>> {
        let file = self.disk.open(&name(number))?;
        let length = usize::try_from(file.len()?).map_err(std::io::Error::other)?;
        let mut contents = vec![0; length];
        let read = file.read_at(0, &mut contents)?;
        contents.truncate(read);
        Ok(contents)
    }

    /// Removes a spool; one that is gone is fine.
    pub(super) fn remove(&self, number: u64) {
        let _ = self.disk.remove(&name(number));
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.disk.names().len()
    }

    /// Removes every spool but these.
    pub(super) fn keep_only(&self, numbers: impl Iterator<Item = u64>) {
        let kept: BTreeSet<_> = numbers.map(name).collect();
        for name in self.disk.names().into_iter().filter(|name| !kept.contains(name)) {
            let _ = self.disk.remove(&name);
        }
    }
}

impl SpoolWriter {
    /// Appends a chunk.
    pub(super) fn push(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(chunk.len()).map_err(std::io::Error::other)?;
        self.file.write_at(self.bytes, &length.to_le_bytes())?;
        self.file.write_at(self.bytes + 4, chunk)?;
        self.bytes += 4 + u64::from(length);
        Ok(())
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it durable and gives its number.
    pub(super) fn finish(mut self) -> std::io::Result<u64> {
        self.file.sync()?;
        self.disk.sync_dir()?;
        Ok(self.number)
    }

    /// Gives it up.
    pub(super) fn discard(self) {
        let _ = self.disk.remove(&name(self.number));
    }
}

fn name(number: u64) -> String {
    format!("spool-{number}")
}
