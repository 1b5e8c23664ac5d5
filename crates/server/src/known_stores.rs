//! On which data directory, and in which life of it, every other store was last seen.
//!
//! A store whose directory was lost has forgotten its votes and what it acknowledged, and so has,
//! in part, one that came back with an old copy. Under its id it could vote twice, or elect a
//! leader without an entry that it once held; so nothing it says is heard any more
//! (`service/peer.rs`), and that it hears others harms nobody. What is known outlives this process,
//! or two restarts together would let anybody in.
//!
//! A directory that was made to take the place of a lost one (`kontiki rejoin`) is let in: none of
//! its replicas goes by an id that promised anything (`docs/design/0005-quarantine.md`).
//!
//! ```text
//! file PEERS:  store <id> directory <number> start <count>      a line per store
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kontiki_types::StoreId;

use crate::data_dir::{Incarnation, replace_file};

/// See the module.
#[derive(Debug)]
pub(crate) struct KnownStores {
    dir: PathBuf,
    seen: Mutex<BTreeMap<StoreId, Incarnation>>,
}

const FILE: &str = "PEERS";

impl KnownStores {
    /// What an earlier process knew; nothing in a new directory.
    ///
    /// # Errors
    /// The file cannot be read or makes no sense.
    pub(crate) fn open(dir: &Path) -> std::io::Result<Self> {
        let text = match std::fs::read_to_string(dir.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let seen: Option<BTreeMap<_, _>> = text.lines().map(parse).collect();
        let damaged = || std::io::Error::other(format!("{}/{FILE} is damaged", dir.display()));
        let seen = Mutex::new(seen.ok_or_else(damaged)?);
        Ok(Self { dir: dir.to_owned(), seen })
    }

    /// Whether a store in this life may take part; remembered durably before it does.
    ///
    /// # Errors
    /// Why not, for whoever runs that store.
    pub(crate) fn admit(&self, store: StoreId, now: Incarnation) -> Result<(), String> {
        let id = store.0;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(&store) {
            Some(known) if known.directory != now.directory && !now.rejoined => {
                return Err(format!(
                    "store {id} lost its data: its directory is not the one it had before. It \
                     may have promised what it no longer knows, so it cannot take part under this \
                     id; start it on its own --data-dir, or make it a new \
                     one with `kontiki rejoin`"
                ));
            }
            Some(known) if known.directory == now.directory && known.start > now.start => {
                return Err(format!(
                    "store {id} came back with an old copy of its data (start {}, known is {}): \
                     it may have promised what it no longer knows; start it on its own --data-dir",
                    now.start, known.start
                ));
            }
            Some(known) if (known.directory, known.start) == (now.directory, now.start) => {
                return Ok(());
            }
            Some(_) | None => {}
        }
        let before = seen.insert(store, now);
        if let Err(error) = replace_file(&self.dir, FILE, &lines(&seen)) {
            match before {
                Some(before) => seen.insert(store, before),
                None => seen.remove(&store),
            };
            return Err(format!("{FILE} cannot be written: {error}"));
        }
        Ok(())
    }
}

fn lines(seen: &BTreeMap<StoreId, Incarnation>) -> String {
    seen.iter().fold(String::new(), |mut text, (store, seen)| {
        let Incarnation { directory, start, .. } = seen;
        let written = writeln!(text, "store {} directory {directory} start {start}", store.0);
        debug_assert!(written.is_ok(), "a string takes everything");
        text
    })
}

fn parse(line: &str) -> Option<(StoreId, Incarnation)> {
    let mut words = line.split(' ');
    let mut field = |name| {
        words.next().filter(|word| *word == name)?;
        words.next()?.parse::<u64>().ok()
    };
    let store = StoreId(field("store")?);
    let directory = u32::try_from(field("directory")?).ok()?;
    let start = u32::try_from(field("start")?).ok()?;
    Some((store, Incarnation { directory, start, rejoined: false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: StoreId = StoreId(2);

    fn life(directory: u32, start: u32) -> Incarnation {
        Incarnation { directory, start, rejoined: false }
    }

    #[test]
    fn a_store_without_its_data_is_refused_even_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let known = KnownStores::open(dir.path()).expect("opened");
        known.admit(TWO, life(7, 1)).expect("never seen");
        known.admit(TWO, life(7, 1)).expect("another stream of the same life");
        known.admit(TWO, life(7, 2)).expect("restarted");
        known.admit(StoreId(3), life(8, 1)).expect("never seen");
        for known in [known, KnownStores::open(dir.path()).expect("opened again")] {
            let wiped = known.admit(TWO, life(9, 1)).expect_err("another directory");
            assert!(wiped.contains("lost its data"), "{wiped}");
            let old = known.admit(TWO, life(7, 1)).expect_err("an earlier life");
            assert!(old.contains("old copy"), "{old}");
            known.admit(TWO, life(7, 2)).expect("the one that is known");
        }
    }

    #[test]
    fn a_directory_in_place_of_the_lost_one_is_let_in_and_the_lost_one_is_not_any_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let known = KnownStores::open(dir.path()).expect("opened");
        known.admit(TWO, life(7, 5)).expect("never seen");
        let new = Incarnation { rejoined: true, ..life(9, 1) };
        known.admit(TWO, new).expect("in its place");
        for known in [known, KnownStores::open(dir.path()).expect("opened again")] {
            known.admit(TWO, new).expect("the one that is known");
            known.admit(TWO, life(7, 6)).expect_err("the lost one, found again");
            let another = Incarnation { start: 2, ..new };
            known.admit(TWO, another).expect("its next start");
            known.admit(TWO, new).expect_err("an old copy of it");
        }
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(FILE), "store 2 directory x start 1\n").expect("written");
        assert!(KnownStores::open(dir.path()).is_err());
    }
}
