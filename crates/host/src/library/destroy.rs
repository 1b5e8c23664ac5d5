//! The end of a replica: its log and its snapshots go, and its number is never taken again.
//!
//! ```text
//! data_dir/destroyed/<group>   a line for each peer that ended here: `3 begun`, `3 gone`
//! ```
//!
//! A peer that voted and forgot it could vote twice. So the number is noted first, durably, and a
//! node under it is refused ever after; then the log forgets the group, then the snapshots go, and
//! that is noted as well: until then no other replica may come to its place, and from then on there
//! is nothing to destroy.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kontiki_types::PeerId;

use super::error::Error;
use super::host::{GroupId, Host, write_durably};

/// The numbers that were destroyed, in the data directory of a host.
pub(super) struct Destroyed {
    dir: PathBuf,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Begun,
    Gone,
}

impl Destroyed {
    pub(super) fn within(data_dir: &Path) -> Self {
        Self { dir: data_dir.join("destroyed") }
    }

    /// # Errors
    /// [`Error::Invalid`] when this peer must not take part here.
    pub(super) fn check(&self, group: GroupId, peer: PeerId) -> Result<(), Error> {
        let noted = self.noted(group)?;
        let begun = noted.iter().find(|(_, stage)| **stage == Stage::Begun);
        let what = if noted.contains_key(&peer) {
            format!("{peer} was destroyed here: take another number")
        } else if let Some((before, _)) = begun {
            format!("{before} is not all gone: destroy it once more")
        } else {
            return Ok(());
        };
        Err(Error::Invalid(what))
    }

    fn note(&self, group: GroupId, peer: PeerId, stage: Stage) -> Result<(), Error> {
        if !self.dir.exists() {
            fs::create_dir_all(&self.dir)?;
            sync_parent(&self.dir)?;
        }
        let mut noted = self.noted(group)?;
        noted.insert(peer, stage);
        let line = |(peer, stage): (&PeerId, &Stage)| match stage {
            Stage::Begun => format!("{} begun\n", peer.0),
            Stage::Gone => format!("{} gone\n", peer.0),
        };
        let text: String = noted.iter().map(line).collect();
        Ok(write_durably(&self.path(group), text.as_bytes())?)
    }

    fn noted(&self, group: GroupId) -> Result<BTreeMap<PeerId, Stage>, Error> {
        let path = self.path(group);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let parse = |line: &str| {
            let (peer, stage) = line.split_once(' ')?;
            let stage = match stage {
                "begun" => Stage::Begun,
                "gone" => Stage::Gone,
                _ => return None,
            };
            Some((PeerId(peer.parse().ok()?), stage))
        };
        let noted = text.lines().map(parse).collect::<Option<_>>();
        noted.ok_or_else(|| Error::Invalid(format!("{} is no such list", path.display())))
    }

    fn path(&self, group: GroupId) -> PathBuf {
        self.dir.join(group.0.to_string())
    }
}

impl Host {
    /// Destroy this host's replica of a group, in whatever state: running, shut down, failed, or
    /// one that [`Host::create_node`] refuses because its log or its snapshot is damaged. `peer` is
    /// its number, which no node of the group on this host can have ever after; another may join.
    ///
    /// Where the node does not run, nothing here knows its number: a wrong one destroys the replica
    /// all the same, and lets the right one come back and vote a second time.
    ///
    /// For replicas that were removed from their group, or will be: the others may count on what
    /// it acknowledged. Take it out of the configuration first where that is possible.
    ///
    /// # Errors
    /// [`Error::BadPeer`] when the node here has another number; [`Error::OnHostThread`] in a
    /// callback. [`Error::Io`] and [`Error::TimedOut`] when it may not be gone as a whole: call
    /// again.
    pub fn destroy_node(&self, group: GroupId, peer: PeerId) -> Result<(), Error> {
        self.0.check()?;
        let _changing = self.0.change()?;
        let replica = self.0.replica(group);
        if let Some(replica) = replica.as_ref().filter(|replica| replica.peer != peer) {
            return Err(Error::BadPeer(format!("the node here is {}, not {peer}", replica.peer)));
        }
        let destroyed = &self.0.destroyed;
        if destroyed.noted(group)?.get(&peer) == Some(&Stage::Gone) {
            return Ok(());
        }
        destroyed.note(group, peer, Stage::Begun)?;
        if let Some(replica) = replica {
            if replica.ended().is_none() {
                self.0.node_host.halt(group);
            }
            if !self.0.node_host.remove(group) {
                return Err(Error::TimedOut);
            }
            replica.shut_down();
        }
        if !self.0.node_host.forget(group) {
            return Err(Error::TimedOut);
        }
        self.0.lock_nodes().remove(&group);
        let snapshots = self.0.snapshot_dir(group);
        match fs::remove_dir_all(&snapshots) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => sync_parent(&snapshots)?,
        }
        destroyed.note(group, peer, Stage::Gone)
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}
