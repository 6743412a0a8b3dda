//! What removed memory cgroups hold, by kind: what a directory's `memory.stat` has beyond its children's.

use std::collections::BTreeMap;

use super::{Fact, Hierarchy, Root, Unread, Version};
use crate::host::{self, Directory};

/// Of more directories than this it takes too long.
const DIRECTORIES: usize = 20_000;

/// What removed memory cgroups hold, at least: what is held below the root itself is not seen, as the root is charged for
/// what has no cgroup as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// All of it.
    pub sum: Kinds,
    /// Where: parents after children.
    pub below: Vec<Below>,
    /// Directories with tasks of their own and children: what is held below them cannot be told.
    pub blind: u64,
}

/// Bytes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Page cache of files, without tmpfs.
    pub file: u64,
    /// tmpfs and shared memory.
    pub shmem: u64,
    /// Anonymous memory.
    pub anon: u64,
    /// Slab objects (v2 alone tells).
    pub slab: u64,
    /// Buffers of sockets (v2 alone tells).
    pub sock: u64,
}

/// What is held directly below one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Below {
    /// From the hierarchy's root.
    pub path: Vec<u8>,
    /// How much.
    pub held: Kinds,
    /// Whether tasks are below it, in live cgroups.
    pub busy: bool,
}

impl From<[u64; 5]> for Kinds {
    fn from([file, shmem, anon, slab, sock]: [u64; 5]) -> Self {
        Self {
            file,
            shmem,
            anon,
            slab,
            sock,
        }
    }
}

impl Kinds {
    /// What a directory's `memory.stat` says of it and all below it; `None` if it says nothing of the kind.
    pub fn of(stat: &[u8], version: Version) -> Option<Self> {
        Stat::parse(stat, version).map(|stat| Self::from(stat.0))
    }

    /// All kinds together.
    pub fn total(self) -> u64 {
        let all = [self.file, self.shmem, self.anon, self.slab, self.sock];
        all.into_iter().fold(0, u64::saturating_add)
    }
}

/// The kinds, as `memory.stat` calls them.
#[derive(Clone, Copy, Debug, Default)]
struct Stat([u64; 5]);

const V1: [&str; 5] = ["total_cache", "total_shmem", "total_rss", "", ""];
const V2: [&str; 5] = ["file", "shmem", "anon", "slab", "sock"];

impl Stat {
    fn parse(text: &[u8], version: Version) -> Option<Self> {
        let keys = match version {
            Version::V1 => V1,
            Version::V2 => V2,
        };
        let mut stat = Self::default();
        let text = String::from_utf8_lossy(text);
        let mut any = false;
        for line in text.lines() {
            let Some((key, value)) = line.split_once(' ') else {
                continue;
            };
            if let Some(at) = keys.iter().position(|one| *one == key) {
                stat.0[at] = value.trim().parse().ok()?;
                any = true;
            }
        }
        // File cache and tmpfs overlap in both.
        stat.0[0] = stat.0[0].saturating_sub(stat.0[1]);
        any.then_some(stat)
    }
}

struct Node {
    own: Stat,
    children: Stat,
    tasks: bool,
    busy: bool,
    parent: bool,
}

/// Reads it.
///
/// # Errors
///
/// The hierarchy cannot be walked, has too many directories, or none but the root.
pub fn read(root: &Root, at: &Hierarchy) -> Fact<Held> {
    let mount = at.mount.display().to_string();
    let mut nodes: BTreeMap<Vec<u8>, Node> = BTreeMap::new();
    let mut too_many = false;
    let walked = host::walk(root, at, &mut |directory| {
        if nodes.len() == DIRECTORIES {
            too_many = true;
        } else if directory.memory
            && directory.path != b"/"
            && let Some(node) = node(&directory, at.version)
        {
            nodes.insert(directory.path.to_vec(), node);
        }
    });
    walked.map_err(|error| Unread::new(mount.clone(), &error))?;
    if too_many {
        return Err(Unread::new(
            mount,
            &format!("more than {DIRECTORIES} directories"),
        ));
    }
    if nodes.is_empty() {
        return Err(Unread::new(
            mount,
            "no directory with a memory.stat but the root",
        ));
    }
    Ok(held(nodes))
}

