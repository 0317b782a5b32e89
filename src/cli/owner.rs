//! Root's commands on a data directory of somebody else: what they make there has to be his, or his server would not
//! get at it.
//!
//! The process does its work as the owner and keeps root's rights, as the directory may lie where he alone gets
//! nowhere, and a backup or a dump may go where he may not write. Only the effective ids change: nobody but root can
//! signal or trace it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitySets, capabilities, set_capabilities, set_thread_res_gid, set_thread_res_uid,
};

/// From now on whatever this thread makes, and those that it starts, belongs to the owner of a directory. To be called
/// before there are others. Does nothing unless root has started it, or where root may not do that.
pub(super) fn work_for_owner_of(directory: &Path) {
    let Ok(about) = directory.metadata() else { return };
    if geteuid().is_root()
        && about.uid() != 0
        && let Err(error) = become_owner(about.uid(), about.gid())
    {
        tracing::debug!("what is made in {} will be root's: {error}", directory.display());
    }
}

fn become_owner(user: u32, group: u32) -> io::Result<()> {
    let held = capabilities(None)?;
    set_thread_res_gid(None, Gid::from_raw(group), None)?;
    set_thread_res_uid(None, Uid::from_raw(user), None)?;
    // The system has taken these away with the name.
    let rights = CapabilitySets { effective: held.effective, ..capabilities(None)? };
    Ok(set_capabilities(None, rights)?)
}
