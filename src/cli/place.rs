//! Where a path leads: what is taken out of a data directory is to outlive it.

use std::io;
use std::path::{Path, PathBuf};

use super::Problem;

/// Refuses a place in the data directory for what is made of it.
pub(super) fn check_outside(data: &Path, place: &Path, what: &str) -> Result<(), Problem> {
    if real(place)?.starts_with(real(data)?) {
        return Err(Problem::new(format!(
            "{} is in the data directory, which a {what} is to outlive: name a place elsewhere",
            place.display()
        )));
    }
    Ok(())
}

/// Where a path leads, whether all of it is there or not.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    Ok(there.map_or_else(|| path.clone(), |(part, real)| real.join(path.strip_prefix(part).unwrap_or(&path))))
}
