//! What is to be written where.

use std::path::PathBuf;

use serde::Serialize;

use super::{ReclaimStep, Why};
use crate::{
    census,
    diagnose::facts::{self, Below},
    error::Error,
    host::{self, Hierarchy, PageSize, Root, SlabMemcg, Version},
};

/// A kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepKind {
    /// Slab caches of zombies.
    Shrink,
    /// v2: memory below the cgroups with zombies, by `memory.reclaim`.
    Reclaim,
    /// v1: the same, by `memory.force_empty`.
    ForceEmpty,
    /// The whole machine's caches.
    DropCaches,
}

impl StepKind {
    /// By which memory below a cgroup is reclaimed.
    pub(crate) const fn reclaims(version: Version) -> Self {
        match version {
            Version::V1 => Self::ForceEmpty,
            Version::V2 => Self::Reclaim,
        }
    }
}

/// A file on the machine and what goes into it.
type Write = (PathBuf, String);

/// The writes of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) kind: StepKind,
    /// In this order.
    pub(crate) writes: Vec<Write>,
    /// Of so many zombies or cgroups.
    pub(crate) targets: u64,
    pub(crate) left_out: u64,
    /// What that frees at most.
    pub(crate) bytes: Option<u64>,
}

impl Plan {
    /// What such a step would write now, or why nothing.
    pub(crate) fn of(
        kind: StepKind,
        root: &Root,
        hierarchy: &Hierarchy,
        max: usize,
    ) -> Result<Result<Self, Why>, Error> {
        Ok(match kind {
            StepKind::Shrink => {
                // Where the kernel counts fewer zombies than have caches, these are their parents' (5.3 and later).
                let theirs = census::count(root, hierarchy, None)?.with_caches > 0;
                let zombies = if theirs {
                    census::with_caches(root, hierarchy)?
                } else {
                    Vec::new()
                };
                shrink(&zombies, max).ok_or(Why::NoCaches)
            }
            StepKind::Reclaim | StepKind::ForceEmpty => reclaim(root, hierarchy, max),
            StepKind::DropCaches => Ok(Self {
                kind,
                writes: vec![("/proc/sys/vm/drop_caches".into(), "3".to_owned())],
                targets: 1,
                left_out: 0,
                bytes: None,
            }),
        })
    }

