//! Failed rows, in pages: a key for each would cost five times the memory, one large value for all
//! would leave the log.

use super::block::{compress, decompress};
use super::database::Change;
use super::error::{Result, StoreError};
use super::keys::{FAILURES, trailing_u64};
use crate::domain::{FailedRow, Ticket};

/// A page takes no further row beyond this many bytes; a row alone may be larger.
const PAGE_BYTES: usize = 64 << 10;

/// Adds pages with these rows, which are in file order, to `change`.
pub(super) fn put<'a>(
    change: &mut Change,
    ticket: Ticket,
    rows: impl Iterator<Item = &'a FailedRow>,
) -> Result<()> {
    let mut page = Vec::new();
    let mut first = 0;
    for row in rows {
        let bytes = postcard::to_allocvec(row)
            .map_err(|error| StoreError::Corrupt(format!("a failed row does not encode: {error}")))?;
        if !page.is_empty() && page.len() + bytes.len() > PAGE_BYTES {
            put_page(change, ticket, first, &page)?;
            page.clear();
        }
        if page.is_empty() {
            first = row.index;
        }
        page.extend(bytes);
    }
    if !page.is_empty() {
        put_page(change, ticket, first, &page)?;
    }
    Ok(())
}

fn put_page(change: &mut Change, ticket: Ticket, first: u64, page: &[u8]) -> Result<()> {
    FAILURES.put_bytes(change, &[&ticket.to_be_bytes(), &first.to_be_bytes()], compress(page)?);
    Ok(())
}

/// The rows from `row` on of the page that it would be in, if any are left there, and where the next page starts.
pub(super) fn page(tree: &sled::Tree, ticket: Ticket, row: u64) -> Result<(Vec<FailedRow>, Option<u64>)> {
    let key = |row: u64| FAILURES.key(&[&ticket.to_be_bytes(), &row.to_be_bytes()]);
    let begun = tree.range(key(0)..=key(row)).next_back().transpose()?;
    let start = begun.map_or_else(|| key(row), |(begun, _)| begun.to_vec());
    let mut pages = tree.range(start..=key(u64::MAX));
    let Some((_, value)) = pages.next().transpose()? else {
        return Ok((Vec::new(), None));
    };
    let next = pages.next().transpose()?.map(|(key, _)| trailing_u64(&key)).transpose()?;
    let mut rows = decode(&decompress(&value)?)?;
    rows.retain(|failed| row <= failed.index);
    Ok((rows, next))
}

/// The rows of a page.
pub(super) fn decode(mut page: &[u8]) -> Result<Vec<FailedRow>> {
    let mut rows = Vec::new();
    while !page.is_empty() {
        let (row, rest) = postcard::take_from_bytes(page)
            .map_err(|error| StoreError::Corrupt(format!("a failed row does not decode: {error}")))?;
        rows.push(row);
        page = rest;
    }
    Ok(rows)
}
