//! Looks at the hierarchy's directories, for what the trace does not say.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::host::{Hierarchy, Version};

/// How long what a directory hands on to its children is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// What the events are completed with.
pub(super) trait Lookup {
    /// The inode number of the directory that is at this path now.
    fn inode(&mut self, path: &[u8]) -> Option<u64>;

    /// Whether cgroups made in the directory of this one get a memcg; `None` if that cannot be told.
    fn has_memcg(&mut self, path: &[u8]) -> Option<bool>;
}

/// The directories of the memory hierarchy on this machine.
#[derive(Debug)]
pub(super) struct Directories {
    mount: PathBuf,
    version: Version,
    /// v2: whether the children of a directory get a memcg.
    gives: HashMap<Vec<u8>, bool>,
    since: Instant,
}

impl Directories {
    pub(super) fn new(hierarchy: &Hierarchy) -> Self {
        Self {
            mount: hierarchy.mount.clone(),
            version: hierarchy.version,
            gives: HashMap::new(),
            since: Instant::now(),
        }
    }

    /// Forgets what directories hand on.
    pub(super) fn forget(&mut self) {
        self.gives.clear();
        self.since = Instant::now();
    }

    fn at(&self, path: &[u8]) -> PathBuf {
        let inside = path.strip_prefix(b"/").unwrap_or(path);
        self.mount.join(OsStr::from_bytes(inside))
    }
}

impl Lookup for Directories {
    fn inode(&mut self, path: &[u8]) -> Option<u64> {
        let status = fs::symlink_metadata(self.at(path)).ok()?;
        Some(status.ino())
    }

    fn has_memcg(&mut self, path: &[u8]) -> Option<bool> {
        if self.version == Version::V1 {
            return Some(true);
        }
        if self.since.elapsed() > BELIEVED {
            self.forget();
        }
        let end = path.iter().rposition(|byte| *byte == b'/')?;
        let parent = &path[..end];
        if let Some(gives) = self.gives.get(parent) {
            return Some(*gives);
        }
        let list = fs::read(self.at(parent).join("cgroup.subtree_control")).ok()?;
        let gives = list
            .split(u8::is_ascii_whitespace)
            .any(|name| name == b"memory");
        self.gives.insert(parent.to_owned(), gives);
        Some(gives)
    }
}
