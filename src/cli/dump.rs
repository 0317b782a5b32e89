//! `intake dump`: all that is in the data directory, as text.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use serde_json::json;

use super::owner::work_for_owner_of;
use super::place::check_outside;
use super::said::{self, Stdout, notice};
use super::serve::start_quiet_log;
use super::still::Still;
use super::{Dump, Exit, Problem};
use crate::app::{self, Counts, Packing};
use crate::config::Settings;
use crate::files::{folder_of, part_of, remove, sync};

impl Dump {
    pub(super) fn run(self) -> Result<Exit, Problem> {
        let is_stdout = self.file == Path::new("-");
        if is_stdout && self.json {
            return Err(Problem::of_usage("--json needs a FILE: standard output is taken by the dump"));
        }
        let settings = self.config.load()?;
        start_quiet_log(&settings.log);
        if is_stdout {
            return to_stdout(&settings);
        }
        check_outside(&settings.storage.path, &self.file, "dump")?;
        let counts = to_file(&settings, &self.file)?;
        if self.json {
            said::result(json!({ "file": self.file, "counts": counts }))?;
        } else {
            said::result(format_args!("{}: {}", self.file.display(), in_words(&counts)))?;
        }
        Ok(Exit::Done)
    }
}

fn to_stdout(settings: &Settings) -> Result<Exit, Problem> {
    if io::stdout().is_terminal() {
        return Err(Problem::new(
            "a dump holds secrets and is no text to look at: name a FILE, or send it through a pipe",
        ));
    }
    work_for_owner_of(&settings.storage.path);
    let still = Still::to_open(settings)?;
    let counts = app::dump(settings, still.path(), Packing::Plain, &mut Stdout::lock())?;
    notice(format_args!("{}", in_words(&counts)));
    Ok(Exit::Done)
}

/// Writes a file that nobody else may read and that is there wholly or not at all.
fn to_file(settings: &Settings, path: &Path) -> Result<Counts, Problem> {
    if path.exists() {
        return Err(Problem::new(format!(
            "{} is there already: name another file, or remove it",
            path.display()
        )));
    }
    let folder = folder_of(path);
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let packing = if is_packed { Packing::Gzip } else { Packing::Plain };
    // Of mode 0600, and of whoever has asked for it.
    let part = part_of(path);
    // Of one that was cut short.
    remove(&part).map_err(unwritable(path))?;
    let mut named = tempfile::Builder::new();
    named.prefix(part.file_name().unwrap_or_default()).rand_bytes(0);
    let mut file = named.tempfile_in(folder).map_err(unwritable(path))?;
    work_for_owner_of(&settings.storage.path);
    let still = Still::to_open(settings)?;
    let mut to = Named { file: file.as_file_mut(), path };
    let counts = app::dump(settings, still.path(), packing, &mut to)?;
    file.as_file().sync_all().map_err(unwritable(path))?;
    file.persist_noclobber(path).map_err(|lost| unwritable(path)(lost.error))?;
    sync(folder).map_err(unwritable(path))?;
    Ok(counts)
}

/// A file that is named when it cannot be written.
struct Named<'a> {
    file: &'a mut File,
    path: &'a Path,
}

impl Write for Named<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(unwritable(self.path))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(unwritable(self.path))
    }
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{} cannot be written: {error}", path.display()))
}

/// What there is most of, for people.
pub(super) fn in_words(counts: &Counts) -> String {
    let of = |kind: &str| counts.get(kind).copied().unwrap_or_default();
    format!(
        "{} users, {} connections, {} jobs, {} failed rows, {} events, {} letters",
        of("user"),
        of("connection"),
        of("job"),
        of("failed_row"),
        of("event"),
        of("letter")
    )
}
