//! Compression on a thread of its own: it takes as long as all the rest.

use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Bytes that are handed over in one go.
const PIECE: usize = 256 << 10;
/// Pieces that wait at most.
const AHEAD: usize = 4;

/// Packs what is written, and writes that to `W`.
pub(super) struct Packer<W> {
    piece: Vec<u8>,
    sender: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Packer<W> {
    pub(super) fn new(to: W) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(AHEAD);
        let thread = thread::Builder::new().name("export-pack".to_owned()).spawn(|| pack(to, receiver))?;
        Ok(Self { piece: Vec::with_capacity(PIECE), sender: Some(sender), thread: Some(thread) })
    }

    /// Ends the file; gives back what it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.hand_over()?;
        self.join()
    }
}

impl<W> Packer<W> {
    fn hand_over(&mut self) -> io::Result<()> {
        let piece = mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        // A good moment for others who wait for a processor.
        thread::yield_now();
        match self.sender.as_ref().map(|sender| sender.send(piece)) {
            Some(Ok(())) => Ok(()),
            // The thread has ended before its time, and knows why.
            _ => self.join().map(drop),
        }
    }

    fn join(&mut self) -> io::Result<W> {
        self.sender = None;
        let ended = self.thread.take().map(JoinHandle::join);
        ended
            .and_then(Result::ok)
            .unwrap_or_else(|| Err(io::Error::other("the file is not being written any more")))
    }
}

fn pack<W: Write>(to: W, pieces: Receiver<Vec<u8>>) -> io::Result<W> {
    let mut encoder = GzEncoder::new(to, Compression::fast());
    for piece in pieces {
        encoder.write_all(&piece)?;
    }
    encoder.finish()
}

impl<W> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if PIECE <= self.piece.len() {
            self.hand_over()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W> Drop for Packer<W> {
    /// Nobody writes any more when this is gone.
    fn drop(&mut self) {
        if self.thread.is_some() {
            drop(self.join());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    /// Takes so many bytes and fails then.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_packed_is_unpacked_the_same() {
        for length in [0, 1, PIECE - 1, PIECE, 5 * PIECE + 7] {
            let content: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut packer = Packer::new(Vec::new()).unwrap();
            content.chunks(1000).for_each(|piece| packer.write_all(piece).unwrap());
            let mut unpacked = Vec::new();
            GzDecoder::new(&packer.finish().unwrap()[..]).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == content);
        }
    }

    #[test]
    fn a_disk_that_is_full_is_told_of_by_its_own_name() {
        let mut packer = Packer::new(Full(1000)).unwrap();
        let mut noise = 1_u64;
        let mut write = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            packer.write_all(&noise.to_le_bytes())
        };
        let error = (0..4 * PIECE).find_map(|_| write().err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(packer.finish().is_err());
        assert_eq!(Packer::new(Full(5)).unwrap().finish().err().unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
