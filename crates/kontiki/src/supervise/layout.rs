//! Where the stores of a local cluster live: ids, addresses, directories, and the file that tells
//! others (`playground.json`). Checks ports before anything is started.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::exit::{Code, Failure};

/// Most stores of a local cluster.
pub(crate) const STORES_MAX: u16 = 9;
/// Ports are this plus the store's id, unless told otherwise.
pub(crate) const PORT_BASE: u16 = 7400;

/// One store's place.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Store id, from 1.
    pub(crate) id: u64,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// Its data directory.
    pub(crate) dir: PathBuf,
}

impl Site {
    /// Where its log goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log.txt")
    }
}

/// All places of one cluster, and the lock on its directory.
pub(crate) struct Layout {
    dir: PathBuf,
    sites: Vec<Site>,
    /// Held as long as the cluster: a second one on the same directory is refused.
    _lock: File,
}

/// `playground.json`.
#[derive(Serialize)]
struct State<'a> {
    endpoints: Vec<&'a str>,
    stores: Vec<StoreState<'a>>,
}

/// One store of `playground.json`; a store that is down has no process.
#[derive(Serialize)]
struct StoreState<'a> {
    id: u64,
    pid: Option<u32>,
    addr: &'a str,
    dir: &'a Path,
}

impl Layout {
    /// Lays out `stores` stores under `dir`, on ports `port_base + id`; base 0 takes free ports.
    pub(crate) fn new(dir: &Path, stores: u16, port_base: u16) -> Result<Self, Failure> {
        if !(1..=STORES_MAX).contains(&stores) {
            return Err(Failure::usage(format!("--stores is {stores}: give 1 to {STORES_MAX}")));
        }
        let cannot = |what: &str| format!("cannot {what} {}", dir.display());
        std::fs::create_dir_all(dir).map_err(|error| {
            Failure::machine(cannot("make"), error).hint("name another --data-dir")
        })?;
        let dir = dir.canonicalize().map_err(|error| Failure::machine(cannot("find"), error))?;
        let lock = lock(&dir)?;
        check_store_count(&dir, stores)?;
        let ports = if port_base == 0 { free_ports(stores)? } else { ports(port_base, stores)? };
        let sites = (1..).zip(ports).map(|(id, port)| Site {
            id,
            address: format!("127.0.0.1:{port}"),
            dir: dir.join(format!("store-{id}")),
        });
        Ok(Self { sites: sites.collect(), dir, _lock: lock })
    }

    /// The directory of everything.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every store's place, in order of id.
    pub(crate) fn sites(&self) -> impl Iterator<Item = Site> + '_ {
        self.sites.iter().cloned()
    }

    /// Every store's address, in order of id.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.sites.iter().map(|site| site.address.clone()).collect()
    }

    /// The value of `--initial-cluster`.
    pub(super) fn initial_cluster(&self) -> String {
        let items: Vec<String> =
            self.sites.iter().map(|site| format!("{}={}", site.id, site.address)).collect();
        items.join(",")
    }

    /// Writes `playground.json`, whole or not at all.
    pub(super) fn write_state(
        &self,
        pids: impl Iterator<Item = (u64, u32)>,
    ) -> Result<PathBuf, Failure> {
        let pids: Vec<(u64, u32)> = pids.collect();
        let pid = |id| pids.iter().find(|(store, _)| *store == id).map(|&(_, pid)| pid);
        let state = State {
            endpoints: self.sites.iter().map(|site| site.address.as_str()).collect(),
            stores: self
                .sites
                .iter()
                .map(|s| StoreState { id: s.id, pid: pid(s.id), addr: &s.address, dir: &s.dir })
                .collect(),
        };
        let path = self.dir.join("playground.json");
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            serde_json::to_writer_pretty(&mut file, &state)?;
            file.write_all(b"\n")?;
            file.persist(&path)?;
            Ok(())
        };
        write()
            .map_err(|error| Failure::machine(format!("cannot write {}", path.display()), error))?;
        Ok(path)
    }
}

fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join("playground.lock");
    let file = File::create(&path)
        .map_err(|error| Failure::machine(format!("cannot write {}", path.display()), error))?;
    file.try_lock().map_err(|_| {
        Failure::new(Code::Machine, format!("another playground runs in {}", dir.display()))
            .hint("stop it, or name another --data-dir")
    })?;
    Ok(file)
}

/// A directory that was used with another number of stores cannot be reused: who belongs to a
/// cluster is decided when it is made.
fn check_store_count(dir: &Path, stores: u16) -> Result<(), Failure> {
    let present = (1..=STORES_MAX).filter(|id| dir.join(format!("store-{id}")).is_dir()).count();
    if present == 0 || present == usize::from(stores) {
        return Ok(());
    }
    let message = format!("{} holds a cluster of {present} stores", dir.display());
    Err(Failure::new(Code::Machine, message)
        .hint(format!("give --stores {present}, or name another --data-dir")))
}

fn ports(base: u16, stores: u16) -> Result<Vec<u16>, Failure> {
    let last = base.checked_add(stores).ok_or_else(|| {
        Failure::usage(format!("--port-base {base} leaves no room for {stores} ports below 65536"))
    })?;
    for port in base + 1..=last {
        if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            let message = match error.kind() {
                ErrorKind::AddrInUse => format!("port {port} is in use"),
                _ => format!("cannot listen on port {port}: {error}"),
            };
            let hint = "stop what listens there (another playground?), or give another \
                        --port-base; --port-base 0 takes free ports";
            return Err(Failure::new(Code::Machine, message).hint(hint));
        }
    }
    Ok((base + 1..=last).collect())
}

/// Free ports below those that the kernel gives to outgoing connections: a store that is down must
/// find its port free when it comes back, and a connection attempt to it from the very same port
/// would connect to itself.
fn free_ports(stores: u16) -> Result<Vec<u16>, Failure> {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    // Begin anywhere, so that clusters that start at the same time seldom try the same ports.
    let random = RandomState::new().build_hasher().finish();
    let offset = usize::try_from(random % u64::from(COUNT)).expect("less than a u16");
    let candidates = (FIRST..FIRST + COUNT).cycle().skip(offset).take(usize::from(COUNT));
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = candidates.filter(free).take(usize::from(stores)).collect();
    if ports.len() < usize::from(stores) {
        return Err(Failure::new(Code::Machine, "no free ports").hint("give --port-base"));
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_flag() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let failure = Layout::new(dir.path(), 1, port - 1).err().unwrap();
        assert_eq!(failure.code, Code::Machine);
        assert_eq!(failure.message, format!("port {port} is in use"));
        assert!(failure.hint.unwrap().contains("--port-base"));
    }

    #[test]
    fn one_directory_holds_one_cluster_of_one_size() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path(), 3, 0).unwrap();
        let second = Layout::new(dir.path(), 3, 0).err().unwrap();
        assert!(second.message.contains("another playground runs"), "{}", second.message);
        for site in layout.sites() {
            std::fs::create_dir(&site.dir).unwrap();
        }
        drop(layout);
        let other = Layout::new(dir.path(), 5, 0).err().unwrap();
        assert!(other.hint.unwrap().contains("--stores 3"));
        assert!(Layout::new(dir.path(), 3, 0).is_ok());
    }

    #[test]
    fn the_state_file_names_endpoints_and_processes() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path(), 2, 0).unwrap();
        let path = layout.write_state([(1, 41)].into_iter()).unwrap();
        let text = std::fs::read(&path).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(state["endpoints"][1], layout.endpoints()[1]);
        assert_eq!(state["stores"][0]["pid"], 41);
        assert_eq!(state["stores"][1]["pid"], serde_json::Value::Null);
        assert!(state["stores"][1]["dir"].as_str().unwrap().ends_with("store-2"));
    }
}
