//! What is special about the memory engine: images, and what happens when they fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::{MemoryEngine, MemoryImageStore};
use crate::image::{Chunks, ImageStore, StoreError};
use crate::{Batch, Engine, Error, Family, Read};

fn put(engine: &MemoryEngine, key: &'static str, value: &'static str) {
    let mut batch = Batch::default();
    batch.put(Family::Default, key, value);
    engine.write(batch).unwrap();
}

#[test]
fn an_image_holds_what_was_synced_and_no_more() {
    let images = Arc::new(MemoryImageStore::default());
    let engine = MemoryEngine::open(images.clone()).unwrap();
    put(&engine, "a", "1");
    engine.sync().unwrap();
    put(&engine, "b", "2");
    drop(engine);

    let engine = MemoryEngine::open(images).unwrap();

    assert_eq!(engine.get(Family::Default, b"a").unwrap(), Some(Bytes::from("1")));
    assert_eq!(engine.get(Family::Default, b"b").unwrap(), None);
}

/// Counts saves and fails from a given one on.
struct CountingStore {
    saves: AtomicUsize,
    good: usize,
}

impl ImageStore for CountingStore {
    fn load(&self) -> Result<Option<Chunks<'_>>, StoreError> {
        Ok(None)
    }

    fn save(&self, chunks: &mut dyn Iterator<Item = Bytes>) -> Result<(), StoreError> {
        assert!(chunks.count() >= 2, "header and end");
        if self.saves.fetch_add(1, Ordering::Relaxed) < self.good {
            return Ok(());
        }
        Err("no space".into())
    }
}

#[test]
fn a_sync_without_news_saves_nothing() {
    let store = Arc::new(CountingStore { saves: AtomicUsize::new(0), good: usize::MAX });
    let engine = MemoryEngine::open(store.clone()).unwrap();
    engine.sync().unwrap();
    assert_eq!(store.saves.load(Ordering::Relaxed), 0);
    put(&engine, "a", "1");
    engine.sync().unwrap();
    engine.sync().unwrap();
    assert_eq!(store.saves.load(Ordering::Relaxed), 1);
}

#[test]
fn a_failed_image_poisons_the_engine() {
    let store = Arc::new(CountingStore { saves: AtomicUsize::new(0), good: 1 });
    let engine = MemoryEngine::open(store.clone()).unwrap();
    put(&engine, "a", "1");
    engine.sync().unwrap();
    put(&engine, "b", "2");

    let first = engine.sync().unwrap_err();
    let second = engine.sync().unwrap_err();
    let third = engine.write(Batch::default()).unwrap_err();

    assert!(matches!(first, Error::Backend { .. }), "{first}");
    assert!(matches!(second, Error::Poisoned { .. }), "{second}");
    assert!(matches!(third, Error::Poisoned { .. }), "{third}");
    assert_eq!(store.saves.load(Ordering::Relaxed), 2, "no third attempt on a disk that lied");
}
