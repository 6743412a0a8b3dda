//! The tracepoints of cgroups' lives (4.11 and later): `root=4 id=71 level=2 path=/a/b`.
//!
//! Since 5.5 the `id` is the directory's inode number (`cgroup_id`). Before, it is a small number of its own
//! (`cgroup->id`), given out again after the end: it is translated by looking at the directory when it is made, or, for
//! one that was there before, by what the last walk found at its path. One that is gone before it could be looked at gets a
//! number above all inode numbers.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;

use super::{
    directories::Lookup,
    line::{TraceRecord, field, number, signed},
};
use crate::event::{Cgroup, Fact, MkdirFailure, Path, Task};

/// Ids from here on stand for directories whose inode number is not known.
pub(super) const NAMELESS: u64 = 1 << 63;

/// As much of a path as the kernel puts there (`TRACE_CGROUP_PATH_LEN`, with the NUL): longer ones lose their end.
const PATH_MAX: usize = 1024;

/// What a line told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineMeaning {
    /// A fact.
    Fact(Fact),
    /// Of another hierarchy, or the end of a mkdir that failed.
    Nothing,
    /// It cannot be understood.
    Unknown,
}

/// What the lines are read with.
#[derive(Debug)]
pub(super) struct Tracepoints {
    hierarchy: u32,
    ids: Option<TraceIds>,
    /// The trace's ids of cgroups that were seen being made or removed.
    known: HashSet<u64>,
    /// Names of cgroups that could not be made, and when: a probe saw that.
    failed: VecDeque<(u64, Bytes)>,
}

/// How long after a mkdir failed the kernel may still let go of what it had made: an RCU grace period and a worker's time.
const ROLLED_BACK_NS: u64 = 10_000_000_000;

/// The trace's ids, where they are not inode numbers.
#[derive(Debug, Default)]
struct TraceIds {
    inodes: HashMap<u64, u64>,
    /// The inode number at a path, and the last walk that saw it or that it was made after.
    paths: HashMap<Vec<u8>, (u64, u32)>,
    walk: u32,
    nameless: u64,
}

impl Tracepoints {
    /// For the hierarchy with this id. `id_bytes` is the size of an id: 8 if it is the inode number.
    pub(super) fn new(hierarchy: u32, id_bytes: Option<u32>) -> Self {
        Self {
            hierarchy,
            ids: (id_bytes != Some(8)).then(TraceIds::default),
            known: HashSet::new(),
            failed: VecDeque::new(),
        }
    }

    /// A mkdir failed. Rolled back, it ends with a release, and that is nobody's end.
    pub(super) fn failed(&mut self, time_ns: u64, failure: &MkdirFailure) {
        self.forget(time_ns);
        let path = failure.path.as_ref();
        if let Some(name) = path.and_then(|path| path.bytes.rsplit(|byte| *byte == b'/').next()) {
            let name = Bytes::copy_from_slice(name);
            self.failed.push_back((time_ns, name));
        }
    }

    fn forget(&mut self, now_ns: u64) {
        let from = now_ns.saturating_sub(ROLLED_BACK_NS);
        while self.failed.front().is_some_and(|(at, _)| *at < from) {
            self.failed.pop_front();
        }
    }

    /// Whether a release is that of a failed mkdir: nobody saw a cgroup of this id, and one of this name just failed.
    fn is_rolled_back(&mut self, id: u64, path: &[u8], time_ns: u64) -> bool {
        self.forget(time_ns);
        if self.known.remove(&id) {
            return false;
        }
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let found = self.failed.iter().position(|(_, failed)| failed == name);
        found.is_some_and(|at| self.failed.remove(at).is_some())
    }

