//! Files that come packed: what begins like gzip is unpacked as it arrives.

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder as PackedFile;
use flate2::write::MultiGzDecoder;
use thiserror::Error;

use crate::domain::FileFault;

/// What a gzip file begins with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Packed bytes that are unpacked in one go: they become a thousand times as many at most.
const PIECE: usize = 4 << 10;

/// Whether a file that begins so is packed.
pub fn is_packed(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

/// Unpacks a whole file.
pub fn unpack(packed: impl Read, to: &mut impl Write) -> io::Result<u64> {
    io::copy(&mut PackedFile::new(packed), to)
}

/// Passes a file on, unpacked if it came packed.
#[derive(Debug)]
pub struct Unpacker<W> {
    to: W,
    /// Bytes that a packed file may still become.
    left: u64,
    form: Form,
}

/// Why a file is not passed on.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// It would become larger than it may.
    #[error("the unpacked file is too large")]
    TooLarge,
    /// What it is passed on to fails.
    #[error(transparent)]
    Write(#[from] io::Error),
}

#[derive(Debug)]
enum Form {
    /// So much of the first bytes has been seen.
    Undecided(Vec<u8>),
    Plain,
    /// Packed; what is unpacked is taken from the decoder at once.
    Packed(Box<MultiGzDecoder<Vec<u8>>>),
    /// Packed, but damaged.
    Damaged,
}

impl<W: Write> Unpacker<W> {
    /// Passes files on to `to`, packed ones up to this many bytes.
    pub fn new(to: W, most_unpacked: u64) -> Self {
        Self { to, left: most_unpacked, form: Form::Undecided(Vec::new()) }
    }

    /// Takes the next bytes; those of a damaged file are ignored.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        match &mut self.form {
            Form::Damaged => Ok(()),
            Form::Plain => Ok(self.to.write_all(bytes)?),
            Form::Packed(_) => bytes.chunks(PIECE).try_for_each(|piece| self.unpack(piece)),
            Form::Undecided(head) => {
                head.extend_from_slice(bytes);
                if head.len() < MAGIC.len() {
                    return Ok(());
                }
                let head = std::mem::take(head);
                self.form = if is_packed(&head) {
                    Form::Packed(Box::new(MultiGzDecoder::new(Vec::new())))
                } else {
                    Form::Plain
                };
                self.push(&head)
            }
        }
    }

    fn unpack(&mut self, piece: &[u8]) -> Result<(), UnpackError> {
        let Form::Packed(decoder) = &mut self.form else {
            return Ok(());
        };
        let is_good = decoder.write_all(piece).and_then(|()| decoder.flush()).is_ok();
        let unpacked = std::mem::take(decoder.get_mut());
        if !is_good {
            self.form = Form::Damaged;
        }
        self.pass_on(&unpacked)
    }

    fn pass_on(&mut self, unpacked: &[u8]) -> Result<(), UnpackError> {
        self.left = self.left.checked_sub(unpacked.len() as u64).ok_or(UnpackError::TooLarge)?;
        Ok(self.to.write_all(unpacked)?)
    }

    /// Ends the file; gives back what it was passed on to, and what is wrong with it if it is damaged.
    pub fn finish(mut self) -> Result<(W, Option<FileFault>), UnpackError> {
        match std::mem::replace(&mut self.form, Form::Plain) {
            Form::Plain => Ok((self.to, None)),
            Form::Undecided(head) => {
                self.to.write_all(&head)?;
                Ok((self.to, None))
            }
            Form::Packed(mut decoder) => {
                let is_whole = decoder.try_finish().is_ok();
                self.pass_on(&std::mem::take(decoder.get_mut()))?;
                Ok((self.to, (!is_whole).then(damaged)))
            }
            Form::Damaged => Ok((self.to, Some(damaged()))),
        }
    }
}

fn damaged() -> FileFault {
    FileFault {
        what: "the file is a damaged gzip file".to_owned(),
        line: 1,
        column: 1,
        byte: 0,
        hint: Some("pack it again, or upload it as it is".to_owned()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn pack(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// What comes out, and whether it is damaged.
    fn passed(bytes: &[u8], most: u64, step: usize) -> Result<(Vec<u8>, bool), UnpackError> {
        let mut unpacker = Unpacker::new(Vec::new(), most);
        bytes.chunks(step).try_for_each(|piece| unpacker.push(piece))?;
        unpacker.finish().map(|(out, fault)| (out, fault.is_some()))
    }

    #[test]
    fn a_packed_file_may_become_so_large_and_no_larger() {
        let packed = pack(&vec![b' '; 10_000_000]);
        assert_eq!(passed(&packed, 10_000_000, 1000).unwrap().0.len(), 10_000_000);
        assert!(matches!(passed(&packed, 9_999_999, 1000), Err(UnpackError::TooLarge)));
        assert!(passed(b"[1,2,3]", 0, 3).is_ok(), "the limit is for packed files");
    }

    #[test]
    fn a_damaged_file_is_told_from_a_good_one() {
        let packed = pack(b"[1,2,3]");
        for cut in 2..packed.len() {
            assert!(passed(&packed[..cut], 99, 5).unwrap().1, "cut after {cut}");
        }
        let mut wrong = packed.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert!(passed(&wrong, 99, 99).unwrap().1);
        assert!(passed(&[&packed[..], b"x"].concat(), 99, 99).unwrap().1);
        assert_eq!(passed(&packed[..1], 99, 1).unwrap(), (vec![0x1f], false));
        assert_eq!(passed(b"", 99, 1).unwrap(), (vec![], false));
    }

    proptest! {
        #[test]
        fn what_comes_out_is_what_was_packed(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..4),
            step in 1_usize..3000,
        ) {
            let packed: Vec<u8> = parts.iter().flat_map(|part| pack(part)).collect();
            prop_assert_eq!(passed(&packed, 1 << 20, step).unwrap(), (parts.concat(), false));
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..99) {
            let packed = [&[0x1f, 0x8b, 8, 0][..], &bytes].concat();
            drop(passed(&packed, 1 << 20, step));
        }
    }
}
