//! Files in pieces: lines are text and have to fit into memory.

use std::fs::File;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::error::Result;

/// Bytes of a file in one line; no padding but in the last.
const PIECE: usize = 192 << 10;

/// Hands over a file in pieces, each with its place; one piece at least.
pub(super) fn each_piece(mut file: File, mut take: impl FnMut(u64, String) -> Result<()>) -> Result<()> {
    let mut offset = 0;
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() && offset > 0 {
            return Ok(());
        }
        take(offset, STANDARD.encode(&piece))?;
        if piece.len() < PIECE {
            return Ok(());
        }
        offset += piece.len() as u64;
    }
}

/// The bytes of a piece.
pub(super) fn bytes_of(data: &str) -> std::result::Result<Vec<u8>, String> {
    STANDARD.decode(data).map_err(|error| format!("data is no base64: {error}"))
}

/// That a piece follows those that came before.
pub(super) fn check_follows(offset: u64, length: u64) -> std::result::Result<(), String> {
    if offset == length {
        Ok(())
    } else {
        Err(format!("the piece begins at byte {offset}, the one before ends at byte {length}"))
    }
}
