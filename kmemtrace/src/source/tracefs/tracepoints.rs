//! The tracepoints of cgroups' lives (4.11 and later): `root=4 id=71 level=2 path=/a/b`.
//!
//! Since 5.5 the `id` is the directory's inode number (`cgroup_id`). Before, it is a small number of its own
//! (`cgroup->id`), given out again after the end: it is translated by looking at the directory when it is made, or, for
//! one that was there before, by what the last walk found at its path. One that is gone before it could be looked at gets a
//! number above all inode numbers.

use std::collections::HashMap;

use bytes::Bytes;

use super::{
    directories::Look,
    line::{Record, field, number, signed},
};
use crate::{
    event::{Cgroup, Fact, Path, Task},
    host::Directory,
};

/// Ids from here on stand for directories whose inode number is not known.
pub(super) const NAMELESS: u64 = 1 << 63;

/// As much of a path as the kernel puts there (`TRACE_CGROUP_PATH_LEN`, with the NUL): longer ones lose their end.
const PATH_MAX: usize = 1024;

/// What a line told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A fact.
    Fact(Fact),
    /// Of another hierarchy.
    Nothing,
    /// It cannot be understood.
    Unknown,
}

/// What the lines are read with.
#[derive(Debug)]
pub(super) struct Tracepoints {
    hierarchy: u32,
    ids: Option<Ids>,
}

/// The trace's ids, where they are not inode numbers.
#[derive(Debug, Default)]
struct Ids {
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
            ids: (id_bytes != Some(8)).then(Ids::default),
        }
    }

    /// What a line of `cgroup_mkdir`, `cgroup_rmdir`, `cgroup_release` or `cgroup_rename` tells. `task` is who ran: a
    /// release runs in a kernel worker, and a worker is nobody.
    pub(super) fn take(
        &mut self,
        record: &Record<'_>,
        task: impl FnOnce() -> Option<Task>,
        look: &mut impl Look,
    ) -> Told {
        let text = record.text;
        let known = || {
            let root = signed(text, "root")?;
            let (id, _) = number(field(text, "id")?)?;
            Some((root, id, field(text, "path")?))
        };
        let Some((root, id, path)) = known() else {
            return Told::Unknown;
        };
        if i64::from(root) != i64::from(self.hierarchy) {
            return Told::Nothing;
        }
        let whole = path.len() < PATH_MAX - 1;
        let mut cgroup = Cgroup {
            id,
            path: whole.then(|| Path::whole(Bytes::copy_from_slice(path))),
            ..Cgroup::default()
        };
        match record.event {
            b"cgroup_mkdir" => {
                cgroup.task = task();
                cgroup.memory = whole.then(|| look.has_memcg(path)).flatten();
                if let Some(ids) = &mut self.ids {
                    cgroup.id = ids.made(id, path, look);
                }
                Told::Fact(Fact::Created(cgroup))
            }
            b"cgroup_rmdir" => {
                cgroup.task = task();
                if let Some(ids) = &mut self.ids {
                    cgroup.id = ids.removed(id, path);
                }
                Told::Fact(Fact::Offlined(cgroup))
            }
            b"cgroup_release" => {
                if let Some(ids) = &mut self.ids {
                    cgroup.id = ids.released(id);
                }
                Told::Fact(Fact::Freed(cgroup))
            }
            b"cgroup_rename" => {
                cgroup.task = task();
                if let Some(ids) = &mut self.ids {
                    cgroup.id = ids.renamed(id, path, look);
                }
                Told::Fact(Fact::Renamed(cgroup))
            }
            _ => Told::Unknown,
        }
    }

    /// A walk came by this directory, the root first.
    pub(super) fn present(&mut self, directory: &Directory<'_>) {
        let Some(ids) = &mut self.ids else {
            return;
        };
        if directory.path == b"/" {
            // What is gone since the last walk may still be to come in the trace; what was gone then is not.
            let walk = ids.walk;
            ids.paths.retain(|_, (_, seen)| *seen >= walk);
            ids.walk += 1;
        }
        let seen = (directory.id, ids.walk);
        ids.paths.insert(directory.path.to_owned(), seen);
    }
}

impl Ids {
    fn nameless(&mut self) -> u64 {
        self.nameless += 1;
        NAMELESS + self.nameless
    }

