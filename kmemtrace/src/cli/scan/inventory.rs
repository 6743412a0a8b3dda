//! Every zombie by name, as the kernel walk found them: pure.

mod sums;

pub(super) use sums::pins;

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    fmt,
};

use serde::Serialize;

use super::pin::{Pin, pin};
use crate::{
    attribution::{self, Owner, Qos, Runtime},
    event::json::Hex,
    host::Version,
    plan::Lack,
    source::bpf::{KernelWalk, Memcg},
};

/// What zombies are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sort {
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
pub(super) enum By {
    /// Their pods' uids
    Pod,
    /// Their systemd units
    Unit,
    /// The cgroups that they were made in
    Parent,
}

/// All zombies, and what they come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Inventory {
    /// How the walk went.
    pub(super) walk: Walk,
    /// memcg ids in use: exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ids_used: Option<u64>,
    /// Those of them that zombies keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ids_kept: Option<u64>,
    /// Bytes that the zombies hold (`held_bytes` of each); absent if not known of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zombie_bytes: Option<u64>,
    /// Bytes that the kernel needs for the zombies themselves, per-CPU counters included, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kernel_bytes: Option<u64>,
    /// What keeps them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pins: Vec<PinTotal>,
    /// Whose they are, if that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<Group>,
    /// The zombies.
    pub(super) list: Vec<Zombie>,
    /// So many more are not listed; absent if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) list_more: Option<u64>,
    /// So many were there in both walks; `None` if there was one.
    #[serde(skip)]
    pub(super) staying: Option<u64>,
}

/// How the last walk went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Walk {
    /// Memory cgroups that it found, dead or alive, the root included.
    pub(super) memcgs: u64,
    /// Dead ones among them.
    pub(super) zombies: u64,
    /// It has been everywhere.
    pub(super) complete: bool,
    /// The tree changed where it stood; it went back, and on from there.
    pub(super) changed: bool,
    /// How often the program was run.
    pub(super) runs: u32,
    /// The CPU time that took, in nanoseconds.
    pub(super) took_ns: u64,
    /// What it cannot tell on this kernel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) lacks: Vec<Missing>,
}

/// Something that is not known, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Missing {
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
pub(in crate::cli) struct PinTotal {
    /// Absent for those of which nothing tells what keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) pin: Option<Pin>,
    pub(in crate::cli) zombies: u64,
    /// What they hold, of whatever kind; absent if not known of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) held_bytes: Option<u64>,
}

/// Zombies of one owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Group {
    /// Absent for those that have no such owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) zombies: u64,
    /// What they hold; absent if not known of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held_bytes: Option<u64>,
}

/// A zombie. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Zombie {
    /// From the hierarchy's root; what is not UTF-8 is replaced.
    pub(super) path: String,
    /// Its bytes, if they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pod_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// The cgroup's id, which was its directory's inode number.
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<u64>,
    /// The memcg id; 0 once the kernel has taken it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    memcg_id: Option<u32>,
    /// The address of its `struct cgroup_subsys_state`.
    css: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    css_id: Option<u32>,
    /// `cgroup_subsys_state.flags`
    flags: u32,
    /// `cgroup_subsys_state.serial_nr`: in the order in which they were made.
    pub(super) serial: u64,
    /// On v2: its directory is there, and lost its memcg to `-memory`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) directory: bool,
    /// It was there in the walk before, as well; absent if there was one walk.
    #[serde(skip_serializing_if = "Option::is_none")]
    staying: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refcount: Option<i64>,
    /// Zombies directly below it.
    dead_children: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pin: Option<Pin>,
    /// The pages on its LRU lists, and TCP's buffers where they are counted apart (v1). Not what is charged: in that stays what
    /// was charged for slab objects, though these went to the parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held_bytes: Option<u64>,
    /// What is charged to it and to those below it: `memory.usage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    /// v1: memory and swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    memsw_bytes: Option<u64>,
    /// v2: swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kmem_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcpmem_bytes: Option<u64>,
    /// Of tmpfs and shared memory as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    anon_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unevictable_bytes: Option<u64>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) sort: Sort,
    pub(super) by: Option<By>,
    /// List so many at most.
    pub(super) top: Option<usize>,
}