fn node(directory: &Directory<'_>, version: Version) -> Option<Node> {
    let own = Stat::parse(&directory.read("memory.stat", 1 << 20).ok()?, version)?;
    let tasks = directory.read("cgroup.procs", 16 << 20);
    let tasks = tasks.map_or(true, |tasks| !tasks.is_empty());
    Some(Node {
        own,
        children: Stat::default(),
        tasks,
        busy: tasks,
        parent: false,
    })
}

fn held(mut nodes: BTreeMap<Vec<u8>, Node>) -> Held {
    let mut held = Held::default();
    let mut sum = [0u64; 5];
    // Children come after their parents: each is done before the parent is looked at.
    while let Some((path, node)) = nodes.pop_last() {
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        if let Some(parent) = nodes.get_mut(&path[..end]) {
            for (sum, own) in parent.children.0.iter_mut().zip(node.own.0) {
                *sum = sum.saturating_add(own);
            }
            parent.busy |= node.busy;
            parent.parent = true;
        }
        if node.tasks {
            held.blind += u64::from(node.parent);
            continue;
        }
        let mut beyond = [0; 5];
        for (at, beyond) in beyond.iter_mut().enumerate() {
            let own = node.own.0[at];
            // Usage changes while it is read: with tasks below, a little is not believed.
            let noise = if node.busy { (1 << 20).max(own / 8) } else { 0 };
            *beyond = own.saturating_sub(node.children.0[at]);
            if *beyond <= noise {
                *beyond = 0;
            }
            sum[at] = sum[at].saturating_add(*beyond);
        }
        if beyond != [0; 5] {
            held.below.push(Below {
                path,
                held: Kinds::from(beyond),
                busy: node.busy,
            });
        }
    }
    held.sum = Kinds::from(sum);
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(own: [u64; 5], tasks: bool) -> Node {
        Node {
            own: Stat(own),
            children: Stat::default(),
            tasks,
            busy: tasks,
            parent: false,
        }
    }

    #[test]
    fn what_a_directory_has_beyond_its_children_is_held() {
        let nodes = BTreeMap::from([
            (b"/pods".to_vec(), node([9000, 500, 0, 0, 0], false)),
            (b"/pods/a".to_vec(), node([5000, 100, 0, 0, 0], false)),
            (b"/pods/a/c".to_vec(), node([0; 5], false)),
            (b"/pods-2".to_vec(), node([1 << 30, 0, 0, 0, 0], true)),
        ]);
        let told = held(nodes);
        // /pods/a has no tasks and a child without memory: all that it has is held below it.
        assert_eq!(
            (told.sum.file, told.sum.shmem, told.below.len(), told.blind),
            (9000, 500, 2, 0)
        );
    }

    #[test]
    fn with_tasks_below_a_little_is_not_believed() {
        let nodes = BTreeMap::from([
            (b"/pods".to_vec(), node([5 << 20, 1000, 0, 0, 0], false)),
            (b"/pods/a".to_vec(), node([1 << 20, 0, 0, 0, 0], true)),
        ]);
        let told = held(nodes);
        assert_eq!((told.sum.file, told.sum.shmem), (4 << 20, 0));
    }

    #[test]
    fn kinds_of_both_versions_are_read() {
        let v1 = b"cache 1\nrss 1\ntotal_cache 300\ntotal_rss 7\ntotal_shmem 100\n";
        assert_eq!(
            Stat::parse(v1, Version::V1).map(|stat| stat.0),
            Some([200, 100, 7, 0, 0])
        );
        let v2 = b"anon 7\nfile 300\nkernel 9\nsock 3\nshmem 100\nslab 8\n";
        assert_eq!(
            Stat::parse(v2, Version::V2).map(|stat| stat.0),
            Some([200, 100, 7, 8, 3])
        );
        assert!(Stat::parse(b"file x\n", Version::V2).is_none());
        assert!(Stat::parse(b"", Version::V2).is_none());
    }
}
