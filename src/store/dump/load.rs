//! Loading a dump: a data directory is made of it and looked at as a start does, before anybody else may open it.

use std::io::BufRead;

use super::super::directory::KeyHasher;
use super::super::loss::OnLoss;
use super::super::open::in_directory;
use super::super::site::DataSite;
use super::super::{Options, Store};
use super::lines::Reader;
use super::loader::Loader;
use super::{Counts, LoadError};

impl Store {
    /// Makes a data directory of a dump; tells how many lines there were of each kind. The directory must be missing or
    /// empty, or half made. If anything is wrong with the dump, nothing is made at all.
    pub fn load(options: &Options, from: &mut dyn BufRead) -> std::result::Result<Counts, LoadError> {
        let site = DataSite::take(&options.path)?;
        let (reader, header) = Reader::begin(from)?;
        let mut loader = Loader::new(options).map_err(|error| in_directory(error, &options.path))?;
        let counts = reader.each(|kind, body| loader.take(kind, body))?;
        loader.finish(header.commit)?;
        // As a start does: what was loaded can be opened, and no two users share a key.
        let store =
            Self::open_locked(options.clone(), KeyHasher::new(u64::MAX), OnLoss::Refuse, site.lock())?;
        site.keep()?;
        drop(store);
        Ok(counts)
    }
}
