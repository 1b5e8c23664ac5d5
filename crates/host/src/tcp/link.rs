//! A connection while it is greeted, and the pieces that travel on it: a length, then the bytes.
//!
//! Used by lanes and snapshots (which call) and by the acceptor (which is called). Blocking; the
//! time-outs are set here.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use kontiki_codec::hello::{self, Hello};
use rustix::net::sockopt;

use super::{CONNECT_TIMEOUT, GREETING_TIMEOUT, SILENCE_MAX, resolve};

/// How long a connection may be idle before the kernel asks whether the other side is still there,
/// how often it asks again, and how many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(1), 3);

/// Connect, and be welcomed. On success nothing more will be read from the socket by a lane.
pub(super) fn call(address: &str, hello: &Hello) -> Result<TcpStream, String> {
    let mut socket = TcpStream::connect_timeout(&resolve(address)?, CONNECT_TIMEOUT)
        .map_err(|error| error.to_string())?;
    greet(&mut socket, hello).map_err(|error| error.to_string())?;
    let refusal = receive(&mut socket, hello::REFUSAL_BYTES_MAX).map_err(|e| e.to_string())?;
    if refusal.is_empty() {
        return Ok(socket);
    }
    Err(String::from_utf8_lossy(&refusal).into_owned())
}

fn greet(socket: &mut TcpStream, hello: &Hello) -> io::Result<()> {
    prepare(socket)?;
    let silence = u32::try_from(SILENCE_MAX.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(&*socket, silence)?;
    socket.write_all(&hello::MAGIC)?;
    send(socket, &hello::to_bytes(hello))
}

/// What both ends of a connection want: no delay, time-outs for the greeting, an end when the other
/// machine is gone.
pub(super) fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(GREETING_TIMEOUT))?;
    socket.set_write_timeout(Some(GREETING_TIMEOUT))?;
    let (idle, interval, count) = KEEPALIVE;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, idle)?;
    sockopt::set_tcp_keepintvl(socket, interval)?;
    Ok(sockopt::set_tcp_keepcnt(socket, count)?)
}

/// Write one piece.
pub(super) fn send(to: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    let head = length(piece).to_le_bytes();
    // One call for both parts: with nodelay, two would be two packets.
    let parts = [IoSlice::new(&head), IoSlice::new(piece)];
    let written = to.write_vectored(&parts)?;
    to.write_all(head.get(written..).unwrap_or_default())?;
    to.write_all(piece.get(written.saturating_sub(head.len())..).unwrap_or_default())
}

/// Read one piece of at most so many bytes.
pub(super) fn receive(from: &mut impl Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let length = u32::from_le_bytes(head) as usize;
    if length > bytes_max {
        let message = format!("{length} bytes announced, at most {bytes_max} are taken");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut piece = Vec::with_capacity(length);
    from.by_ref().take(length as u64).read_to_end(&mut piece)?;
    if piece.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(piece)
}

/// The length of a piece as it travels.
pub(super) fn length(piece: &[u8]) -> u32 {
    u32::try_from(piece.len()).expect("frames and chunks are far below 4 GiB")
}