    fn made(&mut self, id: u64, path: &[u8], look: &mut impl Look) -> u64 {
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

    fn renamed(&mut self, id: u64, path: &[u8], look: &mut impl Look) -> u64 {
        match self.inodes.get(&id) {
            Some(inode) => *inode,
            None => self.made(id, path, look),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tracefs::line::{Line, line};

    /// Directories by path.
    #[derive(Default)]
    struct There(HashMap<Vec<u8>, u64>);

    impl Look for There {
        fn inode(&mut self, path: &[u8]) -> Option<u64> {
            self.0.get(path).copied()
        }

        fn has_memcg(&mut self, _: &[u8]) -> Option<bool> {
            Some(true)
        }
    }

    fn fact(tracepoints: &mut Tracepoints, look: &mut There, event: &str) -> Told {
        let text = format!("           runc-105   [001] d...     8.541807: cgroup_{event}");
        let Line::Event(record) = line(text.as_bytes()) else {
            panic!("{text}");
        };
        let task = || Some(record.thread.unwrap().task(7));
        tracepoints.take(&record, task, look)
    }

    fn id(told: &Told) -> u64 {
        match told {
            Told::Fact(
                Fact::Created(c) | Fact::Offlined(c) | Fact::Freed(c) | Fact::Renamed(c),
            ) => c.id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_id_of_eight_bytes_is_the_inode_number() {
        let mut t = Tracepoints::new(4, Some(8));
        let look = &mut There::default();
        let Told::Fact(Fact::Created(cgroup)) =
            fact(&mut t, look, "mkdir: root=4 id=7251531 level=1 path=/a b")
        else {
            panic!("not created");
        };
        assert_eq!((cgroup.id, cgroup.memory), (7_251_531, Some(true)));
        assert_eq!(cgroup.path, Some(Path::whole(&b"/a b"[..])));
        assert_eq!(cgroup.task.unwrap().comm(), b"runc");
        let Told::Fact(Fact::Freed(cgroup)) =
            fact(&mut t, look, "release: root=4 id=7251531 level=1 path=/a b")
        else {
            panic!("not freed");
        };
        assert_eq!((cgroup.id, cgroup.task), (7_251_531, None));
        assert_eq!(
            fact(&mut t, look, "rmdir: root=1 id=7 level=1 path=/a"),
            Told::Nothing
        );
        assert_eq!(fact(&mut t, look, "rmdir: root=4 level=1"), Told::Unknown);
        assert_eq!(
            fact(&mut t, look, "other: root=4 id=7 level=1 path=/a"),
            Told::Unknown
        );
    }

    #[test]
    fn a_path_that_was_cut_is_not_believed() {
        let mut t = Tracepoints::new(4, Some(8));
        let path = format!("/{}", "x".repeat(1022));
        let told = fact(
            &mut t,
            &mut There::default(),
            &format!("mkdir: root=4 id=7 level=1 path={path}"),
        );
        let Told::Fact(Fact::Created(cgroup)) = told else {
            panic!("not created");
        };
        assert_eq!(cgroup.path, None);
    }

    #[test]
    fn a_small_id_is_translated() {
        let mut t = Tracepoints::new(4, Some(4));
        let look = &mut There(HashMap::from([(b"/a".to_vec(), 900)]));
        assert_eq!(
            id(&fact(&mut t, look, "mkdir: root=4 id=3 level=1 path=/a")),
            900
        );
        assert_eq!(
            id(&fact(&mut t, look, "rmdir: root=4 id=3 level=1 path=/a")),
            900
        );
        // The id and the path are given out again while it lives on.
        look.0.insert(b"/a".to_vec(), 901);
        assert_eq!(
            id(&fact(&mut t, look, "mkdir: root=4 id=5 level=1 path=/a")),
            901
        );
        assert_eq!(
            id(&fact(&mut t, look, "release: root=4 id=3 level=1 path=/a")),
            900
        );
        look.0.insert(b"/b".to_vec(), 902);
        assert_eq!(
            id(&fact(&mut t, look, "mkdir: root=4 id=3 level=1 path=/b")),
            902
        );
        // Gone before it could be looked at.
        let gone = id(&fact(&mut t, look, "mkdir: root=4 id=6 level=1 path=/gone"));
        assert!(gone > NAMELESS);
        assert_eq!(
            id(&fact(
                &mut t,
                look,
                "release: root=4 id=6 level=1 path=/gone"
            )),
            gone
        );
    }

    #[test]
    fn one_that_a_walk_found_is_known_by_its_path() {
        let mut t = Tracepoints::new(4, Some(4));
        let look = &mut There::default();
        let walk = |t: &mut Tracepoints, all: &[(&str, u64)]| {
            for (path, id) in all {
                t.present(&Directory {
                    id: *id,
                    parent_id: None,
                    path: path.as_bytes(),
                    memory: true,
                });
            }
        };
        walk(&mut t, &[("/", 1), ("/old", 2), ("/older", 3)]);
        // It went before this walk, and its line comes after it.
        walk(&mut t, &[("/", 1), ("/older", 3)]);
        assert_eq!(
            id(&fact(&mut t, look, "rmdir: root=4 id=8 level=1 path=/old")),
            2
        );
        assert_eq!(
            id(&fact(
                &mut t,
                look,
                "release: root=4 id=8 level=1 path=/old"
            )),
            2
        );
        // Not for ever.
        walk(&mut t, &[("/", 1)]);
        walk(&mut t, &[("/", 1)]);
        assert!(
            id(&fact(
                &mut t,
                look,
                "rmdir: root=4 id=9 level=1 path=/older"
            )) > NAMELESS
        );
        // A zombie from before.
        assert!(id(&fact(&mut t, look, "release: root=4 id=10 level=1 path=/x")) > NAMELESS);
    }
}
