//! The end of a replica: its log and its snapshots go, and its number is never taken again.
//!
//! ```text
//! data_dir/destroyed/<group>   the peers of the group that were destroyed here, a line each
//! ```
//!
//! A peer that voted and forgot it could vote twice. So the number is noted first, durably, and a
//! node under it is refused ever after; then the log forgets the group, then the snapshots go. Who
//! is cut off in between destroys it again.

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

impl Destroyed {
    pub(super) fn within(data_dir: &Path) -> Self {
        Self { dir: data_dir.join("destroyed") }
    }

    /// This peer of the group was destroyed here.
    pub(super) fn holds(&self, group: GroupId, peer: PeerId) -> io::Result<bool> {
        let noted = self.noted(group)?;
        Ok(noted.lines().any(|line| line.parse() == Ok(peer.0)))
    }

    fn note(&self, group: GroupId, peer: PeerId) -> io::Result<()> {
        if self.holds(group, peer)? {
            return Ok(());
        }
        if !self.dir.exists() {
            fs::create_dir_all(&self.dir)?;
            sync_parent(&self.dir)?;
        }
        let noted = format!("{}{}\n", self.noted(group)?, peer.0);
        write_durably(&self.path(group), noted.as_bytes())
    }

    fn noted(&self, group: GroupId) -> io::Result<String> {
        match fs::read_to_string(self.path(group)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
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
    /// For replicas that were removed from their group, or will be: the others may count on what
    /// it acknowledged. Take it out of the configuration first where that is possible.
    ///
    /// # Errors
    /// [`Error::BadPeer`] when the node here has another number. [`Error::Io`] and
    /// [`Error::TimedOut`] when it may not be gone as a whole: call again.
    pub fn destroy_node(&self, group: GroupId, peer: PeerId) -> Result<(), Error> {
        self.0.check()?;
        let _changing = self.0.change();
        let replica = self.0.replica(group);
        if let Some(replica) = replica.as_ref().filter(|replica| replica.peer != peer) {
            return Err(Error::BadPeer(format!("the node here is {}, not {peer}", replica.peer)));
        }
        self.0.destroyed.note(group, peer)?;
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
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(sync_parent(&snapshots)?),
        }
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}
