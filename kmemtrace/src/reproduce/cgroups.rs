//! What a reproduction makes, and that it is removed however it ends.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    charge::Charges,
    workload::{leaf, together},
};
use crate::host::{self, Acts, Root};

/// How long the kernel may take to free objects after their last use.
const SETTLE: Duration = Duration::from_millis(300);

/// How long a cgroup may refuse to be removed.
const REMOVE_WITHIN: Duration = Duration::from_secs(5);

/// What there is to be cleared away.
pub(crate) struct Cgroups<'a> {
    pub(crate) root: &'a Root,
    pub(crate) acts: &'a dyn Acts,
    pub(crate) charges: &'a mut dyn Charges,
    /// The cgroup that all are in.
    pub(crate) base: PathBuf,
    /// The directory of the files.
    pub(crate) files: PathBuf,
    /// How many cgroups.
    pub(crate) count: u64,
    /// Nothing is known to be left in slab caches.
    pub(crate) clean: bool,
}

impl Cgroups<'_> {
    /// Removes the cgroups: how many the kernel did not let go, and the first reason.
    pub(crate) fn remove_cgroups(&mut self) -> Option<(u64, String)> {
        let until = self.acts.now() + REMOVE_WITHIN;
        let mut refused: Option<(u64, String)> = None;
        for number in 0..self.count {
            if let Err(error) = self.remove(&leaf(&self.base, number), until) {
                let (count, _) = refused.get_or_insert_with(|| (0, error.to_string()));
                *count += 1;
            }
        }
        if refused.is_none() {
            self.count = 0;
        }
        let all = together(&self.base);
        if self.root.path(&all).exists() {
            // Objects are given back once RCU has freed them.
            self.acts.pause(SETTLE);
            let _ = self.remove(&all, until);
        }
        refused
    }

    /// A process that has just left a cgroup makes rmdir fail for a moment.
    fn remove(&self, cgroup: &Path, until: Instant) -> io::Result<()> {
        loop {
            match self.acts.remove_directory(cgroup) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if self.acts.now() >= until => {
                    tracing::warn!("cannot remove {}: {error}", cgroup.display());
                    return Err(error);
                }
                Err(_) => self.acts.pause(Duration::from_millis(5)),
            }
        }
    }

    pub(crate) fn remove_files(&mut self) {
        self.charges.remove_files(&self.root.path(&self.files));
    }

    /// Writes 1 to the `shrink` file of each slab cache that is named after one of these cgroups; how many there were.
    pub(crate) fn shrink(&self) -> u64 {
        let prefix = prefix(&self.base);
        let memcgs = host::slab_memcgs(self.root);
        let own = memcgs
            .with_cache()
            .filter(|(_, memcg)| memcg.leaf.starts_with(&prefix));
        let mut written = 0;
        for cache in own.flat_map(|(_, memcg)| &memcg.caches) {
            let file = host::slab_cache(cache).join("shrink");
            written += u64::from(self.acts.write(&file, "1").is_ok());
        }
        written
    }
}

/// With what the names of these cgroups begin.
pub(crate) fn prefix(base: &Path) -> Vec<u8> {
    let name = base.file_name().unwrap_or_default();
    [name.as_encoded_bytes(), b"-"].concat()
}

impl Drop for Cgroups<'_> {
    fn drop(&mut self) {
        self.charges.close();
        self.remove_cgroups();
        self.remove_files();
        if !self.clean {
            self.shrink();
        }
        let _ = self.remove(&self.base, self.acts.now() + REMOVE_WITHIN);
    }
}
