//! Snapshots on their way between stores: files as chunks, and chunks as files.
//!
//! The sender streams the newest snapshot on disk, or writes one first when there is none. The
//! receiver builds the same files in a temporary directory and checks every one of them before the
//! snapshot takes its place. It never trusts the sender for a name or a length.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use kontiki_codec::snapshot_chunk;
use kontiki_codec::snapshot_manifest::{self, KIND_DATA, KIND_MANIFEST, Manifest};
use kontiki_multiraft::{Error, SnapshotSource};
use kontiki_types::{SnapshotMeta, limits};

use super::files::{SnapshotFiles, Stored};
use super::throttle::Throttle;
use super::{SnapshotRead, SnapshotWriter};

/// Makes the snapshot that is to be sent, on the sender's thread.
pub(crate) type Make = Box<dyn FnOnce() -> Result<Arc<Stored>, String> + Send>;

/// A snapshot being sent.
pub(crate) struct FileSource {
    state: State,
    throttle: Option<Arc<Throttle>>,
    sequence: u64,
}

enum State {
    /// Not written yet.
    Unmade(Make),
    /// Its files are open, so that they may be removed meanwhile.
    Opened(Arc<Stored>, VecDeque<SnapshotRead>),
    /// It could not be made.
    Failed,
}

impl FileSource {
    /// Send this one.
    pub(crate) fn stored(
        stored: &Arc<Stored>,
        throttle: Option<Arc<Throttle>>,
    ) -> Result<Self, Error> {
        Ok(Self { state: open(Arc::clone(stored))?, throttle, sequence: 0 })
    }

    /// Make one, then send it.
    pub(crate) fn unmade(make: Make, throttle: Option<Arc<Throttle>>) -> Self {
        Self { state: State::Unmade(make), throttle, sequence: 0 }
    }

    /// The snapshot, made now if it was not before.
    fn opened(&mut self) -> Result<(&Stored, &mut VecDeque<SnapshotRead>), Error> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Unmade(make) => open(make().map_err(Error::Snapshot)?)?,
            state => state,
        };
        match &mut self.state {
            State::Opened(stored, files) => Ok((stored, files)),
            State::Unmade(_) | State::Failed => Err(snapshot_error("it could not be made")),
        }
    }

    fn chunk(&mut self, kind: u8, body: &[u8]) -> Bytes {
        if let Some(throttle) = &self.throttle {
            throttle.take(body.len());
        }
        let chunk = snapshot_chunk::encode(self.sequence, kind, body);
        self.sequence += 1;
        chunk
    }
}

impl SnapshotSource for FileSource {
    fn meta(&mut self) -> Result<SnapshotMeta, Error> {
        Ok(self.opened()?.0.manifest.meta.clone())
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let begins = self.sequence == 0;
        let (stored, files) = self.opened()?;
        if begins {
            let manifest = snapshot_manifest::to_bytes(&stored.manifest);
            return Ok(Some(self.chunk(KIND_MANIFEST, &manifest)));
        }
        let mut body = Vec::new();
        while let Some(file) = files.front_mut() {
            let mut part = file.take(limits::SNAPSHOT_CHUNK_BYTES as u64);
            part.read_to_end(&mut body).map_err(snapshot_error)?;
            if !body.is_empty() {
                return Ok(Some(self.chunk(KIND_DATA, &body)));
            }
            files.pop_front();
        }
        Ok(None)
    }
}

fn open(stored: Arc<Stored>) -> Result<State, Error> {
    let files = stored.manifest.files.iter().map(|entry| SnapshotRead::open(&stored, entry));
    let files = files.collect::<Result<_, _>>().map_err(snapshot_error)?;
    Ok(State::Opened(stored, files))
}

/// Build the snapshot that these chunks are, durably.
pub(crate) fn receive(
    files: &SnapshotFiles,
    meta: &SnapshotMeta,
    chunks: &mut dyn Iterator<Item = Result<Bytes, Error>>,
) -> Result<Arc<Stored>, Error> {
    let mut incoming = Incoming { chunks, sequence: 0 };
    let manifest = incoming.manifest()?;
    if manifest.meta != *meta {
        return Err(snapshot_error("it is not the one that was offered"));
    }
    let mut writer = files.begin(meta.clone(), None).map_err(storage)?;
    for entry in &manifest.files {
        incoming.file(&mut writer, entry)?;
    }
    if incoming.next()?.is_some() {
        return Err(snapshot_error("it goes on after its last file"));
    }
    files.commit(writer).map_err(storage)
}

struct Incoming<'a> {
    chunks: &'a mut dyn Iterator<Item = Result<Bytes, Error>>,
    sequence: u64,
}

