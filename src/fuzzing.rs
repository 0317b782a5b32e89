//! What must hold whatever the bytes: the bodies of the fuzz targets, and what they begin with.
//!
//! A body takes bytes and panics if something is wrong. The same bodies run under cargo-fuzz (`tests/fuzz`,
//! see `docs/fuzzing.md`) for as long as one likes, and in the tests over the seeds, over inputs that were found
//! to be hard, and over some thousand changes of them.
//!
//! Deliberately absent from the program: this is compiled for tests and for fuzzing only.

mod seeds;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::{fs, io};

use crate::domain;
use crate::http;
use crate::import;
use crate::search;
use crate::store;

/// Something that takes bytes of strangers.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of its folders and its program.
    pub name: &'static str,
    body: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target { name: "file_reader", body: import::fuzzing::file_reader, seeds: seeds::files },
    Target { name: "row_rules", body: import::fuzzing::row_rules, seeds: seeds::rows },
    Target { name: "multipart_form", body: http::fuzzing::multipart_form, seeds: seeds::forms },
    Target { name: "search_query", body: search::fuzzing::search_query, seeds: seeds::queries },
    Target { name: "log_query", body: http::fuzzing::log_query, seeds: seeds::log_queries },
    Target { name: "domain_names", body: domain::fuzzing::domain_names, seeds: seeds::names },
    Target { name: "store_codec", body: store::fuzzing::store_codec, seeds: store::fuzzing::seeds },
];

impl Target {
    /// The target of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn named(name: &str) -> &'static Self {
        const ALL: &[Target] = &TARGETS;
        ALL.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name}"))
    }

    /// Runs it; panics if something is wrong.
    pub fn run(&self, bytes: &[u8]) {
        (self.body)(bytes);
    }

    /// What it begins with.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }

    /// Writes its seeds into the folder that `INTAKE_SEEDS` names, if it names one.
    pub fn write_seeds(&self) -> io::Result<()> {
        let Some(folder) = std::env::var_os("INTAKE_SEEDS") else { return Ok(()) };
        fs::create_dir_all(&folder)?;
        for (number, seed) in self.seeds().iter().enumerate() {
            fs::write(Path::new(&folder).join(format!("seed-{number:05}")), seed)?;
        }
        Ok(())
    }
}
