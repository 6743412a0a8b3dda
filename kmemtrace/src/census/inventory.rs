//! Every zombie by name, as the kernel walk found them: pure.

mod sums;
pub(crate) mod zombie;

pub(crate) use sums::pins;

use std::{cmp::Reverse, collections::HashMap, fmt, sync::Arc};

use serde::Serialize;

pub(crate) use self::zombie::Zombie;
use super::{files, objcgs};
use crate::{
    attribution::PodUid,
    event::{Pod, nanos},
    plan::Lack,
    source::bpf::{KernelWalk, Memcg},
    tracker::{Amounts, Pin, Trend},
};

/// What zombies are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sort {
    /// What they hold, most first
    #[default]
    Held,
    /// References to them, most first
    Refs,
    /// When they were made, oldest first
    Age,
    /// Their paths
    Path,
}

/// What zombies are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// Their pods' uids
    Pod,
    /// Their pods' namespaces
    Namespace,
    /// Their systemd units
    Unit,
    /// Their owners: pods, containers, jobs, units, or the cgroups they were made in
    Owner,
    /// The cgroups that they were made in
    Parent,
}

/// All zombies, and what they come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Inventory {
    /// How the walk went.
    pub(crate) walk: WalkCourse,
    /// memcg ids in use: exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ids_used: Option<u64>,
    /// Those of them that zombies keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ids_kept: Option<u64>,
    /// Bytes that the zombies hold (`held_bytes` of each); absent if not known of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zombie_bytes: Option<u64>,
    /// How those are spread, as far as they are known.
    #[serde(skip)]
    pub(crate) amounts: Amounts,
    /// Bytes that the kernel needs for the zombies themselves, per-CPU counters included, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_bytes: Option<u64>,
    /// What keeps them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pins: Vec<PinTotal>,
    /// What removed memory cgroups left to live ones; absent if nothing was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object_cgroups: Option<objcgs::ObjectCgroups>,
    /// How the look for files went, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<files::FileSearch>,
    /// So many of them `memory.reclaim`, `memory.force_empty` or `drop_caches` would free, as far as is seen.
    pub(crate) reclaimable_zombies: u64,
    /// So many they would not: something else keeps these, that only its owner lets go.
    pub(crate) stuck_zombies: u64,
    /// Whose they are, if that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<OwnerGroup>,
    /// The zombies.
    pub(crate) list: Vec<Zombie>,
    /// So many more are not listed; absent if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) list_more: Option<u64>,
    /// So many were there in both walks; `None` if there was one.
    #[serde(skip)]
    pub(crate) staying: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none_of_them(count: &u64) -> bool {
    *count == 0
}

/// How the last walk went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct WalkCourse {
    /// Memory cgroups that it found, dead or alive, the root included.
    pub(crate) memcgs: u64,
    /// Dead ones among them.
    pub(crate) zombies: u64,
    /// It has been everywhere, and all that it came by made sense.
    pub(crate) complete: bool,
    /// Nodes of the kernel's tree that cannot be memory cgroups: left out.
    #[serde(skip_serializing_if = "is_none_of_them")]
    pub(crate) not_understood: u64,
    /// The tree changed where it stood; it went back, and on from there.
    pub(crate) changed: bool,
    /// How often the program was run.
    pub(crate) runs: u32,
    /// The CPU time that took, in nanoseconds.
    pub(crate) took_ns: u64,
    /// What it cannot tell on this kernel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lacks: Vec<Missing>,
}

/// Something that is not known, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Missing {
    what: &'static str,
    why: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Zombies kept by one kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PinTotal {
    /// Absent for those of which nothing tells what keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pin: Option<Pin>,
    pub(crate) zombies: u64,
    /// What they hold, of whatever kind; absent if not known of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_bytes: Option<u64>,
}

/// Zombies of one owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OwnerGroup {
    /// Absent for those that have no such owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Of a pod: its namespace and name, as `NAMESPACE/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    pub(crate) zombies: u64,
    /// What they hold; absent if not known of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_bytes: Option<u64>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) sort: Sort,
    pub(crate) by: Option<By>,
    /// List so many at most.
    pub(crate) top: Option<usize>,
}

