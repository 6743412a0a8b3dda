//! What is to be written where.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use serde::Serialize;

use super::Step;
use crate::{
    diagnose::facts::{self, Below},
    host::{self, Hierarchy, Root, SlabMemcg, Version},
};

/// A kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// Slab caches of zombies.
    Shrink,
    /// Page cache that zombies hold.
    Reclaim,
    /// The whole machine's caches.
    DropCaches,
}

/// The writes of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    /// Each a file on the machine and what goes into it.
    pub(super) writes: Vec<(PathBuf, String)>,
    /// Of so many zombies or cgroups.
    pub(super) targets: u64,
    pub(super) left_out: u64,
    /// What that frees at most.
    pub(super) bytes: Option<u64>,
}

impl Plan {
    pub(super) fn drop_caches() -> Self {
        Self {
            kind: Kind::DropCaches,
            writes: vec![("/proc/sys/vm/drop_caches".into(), "3".to_owned())],
            targets: 1,
            left_out: 0,
            bytes: None,
        }
    }

    /// The step before anything is done.
    pub(super) fn step(&self) -> Step {
        Step {
            kind: self.kind,
            writes: self.writes.len() as u64,
            targets: self.targets,
            bytes: self.bytes,
            left_out: Some(self.left_out).filter(|&left_out| left_out > 0),
            failed: None,
            reason: None,
            after: None,
        }
    }
}

/// The `shrink` files of memory cgroups that have no directory any more.
pub(super) fn shrink(zombies: &[(u32, SlabMemcg)], max: usize) -> Option<Plan> {
    let all = zombies.len();
    let mut writes = Vec::new();
    for (_, zombie) in zombies.iter().take(max) {
        for cache in &zombie.caches {
            let path = host::slab_cache(cache).join("shrink");
            writes.push((path, "1".to_owned()));
        }
    }
    (!writes.is_empty()).then_some(Plan {
        kind: Kind::Shrink,
        writes,
        targets: all.min(max) as u64,
        left_out: all.saturating_sub(max) as u64,
        bytes: None,
    })
}

/// Reads what zombies hold and by which file it can be reclaimed.
pub(super) fn reclaim(root: &Root, hierarchy: &Hierarchy, max: usize) -> Option<Plan> {
    // On 3.10 pages go to the parent at rmdir (`mem_cgroup_reparent_charges`): they pin nothing.
    if host::count_leaves_zombies_out(root) {
        return None;
    }
    let held = facts::held(root, hierarchy).ok()?;
    let has =
        |below: &Below, file: &str| root.path(place(hierarchy, &below.path)).join(file).exists();
    let writes = writes(hierarchy, &held.below, has);
    let all = writes.len();
    let (bytes, writes): (Vec<_>, Vec<_>) = writes.into_iter().take(max).unzip();
    (all > 0).then(|| Plan {
        kind: Kind::Reclaim,
        writes,
        targets: all.min(max) as u64,
        left_out: all.saturating_sub(max) as u64,
        bytes: Some(bytes.into_iter().fold(0, u64::saturating_add)),
    })
}

/// Through the directory above the zombies, with how much page cache they hold below it. `memory.force_empty` takes from all below it, so only where no task is.
fn writes(
    hierarchy: &Hierarchy,
    below: &[Below],
    has: impl Fn(&Below, &str) -> bool,
) -> Vec<(u64, (PathBuf, String))> {
    let holders = below.iter().filter(|below| below.held.file > 0);
    holders
        .filter_map(|below| {
            let (file, text) = match hierarchy.version {
                Version::V2 => ("memory.reclaim", below.held.file.to_string()),
                Version::V1 if below.busy => return None,
                Version::V1 => ("memory.force_empty", "0".to_owned()),
            };
            let path = place(hierarchy, &below.path).join(file);
            has(below, file).then_some((below.held.file, (path, text)))
        })
        .collect()
}

fn place(hierarchy: &Hierarchy, path: &[u8]) -> PathBuf {
    let inside = path.strip_prefix(b"/").unwrap_or(path);
    hierarchy.mount.join(OsStr::from_bytes(inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnose::facts::Kinds, host::SlabCache};

    fn below(path: &str, file: u64, busy: bool) -> Below {
        Below {
            path: path.as_bytes().to_vec(),
            held: Kinds {
                file,
                shmem: 9,
                ..Kinds::default()
            },
            busy,
        }
    }

    fn hierarchy(version: Version) -> Hierarchy {
        Hierarchy {
            version,
            id: 0,
            mount: "/cg".into(),
        }
    }

    #[test]
    fn caches_of_zombies_are_shrunk_and_no_more_than_allowed() {
        let zombie = |id: u32| {
            let caches =
                ["dentry", "inode_cache"].map(|name| SlabCache::at(format!("{name}({id}:c{id})")));
            let memcg = SlabMemcg {
                caches: caches.to_vec(),
                ..SlabMemcg::default()
            };
            (id, memcg)
        };
        let plan = shrink(&(0..5).map(zombie).collect::<Vec<_>>(), 3).unwrap();
        assert_eq!((plan.writes.len(), plan.targets, plan.left_out), (6, 3, 2));
        assert_eq!(
            plan.writes[1],
            (
                "/sys/kernel/slab/inode_cache(0:c0)/shrink".into(),
                "1".to_owned()
            )
        );
        assert_eq!(shrink(&[], 3), None);
    }

    #[test]
    fn live_cgroups_are_left_alone() {
        let all = [
            below("/a", 4096, false),
            below("/b", 8192, true),
            below("/c", 0, false),
        ];
        let v1 = writes(&hierarchy(Version::V1), &all, |_, _| true);
        assert_eq!(
            v1,
            [(4096, ("/cg/a/memory.force_empty".into(), "0".to_owned()))]
        );
        // memory.reclaim takes so many bytes, and cold ones first.
        let v2 = writes(&hierarchy(Version::V2), &all, |_, _| true);
        assert_eq!(
            v2,
            [
                (4096, ("/cg/a/memory.reclaim".into(), "4096".to_owned())),
                (8192, ("/cg/b/memory.reclaim".into(), "8192".to_owned()))
            ]
        );
        assert!(writes(&hierarchy(Version::V2), &all, |_, _| false).is_empty());
    }
}
