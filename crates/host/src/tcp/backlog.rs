//! Frames that wait for room in a socket, oldest first, bounded in bytes.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Write};

use bytes::Bytes;

use super::link;

/// Most bytes that wait on a lane; beyond it frames are dropped and the store counts as away.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most frames given to the socket by one call.
const GATHER_MAX: usize = 16;
/// Bytes of the length before each frame.
const HEAD_BYTES: usize = 4;

/// See the module.
#[derive(Default)]
pub(super) struct Backlog {
    frames: VecDeque<Bytes>,
    /// Bytes of all frames, lengths not counted.
    bytes: usize,
    /// Bytes of the first frame, length included, that the socket has taken.
    sent: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Queue a frame; false when there is no room.
    pub(super) fn push(&mut self, frame: Bytes) -> bool {
        if self.bytes + frame.len() > BYTES_MAX && !self.frames.is_empty() {
            return false;
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        true
    }

    /// Give the socket what it takes without waiting.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn write_to(&mut self, mut socket: impl Write) -> std::io::Result<()> {
        while !self.frames.is_empty() {
            match self.write_once(&mut socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_once(&self, socket: &mut impl Write) -> std::io::Result<usize> {
        let mut heads = [[0; HEAD_BYTES]; GATHER_MAX];
        for (head, frame) in heads.iter_mut().zip(&self.frames) {
            *head = link::length(frame).to_le_bytes();
        }
        let mut slices = [IoSlice::new(&[]); 2 * GATHER_MAX];
        let mut count = 0;
        for (head, frame) in heads.iter().zip(&self.frames) {
            slices[count] = IoSlice::new(head);
            slices[count + 1] = IoSlice::new(frame);
            count += 2;
        }
        let mut rest = &mut slices[..count];
        IoSlice::advance_slices(&mut rest, self.sent);
        socket.write_vectored(rest)
    }

    fn advance(&mut self, written: usize) {
        self.sent += written;
        while let Some(first) = self.frames.front()
            && self.sent >= HEAD_BYTES + first.len()
        {
            self.sent -= HEAD_BYTES + first.len();
            self.bytes -= first.len();
            self.frames.pop_front();
        }
        assert!(self.sent == 0 || !self.frames.is_empty(), "{} bytes sent of nothing", self.sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time, and now and then none.
    struct Stingy {
        taken: Vec<u8>,
        calls: usize,
    }

    impl Write for Stingy {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.calls % 5 + 1);
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn frames_arrive_whole_and_in_order_however_little_the_socket_takes() {
        let frames: Vec<Bytes> = (0..40u8).map(|n| vec![n; usize::from(n)].into()).collect();
        let mut expected = Vec::new();
        let mut backlog = Backlog::default();
        for frame in &frames {
            link::send(&mut expected, frame).unwrap();
            assert!(backlog.push(frame.clone()));
        }
        let mut socket = Stingy { taken: Vec::new(), calls: 0 };
        for _ in 0..10_000 {
            backlog.write_to(&mut socket).unwrap();
        }
        assert!(backlog.is_empty());
        assert_eq!((backlog.bytes, backlog.sent), (0, 0));
        assert_eq!(socket.taken, expected);
    }

    #[test]
    fn a_full_backlog_takes_no_more() {
        let mut backlog = Backlog::default();
        let frame = Bytes::from(vec![0; BYTES_MAX / 2]);
        assert!(backlog.push(frame.clone()));
        assert!(backlog.push(frame.clone()));
        assert!(!backlog.push(frame));
    }
}
