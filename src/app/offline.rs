//! Data directories that nobody serves: backed up, restored, dumped, loaded, examined. The store is opened for as
//! long as that takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::options;
use crate::config::Settings;
use crate::import::is_packed;
use crate::store::{self, Counts, Diagnosis, Finding, LoadError, Manifest, Store, StoreError, Written};
use crate::tokens::Keys;

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

/// Makes a backup of the settings' data directory, which nobody may have open, in a directory that is empty or
/// not there.
pub fn back_up(settings: &Settings, to: &Path) -> Result<Manifest, StoreError> {
    let store = Store::open(options::store(settings))?;
    store.back_up_to(to, SystemTime::now().into()).map_err(|error| error.at(to))
}

/// Whether there is a store in a directory, which is then one that this program may open.
pub fn has_data(directory: &Path) -> Result<bool, StoreError> {
    store::check_format(directory)?;
    Ok(store::is_made(directory))
}

/// Moves a backup to a directory that is empty or not there, maybe on another disk. The first one may stay behind.
pub fn move_backup(settings: &Settings, from: &Path, to: &Path) -> Result<(), StoreError> {
    let min_free = options::store(settings).min_free_disk;
    store::move_backup(from, to, min_free).map_err(|error| error.at(to))
}

/// Makes a backup the settings' data directory, which has to be empty or not there; and opens it, to see that it
/// can be.
pub fn restore(settings: &Settings, from: &Path) -> Result<Manifest, StoreError> {
    let options = options::store(settings);
    store::restore(from, &options).map_err(|error| error.at(&options.path))
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
    let mut diagnosis = Store::examine(&within(settings, directory))?;
    // The store does not know what signs; without that no server starts on it.
    if store::is_made(directory)
        && let Err(fault) = Keys::open(directory)
    {
        diagnosis.findings.push(Finding {
            name: "signing-key-unusable",
            what: fault.to_string(),
            advice: "put it back from a backup, or make a new one (intake rotate-key --now): then nothing is good that \
                     was signed before",
        });
    }
    Ok(diagnosis)
}

fn within(settings: &Settings, directory: &Path) -> store::Options {
    store::Options { path: directory.to_owned(), ..options::store(settings) }
}
