//! Keys that were changed while the server runs: whoever rotates them needs no restart.
//!
//! **Invariant:** keys that cannot be read leave those before in use.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::{error, info};

use super::ring::stamp;
use super::{Keys, Tokens};

/// How often it is looked whether keys were changed.
const GLANCE: Duration = Duration::from_millis(500);

/// The thread that looks after the keys; it ends when this is dropped.
#[derive(Debug)]
pub struct KeyWatch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tokens {
    /// Uses the keys in `directory` as they are changed.
    pub fn watch(&self, directory: &Path) -> io::Result<KeyWatch> {
        let (stop, stopped) = mpsc::channel();
        let mut watch =
            Watch { tokens: self.clone(), directory: directory.to_owned(), seen: None, trouble: None };
        let thread = thread::Builder::new().name("keys".to_owned()).spawn(move || {
            while stopped.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
                watch.look();
            }
        })?;
        Ok(KeyWatch { stop: Some(stop), thread: Some(thread) })
    }
}

struct Watch {
    tokens: Tokens,
    directory: PathBuf,
    /// The files as they were when they were read.
    seen: Option<Vec<(PathBuf, [i64; 3])>>,
    /// Why they cannot be read, as was logged.
    trouble: Option<String>,
}

impl Watch {
    fn look(&mut self) {
        // Before they are read, so that a change meanwhile is seen the next time.
        let Ok(found) = stamp(&self.directory) else { return };
        if self.seen.as_ref() == Some(&found) {
            return;
        }
        match Keys::open(&self.directory) {
            Ok(keys) => {
                let id = keys.current.id.clone();
                if self.tokens.renew(keys) {
                    info!("tokens are signed with the key {id} from now on");
                }
                (self.seen, self.trouble) = (Some(found), None);
            }
            // A fault may pass, and a key that was revoked must not stay in use for it.
            Err(fault) => {
                let trouble = Some(fault.to_string());
                if self.trouble != trouble {
                    error!("the signing keys before stay in use: {fault}");
                }
                self.trouble = trouble;
            }
        }
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It has nothing to say if it has panicked.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
