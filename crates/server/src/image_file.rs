//! The image of the memory engine as a file: written beside, synced, renamed over the old one.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use kontiki_engine::{Chunks, ImageStore, StoreError};

/// Bytes read at a time when an image is loaded.
const READ_BYTES: usize = 256 * 1024;

/// One image in one directory.
#[derive(Debug)]
pub(crate) struct ImageFile {
    dir: PathBuf,
}

impl ImageFile {
    /// Keep the image in this directory, made if missing.
    pub(crate) fn open(dir: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }
}

impl ImageStore for ImageFile {
    fn load(&self) -> Result<Option<Chunks<'_>>, StoreError> {
        let file = match File::open(self.dir.join("image")) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut reader = BufReader::with_capacity(READ_BYTES, file);
        Ok(Some(Box::new(std::iter::from_fn(move || {
            let mut chunk = BytesMut::zeroed(READ_BYTES);
            match reader.read(&mut chunk) {
                Ok(0) => None,
                Ok(length) => {
                    chunk.truncate(length);
                    Some(Ok(chunk.freeze()))
                }
                Err(error) => Some(Err(error.into())),
            }
        }))))
    }

    fn save(&self, chunks: &mut dyn Iterator<Item = Bytes>) -> Result<(), StoreError> {
        let new = self.dir.join("image.new");
        let mut file = BufWriter::new(File::create(&new)?);
        for chunk in chunks {
            file.write_all(&chunk)?;
        }
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&new, self.dir.join("image"))?;
        File::open(&self.dir)?.sync_all()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kontiki_engine::{Batch, Engine, Family, MemoryEngine, Read as _};

    use super::*;

    fn open(dir: &std::path::Path) -> MemoryEngine {
        let images = ImageFile::open(dir.to_owned()).expect("opened");
        MemoryEngine::open(Arc::new(images)).expect("whole")
    }

    fn put(engine: &MemoryEngine, key: &'static [u8]) {
        let mut batch = Batch::default();
        batch.put(Family::Default, Bytes::from_static(key), Bytes::from_static(b"v"));
        engine.write(batch).expect("written");
    }

    #[test]
    fn a_memory_engine_comes_back_as_of_its_last_sync() {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = open(dir.path());
        put(&engine, b"a");
        engine.sync().expect("synced");
        put(&engine, b"b");
        drop(engine);
        // A crash in the middle of a save leaves a half file beside the whole one.
        std::fs::write(dir.path().join("image.new"), b"half").expect("written");
        let engine = open(dir.path());
        assert!(engine.get(Family::Default, b"a").expect("read").is_some());
        assert!(engine.get(Family::Default, b"b").expect("read").is_none());
    }

    #[test]
    fn a_damaged_image_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = open(dir.path());
        put(&engine, b"a");
        engine.sync().expect("synced");
        let path = dir.path().join("image");
        let mut bytes = std::fs::read(&path).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        let images = ImageFile::open(dir.path().to_owned()).expect("opened");
        assert!(MemoryEngine::open(Arc::new(images)).is_err());
    }
}
