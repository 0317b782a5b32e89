//! Where tests find public collections of test cases.

use std::path::{Path, PathBuf};

/// A public collection of test cases beside the repository; they are not part of it.
///
/// `None`, with a word on the terminal, where there is none. `INTAKE_SHARED` says where else.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("INTAKE_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join("corpora").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: there is no {}; set INTAKE_SHARED", path.display());
    None
}
