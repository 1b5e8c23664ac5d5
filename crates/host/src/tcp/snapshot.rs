//! One snapshot on its way to another store, on a connection of its own.
//!
//! Driven by the host's snapshot thread, which may block. After the hello: the offer, the chunks,
//! an empty piece that says that this was all (a connection that merely ends has broken off); then
//! the receiver answers with nothing, or with what went wrong.

use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::hello::{self, Hello};

use super::link;
use crate::transport::SnapshotPipe;

/// How long a chunk may wait for room; the receiver writes it to its disk.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the receiver may take to make everything durable.
const FINISH_TIMEOUT: Duration = Duration::from_mins(2);

/// See the module.
pub(super) struct Pipe {
    socket: TcpStream,
}

impl Pipe {
    pub(super) fn open(address: &str, hello: &Hello, offer: &Bytes) -> Result<Self, String> {
        let socket = link::call(address, hello)?;
        socket.set_write_timeout(Some(CHUNK_TIMEOUT)).map_err(|error| error.to_string())?;
        let mut pipe = Self { socket };
        pipe.send(offer)?;
        Ok(pipe)
    }

    fn send(&mut self, piece: &[u8]) -> Result<(), String> {
        link::send(&mut self.socket, piece).map_err(|error| match self.refusal() {
            // The receiver gave up early, and said why.
            Ok(reason) if !reason.is_empty() => reason,
            Ok(_) | Err(_) => error.to_string(),
        })
    }

    fn refusal(&mut self) -> Result<String, String> {
        let piece = link::receive(&mut self.socket, hello::REFUSAL_BYTES_MAX);
        piece.map(|text| String::from_utf8_lossy(&text).into_owned()).map_err(|e| e.to_string())
    }
}

impl SnapshotPipe for Pipe {
    fn push(&mut self, chunk: Bytes) -> Result<(), String> {
        assert!(!chunk.is_empty(), "an empty chunk would end the snapshot");
        self.send(&chunk)
    }

    fn finish(mut self: Box<Self>) -> Result<(), String> {
        self.send(&[])?;
        self.socket.set_read_timeout(Some(FINISH_TIMEOUT)).map_err(|error| error.to_string())?;
        let reason = self.refusal()?;
        if reason.is_empty() { Ok(()) } else { Err(reason) }
    }
}