    /// The step before anything is done.
    pub(crate) fn step(&self, again: bool) -> ReclaimStep {
        ReclaimStep {
            kind: self.kind,
            again,
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
fn shrink(zombies: &[(u32, SlabMemcg)], max: usize) -> Option<Plan> {
    let all = zombies.len();
    let mut writes = Vec::new();
    for (_, zombie) in zombies.iter().take(max) {
        for cache in &zombie.caches {
            let path = host::slab_cache(cache).join("shrink");
            writes.push((path, "1".to_owned()));
        }
    }
    (!writes.is_empty()).then_some(Plan {
        kind: StepKind::Shrink,
        writes,
        targets: all.min(max) as u64,
        left_out: all.saturating_sub(max) as u64,
        bytes: None,
    })
}

/// Reads what zombies hold and by which file it can be reclaimed.
fn reclaim(root: &Root, hierarchy: &Hierarchy, max: usize) -> Result<Plan, Why> {
    // On 3.10 pages go to the parent at rmdir (`mem_cgroup_reparent_charges`): they pin nothing.
    if host::count_leaves_zombies_out(root, hierarchy) {
        return Err(Why::PagesDoNotPin);
    }
    let held = facts::held(root, hierarchy).map_err(|_| Why::Unread)?;
    let has = |below: &Below, file: &str| {
        let directory = facts::place(hierarchy, &below.path);
        root.path(directory.join(file)).exists()
    };
    let page = root.page_size().unwrap_or(PageSize::LEAST);
    let writes = writes((hierarchy, page), &held.below, has)?;
    let all = writes.len();
    let (bytes, writes): (Vec<_>, Vec<_>) = writes.into_iter().take(max).unzip();
    Ok(Plan {
        kind: StepKind::reclaims(hierarchy.version),
        writes,
        targets: all.min(max) as u64,
        left_out: all.saturating_sub(max) as u64,
        bytes: Some(bytes.into_iter().fold(0, u64::saturating_add)),
    })
}

/// Through the directory above the zombies, whatever they hold, with how many bytes at most: slab objects are reclaimed
/// like pages (`shrink_slab`). `memory.force_empty` takes from all below it, so only where no task is.
fn writes(
    (hierarchy, page): (&Hierarchy, PageSize),
    below: &[Below],
    has: impl Fn(&Below, &str) -> bool,
) -> Result<Vec<(u64, Write)>, Why> {
    if below.is_empty() {
        return Err(Why::NothingHeld);
    }
    let v1 = hierarchy.version == Version::V1;
    let free: Vec<_> = below.iter().filter(|below| !(v1 && below.busy)).collect();
    if free.is_empty() {
        return Err(Why::Tasks);
    }
    let write = |below: &&Below| {
        let (file, bytes) = if v1 {
            ("memory.force_empty", below.held.total())
        } else {
            ("memory.reclaim", asked(below, page))
        };
        let text = if v1 { 0 } else { bytes };
        let path = facts::place(hierarchy, &below.path).join(file);
        has(below, file).then(|| (bytes, (path, text.to_string())))
    };
    let writes: Vec<_> = free.iter().filter_map(write).collect();
    if writes.is_empty() {
        return Err(Why::NoFile);
    }
    Ok(writes)
}

/// Of each zombie so many pages are reclaimed at first, however little it holds (`SWAP_CLUSTER_MAX`, `get_scan_count`).
const EACH: u64 = 32;

/// Of live cgroups no more than this is reclaimed where nothing tells how much the zombies hold.
const MOST: u64 = 16 << 20;

/// What to ask of `memory.reclaim`. It takes from live cgroups what zombies do not have: so with tasks below, only what can
/// be reclaimed of the zombies'.
fn asked(below: &Below, page: PageSize) -> u64 {
    let held = below.held;
    let pages = below.zombies.unwrap_or(1).saturating_mul(EACH);
    let few = || page.times(pages).min(MOST);
    let bytes = if below.busy {
        held.file.saturating_add(held.other)
    } else {
        held.total()
    };
    if bytes > 0 { bytes } else { few() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::facts::Kinds,
        host::{SlabCache, tests::hierarchy},
    };

    fn below(path: &str, file: u64, busy: bool) -> Below {
        Below {
            path: path.as_bytes().to_vec(),
            held: Kinds {
                file,
                shmem: 9,
                ..Kinds::default()
            },
            busy,
            zombies: Some(2),
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
            // Its zombies hold nothing that can be told: they are known all the same.
            below("/c", 0, true),
        ];
        let v1 = writes((&hierarchy(Version::V1), PageSize::LEAST), &all, |_, _| {
            true
        });
        let a = ("/cg/a/memory.force_empty".into(), "0".to_owned());
        assert_eq!(v1, Ok(vec![(4105, a)]));
        let busy = writes(
            (&hierarchy(Version::V1), PageSize::LEAST),
            &all[1..],
            |_, _| true,
        );
        assert_eq!(busy, Err(Why::Tasks));
        // memory.reclaim takes so many bytes, and of live cgroups' if zombies have less.
        let asked = |path: &str, bytes: u64| (bytes, (path.into(), bytes.to_string()));
        for (page, few) in [(4 << 10, 256 << 10), (64 << 10, 4 << 20)] {
            let page = PageSize::of(page).unwrap();
            assert_eq!(
                writes((&hierarchy(Version::V2), page), &all, |_, _| true),
                Ok(vec![
                    asked("/cg/a/memory.reclaim", 4105),
                    asked("/cg/b/memory.reclaim", 8192),
                    asked("/cg/c/memory.reclaim", few),
                ])
            );
        }
        let v2 = hierarchy(Version::V2);
        let none = writes((&v2, PageSize::LEAST), &all, |_, _| false);
        assert_eq!(none, Err(Why::NoFile));
        let none = writes((&v2, PageSize::LEAST), &[], |_, _| true);
        assert_eq!(none, Err(Why::NothingHeld));
    }
}
