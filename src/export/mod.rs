//! Exports: users written to files that somebody asked for.
//!
//! | file | does |
//! |---|---|
//! | `sheet` | writes users, to anything that takes bytes |
//! | `pack` | compresses them on the way |
//! | `fields` | finds in a user what was asked for |
//! | `work` | the thread that works on exports, one after the other |
//!
//! What is to be done, and what became of it, is a [`Task`](crate::domain::Task) in the store; the file
//! appears there as a whole, or not at all. Deliberately absent: HTTP, links, and how long files are kept.
//!
//! **Invariants**
//! - An export that is cut short begins anew; nothing of the first attempt is left.
//! - A panic, a full disk and an export that keeps killing the process end that export, not the others.
//! - Memory is bounded: a block of users, a row, and the bit that [`Store::roll_call`] keeps for each user.

mod fields;
mod pack;
mod sheet;
mod work;

pub use sheet::Sheet;
pub use work::Exports;

#[cfg(doc)]
use crate::store::Store;
