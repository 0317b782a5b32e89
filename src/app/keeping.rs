//! Data directories that nobody serves: dumped, loaded, examined.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::options;
use crate::config::Settings;
use crate::import::is_packed;
use crate::store::{self, Counts, Diagnosis, LoadError, Store, StoreError, Written};

/// Bytes that are read or written in one go.
const BUFFER: usize = 256 << 10;

/// How a dump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As text.
    Plain,
    /// As text, packed by gzip.
    Gzip,
}

/// Writes all that is in `directory` as a dump; tells how many lines there are of each kind.
pub fn dump(
    settings: &Settings,
    directory: &Path,
    packing: Packing,
    to: &mut dyn Write,
) -> Result<Counts, StoreError> {
    let written = Written { program: env!("CARGO_PKG_VERSION"), at: SystemTime::now().into() };
    let options = within(settings, directory);
    let mut to = std::io::BufWriter::with_capacity(BUFFER, to);
    let counts = match packing {
        Packing::Plain => Store::dump(&options, written, &mut to)?,
        Packing::Gzip => {
            let mut packed = GzEncoder::new(&mut to, Compression::fast());
            let counts = Store::dump(&options, written, &mut packed)?;
            packed.finish()?;
            counts
        }
    };
    to.flush()?;
    Ok(counts)
}

/// Makes the data directory of the settings of a dump, packed or not.
pub fn load(settings: &Settings, from: impl Read) -> Result<Counts, LoadError> {
    let options = options::store(settings);
    let mut from = BufReader::with_capacity(BUFFER, from);
    let loaded = if is_packed(from.fill_buf()?) {
        Store::load(&options, &mut BufReader::with_capacity(BUFFER, MultiGzDecoder::new(from)))
    } else {
        Store::load(&options, &mut from)
    };
    loaded.map_err(|error| match error {
        LoadError::Store(error) => error.at(&options.path).into(),
        other => other,
    })
}

/// Examines `directory`.
pub fn examine(settings: &Settings, directory: &Path) -> Result<Diagnosis, StoreError> {
    Store::examine(&within(settings, directory))
}

fn within(settings: &Settings, directory: &Path) -> store::Options {
    store::Options { path: directory.to_owned(), ..options::store(settings) }
}
