//! Frames between nodes over plain TCP: a connection and a thread for each other node and class,
//! which begins with the sender's id; each frame is behind its length. A connection that breaks is
//! made anew; what was queued on it is lost, and Raft repeats it.

use std::collections::BTreeMap;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use kontiki_host::{Class, NodeHost, SnapshotPipe};
use kontiki_types::StoreId;

/// Most frames that wait for one connection.
const FRAMES_MAX: usize = 4096;
/// Longest frame that is read.
const FRAME_BYTES_MAX: u32 = 64 * 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
/// Between two tries to connect.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct Transport {
    lanes: BTreeMap<(StoreId, Class), SyncSender<Bytes>>,
}

impl Transport {
    /// Connects to every node but this one, in the background.
    pub(super) fn start(own: StoreId, nodes: &[String]) -> anyhow::Result<Self> {
        let mut lanes = BTreeMap::new();
        for (id, address) in (1..).map(StoreId).zip(nodes).filter(|(id, _)| *id != own) {
            for class in [Class::Control, Class::Append] {
                let (sender, frames) = sync_channel(FRAMES_MAX);
                let address = address.clone();
                spawn("lane", move || keep_sending(own, &address, &frames))?;
                lanes.insert((id, class), sender);
            }
        }
        Ok(Self { lanes })
    }
}

impl kontiki_host::Transport for Transport {
    fn send(&self, to: StoreId, class: Class, frame: Bytes) -> bool {
        self.lanes.get(&(to, class)).is_some_and(|lane| lane.try_send(frame).is_ok())
    }

    fn open_snapshot(&self, _to: StoreId, _offer: Bytes) -> Result<Box<dyn SnapshotPipe>, String> {
        Err("a measurement sends no snapshots".to_owned())
    }
}

/// Takes frames of other nodes in, a thread for each connection.
pub(super) fn listen(address: &str, host: &NodeHost) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).context("listen for other nodes")?;
    let host = host.clone();
    spawn("accept", move || {
        for stream in listener.incoming().flatten() {
            let host = host.clone();
            // Without a thread the connection is dropped, and the other side tries again.
            let _ = spawn("receive", move || receive(stream, &host));
        }
    })
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
    Ok(())
}

/// Until the transport is dropped.
fn keep_sending(own: StoreId, address: &str, frames: &Receiver<Bytes>) {
    let mut first = None;
    loop {
        if let Ok(stream) = TcpStream::connect(address)
            && stream.set_nodelay(true).is_ok()
            && (&stream).write_all(&own.0.to_le_bytes()).is_ok()
        {
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, stream);
            while let Some(frame) = first.take().or_else(|| frames.recv().ok()) {
                if send(&mut out, frame, frames).is_err() {
                    break;
                }
            }
        }
        std::thread::sleep(RETRY_EVERY);
        // Old frames are of no use any more; the next one tells whether anybody still sends.
        while frames.try_recv().is_ok() {}
        first = match frames.recv() {
            Ok(frame) => Some(frame),
            Err(_) => return,
        };
    }
}

/// This frame and all that wait behind it, in as few writes as they fit in.
fn send(
    out: &mut BufWriter<TcpStream>,
    frame: Bytes,
    frames: &Receiver<Bytes>,
) -> std::io::Result<()> {
    let mut next = Some(frame);
    while let Some(frame) = next {
        let length = u32::try_from(frame.len()).expect("a frame is bounded by the host");
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&frame)?;
        next = frames.try_recv().ok();
    }
    out.flush()
}

/// Until the connection ends, or says something that is no frame.
fn receive(stream: TcpStream, host: &NodeHost) {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, stream);
    let (mut sender, mut length) = ([0; 8], [0; 4]);
    if input.read_exact(&mut sender).is_err() {
        return;
    }
    let sender = StoreId(u64::from_le_bytes(sender));
    while input.read_exact(&mut length).is_ok() {
        let length = u32::from_le_bytes(length);
        if length > FRAME_BYTES_MAX {
            return;
        }
        let mut frame = vec![0; length as usize];
        if input.read_exact(&mut frame).is_err() || host.receive(sender, frame.into()).is_err() {
            return;
        }
    }
}
