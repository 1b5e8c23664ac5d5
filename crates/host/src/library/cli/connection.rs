//! One connection to one store, asked one question after the other.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::admin::{self, Reply, Request};
use kontiki_types::ClusterId;

use crate::library::error::Error;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Least time for an answer: a socket takes none at all for a mistake.
const ANSWER_TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Ask one question, on a connection of its own.
pub(in crate::library) fn tell(
    address: &str,
    cluster: ClusterId,
    request: &Request,
    timeout: Duration,
) -> Result<Reply, Error> {
    let failed = |error: std::io::Error| Error::Network(format!("{address}: {error}"));
    let mut places = address.to_socket_addrs().map_err(failed)?;
    let place = places.next().ok_or_else(|| Error::Network(format!("{address} is nowhere")))?;
    let mut socket = TcpStream::connect_timeout(&place, CONNECT_TIMEOUT).map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    socket.set_read_timeout(Some(timeout.max(ANSWER_TIMEOUT_MIN))).map_err(failed)?;
    let mut first = admin::MAGIC.to_vec();
    first.extend_from_slice(&cluster.0.to_le_bytes());
    socket.write_all(&first).map_err(failed)?;
    write(&mut socket, &admin::request_to_bytes(request)).map_err(failed)?;
    let reply = read(&mut socket).map_err(failed)?;
    admin::reply_from_bytes(reply).map_err(|error| Error::Network(format!("{address}: {error}")))
}

pub(super) fn write(to: &mut impl Write, piece: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(piece.len()).map_err(std::io::Error::other)?;
    let mut out = Vec::with_capacity(4 + piece.len());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(piece);
    to.write_all(&out)
}

pub(super) fn read(from: &mut impl Read) -> std::io::Result<Bytes> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > admin::BYTES_MAX {
        return Err(std::io::Error::other(format!("{length} bytes announced, too many")));
    }
    let mut piece = vec![0; length];
    from.read_exact(&mut piece)?;
    Ok(Bytes::from(piece))
}