/// What is known of the kernel that was walked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel<'a> {
    /// What it does not tell.
    pub(crate) lacks: &'a [Lack],
    /// What a memcg costs it, in bytes.
    pub(crate) memcg_bytes: Option<u64>,
}

/// What the node tells of a pod's name.
pub(crate) type PodName<'a> = &'a mut dyn FnMut(PodUid) -> Option<Arc<Pod>>;

/// Makes it of a walk, and of an earlier one if there was one.
pub(crate) fn inventory(
    walk: &KernelWalk,
    earlier: Option<&KernelWalk>,
    kernel: Kernel<'_>,
    pod: PodName<'_>,
    wanted: Listing,
) -> Inventory {
    let before: Option<HashMap<u64, &Memcg>> = earlier.map(|walk| {
        let dead = walk.tree.dead();
        dead.map(|memcg| (memcg.serial, memcg)).collect()
    });
    let children = walk.tree.dead_children();
    let reclaimable = zombie::reclaimables(walk, &children);
    let mut list: Vec<_> = walk
        .tree
        .dead()
        .map(|memcg| {
            let children = children.get(&memcg.serial).copied().unwrap_or(0);
            let before = before.as_ref().map(|before| before.get(&memcg.serial));
            let zombie = zombie::zombie(walk, memcg, children, pod);
            let held = |memcg: &Memcg| memcg.holds(0).bytes();
            let both = before.flatten().and_then(|before| held(before));
            let both = both.zip(zombie.held_bytes);
            Zombie {
                staying: before.map(|before| before.is_some()),
                trend: both.map(|(before, now)| Trend::between(before, now)),
                reclaimable: reclaimable.get(&memcg.serial).copied().flatten(),
                ..zombie
            }
        })
        .collect();
    let staying = list.iter().filter(|zombie| zombie.staying == Some(true));
    let staying = before.is_some().then(|| staying.count() as u64);
    match wanted.sort {
        Sort::Held => list.sort_by_key(|zombie| Reverse((zombie.held_bytes, zombie.refcount))),
        Sort::Refs => list.sort_by_key(|zombie| Reverse(zombie.refcount)),
        Sort::Age => list.sort_by_key(|zombie| zombie.serial),
        Sort::Path => list.sort_by(|a, b| a.path.cmp(&b.path)),
    }
    let zombies = list.len() as u64;
    let (pins, groups) = (pins(&list), wanted.by.map(|by| sums::groups(&list, by)));
    let count = |is: bool| {
        let zombies = list.iter();
        zombies
            .filter(|zombie| zombie.reclaimable == Some(is))
            .count() as u64
    };
    let (frees, stuck) = (count(true), count(false));
    let zombie_bytes = list
        .iter()
        .try_fold(0u64, |sum, zombie| sum.checked_add(zombie.held_bytes?));
    let amounts = list.iter().filter_map(|zombie| zombie.held_bytes).collect();
    list.truncate(wanted.top.unwrap_or(usize::MAX));
    let more = zombies - list.len() as u64;
    let ids: Option<Vec<_>> = walk
        .tree
        .iter()
        .map(|memcg| Some((memcg.memcg_id? != 0, memcg.is_dead())))
        .collect();
    let ids = ids.filter(|_| walk.complete);
    let used = |dead: bool| {
        let ids = ids.as_ref()?.iter();
        Some(
            ids.filter(|(used, is_dead)| *used && (!dead || *is_dead))
                .count() as u64,
        )
    };
    Inventory {
        walk: WalkCourse {
            memcgs: walk.tree.iter().count() as u64,
            zombies,
            complete: walk.complete,
            not_understood: walk.not_understood,
            changed: walk.changed,
            runs: walk.runs,
            took_ns: nanos(walk.took),
            lacks: kernel
                .lacks
                .iter()
                .map(|&Lack { what, why }| Missing { what, why })
                .collect(),
        },
        ids_used: used(false),
        ids_kept: used(true),
        zombie_bytes,
        amounts,
        kernel_bytes: kernel.memcg_bytes.map(|bytes| bytes * zombies),
        pins,
        object_cgroups: None,
        files: None,
        reclaimable_zombies: frees,
        stuck_zombies: stuck,
        groups: groups.unwrap_or_default(),
        list,
        list_more: Some(more).filter(|&more| more > 0),
        staying,
    }
}