    /// What a line of `cgroup_mkdir`, `cgroup_rmdir`, `cgroup_release` or `cgroup_rename` tells. `task` is who ran: a
    /// release runs in a kernel worker, and a worker is nobody.
    pub(super) fn take(
        &mut self,
        record: &TraceRecord<'_>,
        time_ns: u64,
        task: impl FnOnce() -> Option<Task>,
        look: &mut impl Lookup,
    ) -> LineMeaning {
        let text = record.text;
        let known = || {
            let root = signed(text, "root")?;
            let (id, _) = number(field(text, "id")?)?;
            Some((root, id, field(text, "path")?))
        };
        let Some((root, id, path)) = known() else {
            return LineMeaning::Unknown;
        };
        if i64::from(root) != i64::from(self.hierarchy) {
            return LineMeaning::Nothing;
        }
        let whole = path.len() < PATH_MAX - 1;
        let mut cgroup = Cgroup {
            id: Some(id),
            path: whole.then(|| Path::whole(Bytes::copy_from_slice(path))),
            ..Cgroup::default()
        };
        match record.event {
            b"cgroup_mkdir" => {
                self.known.insert(id);
                cgroup.task = task();
                cgroup.memory = whole.then(|| look.has_memcg(path)).flatten();
                if let Some(ids) = &mut self.ids {
                    cgroup.id = Some(ids.made(id, path, look));
                }
                LineMeaning::Fact(Fact::Created(cgroup))
            }
            b"cgroup_rmdir" => {
                self.known.insert(id);
                cgroup.task = task();
                if let Some(ids) = &mut self.ids {
                    cgroup.id = Some(ids.removed(id, path));
                }
                LineMeaning::Fact(Fact::Offlined(cgroup))
            }
            b"cgroup_release" => {
                if self.is_rolled_back(id, path, time_ns) {
                    return LineMeaning::Nothing;
                }
                if let Some(ids) = &mut self.ids {
                    cgroup.id = Some(ids.released(id));
                }
                LineMeaning::Fact(Fact::Freed(cgroup))
            }
            b"cgroup_rename" => {
                cgroup.task = task();
                if let Some(ids) = &mut self.ids {
                    cgroup.id = Some(ids.renamed(id, path, look));
                }
                LineMeaning::Fact(Fact::Renamed(cgroup))
            }
            _ => LineMeaning::Unknown,
        }
    }

    /// A walk came by this directory, the root first.
    pub(super) fn present(&mut self, id: u64, path: &[u8]) {
        let Some(ids) = &mut self.ids else {
            return;
        };
        if path == b"/" {
            // What is gone since the last walk may still be to come in the trace; what was gone then is not.
            let walk = ids.walk;
            ids.paths.retain(|_, (_, seen)| *seen >= walk);
            ids.walk += 1;
        }
        let seen = (id, ids.walk);
        ids.paths.insert(path.to_owned(), seen);
    }
}

impl TraceIds {
    fn nameless(&mut self) -> u64 {
        self.nameless += 1;
        NAMELESS + self.nameless
    }

    fn made(&mut self, id: u64, path: &[u8], look: &mut impl Lookup) -> u64 {
        let inode = match look.inode(path) {
            Some(inode) => {
                self.paths.insert(path.to_owned(), (inode, self.walk));
                inode
            }
            None => self.nameless(),
        };
        self.inodes.insert(id, inode);
        inode
    }

    fn removed(&mut self, id: u64, path: &[u8]) -> u64 {
        let found = self.paths.get(path).map(|(inode, _)| *inode);
        let inode = match self.inodes.get(&id).copied().or(found) {
            Some(inode) => inode,
            None => self.nameless(),
        };
        if found == Some(inode) {
            self.paths.remove(path);
        }
        self.inodes.insert(id, inode);
        inode
    }

    /// A directory that was removed before the start has no path any more: what is there now is another.
    fn released(&mut self, id: u64) -> u64 {
        match self.inodes.remove(&id) {
            Some(inode) => inode,
            None => self.nameless(),
        }
    }

    fn renamed(&mut self, id: u64, path: &[u8], look: &mut impl Lookup) -> u64 {
        match self.inodes.get(&id) {
            Some(inode) => *inode,
            None => self.made(id, path, look),
        }
    }
}

#[cfg(test)]
mod tests;