/// What is known of the kernel that was walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel<'a> {
    /// What it does not tell.
    pub(super) lacks: &'a [Lack],
    /// What a memcg costs it, in bytes.
    pub(super) memcg_bytes: Option<u64>,
    /// The memory hierarchy's.
    pub(super) version: Version,
}

/// Makes it of a walk, and of an earlier one if there was one.
pub(super) fn inventory(
    walk: &KernelWalk,
    earlier: Option<&KernelWalk>,
    kernel: Kernel<'_>,
    wanted: Wanted,
) -> Inventory {
    let before: Option<HashSet<u64>> = earlier.map(|walk| {
        let dead = walk.tree.dead();
        dead.map(|memcg| memcg.serial).collect()
    });
    let mut children: HashMap<u64, u64> = HashMap::new();
    for memcg in walk.tree.dead() {
        *children.entry(memcg.parent_serial).or_default() += 1;
    }
    let mut list: Vec<_> = walk
        .tree
        .dead()
        .map(|memcg| {
            let staying = before.as_ref().map(|before| before.contains(&memcg.serial));
            let children = children.get(&memcg.serial).copied().unwrap_or(0);
            zombie(walk, memcg, staying, children, kernel.version)
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
    let zombie_bytes = list
        .iter()
        .try_fold(0u64, |sum, zombie| sum.checked_add(zombie.held_bytes?));
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
        walk: Walk {
            memcgs: walk.tree.iter().count() as u64,
            zombies,
            complete: walk.complete,
            changed: walk.changed,
            runs: walk.runs,
            took_ns: u64::try_from(walk.took.as_nanos()).unwrap_or(u64::MAX),
            lacks: kernel
                .lacks
                .iter()
                .map(|&Lack { what, why }| Missing { what, why })
                .collect(),
        },
        ids_used: used(false),
        ids_kept: used(true),
        zombie_bytes,
        kernel_bytes: kernel.memcg_bytes.map(|bytes| bytes * zombies),
        pins,
        groups: groups.unwrap_or_default(),
        list,
        list_more: Some(more).filter(|&more| more > 0),
        staying,
    }
}

fn zombie(
    walk: &KernelWalk,
    memcg: &Memcg,
    staying: Option<bool>,
    children: u64,
    version: Version,
) -> Zombie {
    let path = walk.tree.path(memcg).bytes;
    let Owner {
        pod_uid,
        container_id,
        qos,
        runtime,
        unit,
    } = attribution::owner(&path);
    let held = memcg.lru.map(|lru| {
        let tcp = memcg.tcpmem_bytes.unwrap_or(0);
        lru.bytes().saturating_add(tcp)
    });
    let is_v1 = version == Version::V1;
    Zombie {
        path_hex: Hex::unless_text(&path).map(|hex| hex.to_string()),
        pod_uid: pod_uid.map(|uid| uid.as_str().to_owned()),
        container_id: container_id.map(str::to_owned),
        qos: qos.map(Qos::as_str),
        runtime: runtime.map(Runtime::as_str),
        unit: unit.map(str::to_owned),
        path: String::from_utf8_lossy(&path).into_owned(),
        cgroup_id: memcg.cgroup_id,
        parent_id: memcg.parent_id,
        memcg_id: memcg.memcg_id,
        css: format!("{:#x}", memcg.css),
        css_id: memcg.css_id,
        flags: memcg.flags,
        serial: memcg.serial,
        directory: memcg.directory == Some(true),
        staying,
        refcount: memcg.refcount,
        dead_children: children,
        pin: pin(memcg, children),
        held_bytes: held,
        memory_bytes: memcg.memory_bytes,
        memsw_bytes: memcg.swap_bytes.filter(|_| is_v1),
        swap_bytes: memcg.swap_bytes.filter(|_| !is_v1),
        kmem_bytes: memcg.kmem_bytes,
        tcpmem_bytes: memcg.tcpmem_bytes,
        anon_bytes: memcg.lru.map(|lru| lru.anon_bytes),
        file_bytes: memcg.lru.map(|lru| lru.file_bytes),
        unevictable_bytes: memcg.lru.map(|lru| lru.unevictable_bytes),
    }
}

#[cfg(test)]
mod tests;