impl Incoming<'_> {
    fn next(&mut self) -> Result<Option<snapshot_chunk::Chunk>, Error> {
        let Some(chunk) = self.chunks.next() else { return Ok(None) };
        let chunk = snapshot_chunk::decode(chunk?).map_err(snapshot_error)?;
        if chunk.sequence != self.sequence {
            return Err(snapshot_error("a chunk is missing or repeated"));
        }
        self.sequence += 1;
        Ok(Some(chunk))
    }

    fn manifest(&mut self) -> Result<Manifest, Error> {
        let chunk = self.next()?.filter(|chunk| chunk.kind == KIND_MANIFEST);
        let chunk = chunk.ok_or_else(|| snapshot_error("it does not begin with its manifest"))?;
        snapshot_manifest::from_bytes(chunk.body).map_err(snapshot_error)
    }

    fn file(
        &mut self,
        writer: &mut SnapshotWriter,
        entry: &snapshot_manifest::FileEntry,
    ) -> Result<(), Error> {
        let mut file = writer.file(&entry.name).map_err(storage)?;
        let mut left = entry.bytes;
        while left > 0 {
            let chunk = self.next()?.filter(|chunk| chunk.kind == KIND_DATA);
            let chunk = chunk.ok_or_else(|| snapshot_error("it ends within a file"))?;
            let length = chunk.body.len() as u64;
            if length == 0 || length > left {
                return Err(snapshot_error("a chunk does not fit its file"));
            }
            left -= length;
            file.write_all(&chunk.body).map_err(storage)?;
        }
        if file.crc() != entry.crc {
            return Err(snapshot_error("a file does not match its checksum"));
        }
        file.finish().map_err(storage)
    }
}

fn snapshot_error(why: impl std::fmt::Display) -> Error {
    Error::Snapshot(format!("{why}"))
}

/// The disk refused the snapshot; the state before it is untouched, so it may be sent again.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn storage(error: std::io::Error) -> Error {
    Error::Snapshot(format!("not stored: {error}"))
}

#[cfg(test)]
mod tests {
    use kontiki_types::{Index, Membership, Position, Term};

    use super::*;

    fn meta() -> SnapshotMeta {
        let position = Position::new(Term(1), Index(5));
        SnapshotMeta { position, membership: Membership::of_voters(3) }
    }

    fn sent(dir: &std::path::Path) -> Vec<Bytes> {
        let files = SnapshotFiles::open(dir.join("from")).expect("opened");
        let mut writer = files.begin(meta(), None).expect("begun");
        writer.put("empty", b"").expect("written");
        writer.put("large", &vec![7; limits::SNAPSHOT_CHUNK_BYTES + 9]).expect("written");
        writer.put("small", b"small").expect("written");
        let stored = files.commit(writer).expect("committed");
        let mut source = FileSource::stored(&stored, None).expect("opened");
        let mut chunks = Vec::new();
        while let Some(chunk) = source.next_chunk().expect("read") {
            chunks.push(chunk);
        }
        chunks
    }

    #[test]
    fn a_snapshot_arrives_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let chunks = sent(dir.path());
        assert_eq!(chunks.len(), 4);
        let files = SnapshotFiles::open(dir.path().join("to")).expect("opened");
        let stored = receive(&files, &meta(), &mut chunks.into_iter().map(Ok)).expect("received");
        let reader = stored.reader();
        assert_eq!(reader.files().collect::<Vec<_>>(), ["empty", "large", "small"]);
        assert_eq!(reader.read("large").expect("read").len(), limits::SNAPSHOT_CHUNK_BYTES + 9);
        assert_eq!(reader.read("small").expect("read"), b"small");
    }

    #[test]
    fn a_stream_that_lacks_or_repeats_anything_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let chunks = sent(dir.path());
        let files = SnapshotFiles::open(dir.path().join("to")).expect("opened");
        for at in 0..chunks.len() {
            let mut less = chunks.clone();
            less.remove(at);
            let mut more = chunks.clone();
            more.insert(at, chunks[at].clone());
            let mut other = chunks.clone();
            other[at] = snapshot_chunk::encode(at as u64, KIND_DATA, b"tiny!");
            for wrong in [less, more, other] {
                // The last one is the only chunk that is as large as its stand-in.
                let result = receive(&files, &meta(), &mut wrong.into_iter().map(Ok));
                assert!(matches!(result, Err(Error::Snapshot(_))), "{at}: {result:?}");
                assert!(files.newest().is_none());
            }
        }
        assert_eq!(std::fs::read_dir(dir.path().join("to")).expect("listed").count(), 0);
    }
}
