//! One zombie: every column that is known of it.

use std::{cmp::Reverse, collections::HashMap};

use serde::Serialize;

use super::{PodName, files};
use crate::{
    attribution::{self, Owner, Qos, Runtime},
    event::json::Hex,
    source::bpf::{KernelWalk, Memcg, Stats},
    tracker::{Pin, Trend, reclaimable},
};

/// A zombie. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Zombie {
    /// From the hierarchy's root; what is not UTF-8 is replaced.
    pub(crate) path: String,
    /// Its bytes, if they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod_uid: Option<String>,
    /// The pod's namespace, if the node still tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod_namespace: Option<String>,
    /// The pod's name in there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) qos: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<&'static str>,
    /// What the runtime calls it, where that is not `container_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    /// The cgroup's id, which was its directory's inode number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_id: Option<u64>,
    /// The memcg id; 0 once the kernel has taken it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memcg_id: Option<u32>,
    /// The address of its `struct cgroup_subsys_state`.
    pub(crate) css: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) css_id: Option<u32>,
    /// `cgroup_subsys_state.flags`
    pub(crate) flags: u32,
    /// `cgroup_subsys_state.serial_nr`: in the order in which they were made.
    pub(crate) serial: u64,
    /// On v2: its directory is there, and lost its memcg to `-memory`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) directory: bool,
    /// It was there in the walk before, as well; absent if there was one walk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) staying: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refcount: Option<i64>,
    /// Zombies directly below it.
    pub(crate) dead_children: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pin: Option<Pin>,
    /// How `held_bytes` changed from the walk before; absent if there was one walk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trend: Option<Trend>,
    /// Whether reclaim would free it, as far as is seen; absent if nothing tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reclaimable: Option<bool>,
    /// The pages on its LRU lists, what is swapped out, and TCP's buffers where they are counted apart (v1). Not what is charged:
    /// in that stays what was charged for slab objects, though these went to the parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_bytes: Option<u64>,
    /// What is charged to it and to those below it: `memory.usage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    /// v1: memory and swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memsw_bytes: Option<u64>,
    /// What of it is swapped out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) swap_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kmem_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tcpmem_bytes: Option<u64>,
    /// Of tmpfs and shared memory as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) anon_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unevictable_bytes: Option<u64>,
    #[serde(flatten)]
    pub(crate) stats: Stats,
    /// What its pages are, if that was asked and it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<files::ZombiePages>,
}

impl Zombie {
    /// Its pod's namespace and name, as `NAMESPACE/NAME`.
    pub(crate) fn pod(&self) -> Option<String> {
        let (namespace, name) = self.pod_namespace.as_ref().zip(self.pod_name.as_ref())?;
        Some(format!("{namespace}/{name}"))
    }
}

/// Makes it of what a walk found; what one walk alone does not tell is left out.
pub(crate) fn zombie(walk: &KernelWalk, memcg: &Memcg, children: u64, pod: PodName<'_>) -> Zombie {
    let path = walk.tree.path(memcg).bytes;
    let Owner {
        pod_uid,
        container_id,
        qos,
        runtime,
        name,
        unit,
    } = attribution::owner(&path);
    let named = pod_uid.and_then(pod);
    let (pod_namespace, pod_name) = named
        .map(|pod| (pod.namespace.clone(), pod.name.clone()))
        .unzip();
    let holds = memcg.holds(children);
    Zombie {
        path_hex: Hex::unless_text(&path).map(|hex| hex.to_string()),
        pod_uid: pod_uid.map(|uid| uid.as_str().to_owned()),
        pod_namespace,
        pod_name,
        container_id: container_id.map(str::to_owned),
        qos: qos.map(Qos::as_str),
        runtime: runtime.map(Runtime::as_str),
        owner_name: name.map(str::to_owned),
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
        staying: None,
        refcount: memcg.refcount,
        dead_children: children,
        pin: Pin::of(&holds),
        trend: None,
        reclaimable: None,
        held_bytes: holds.bytes(),
        memory_bytes: memcg.memory_bytes,
        memsw_bytes: memcg.memsw_bytes,
        swap_bytes: memcg.swap_bytes,
        kmem_bytes: memcg.kmem_bytes,
        tcpmem_bytes: memcg.tcpmem_bytes,
        anon_bytes: holds.anon_bytes,
        file_bytes: holds.file_bytes,
        unevictable_bytes: holds.unevictable_bytes,
        stats: memcg.stats,
        files: None,
    }
}

/// Of each zombie, by its serial number, whether reclaim would free it: one with dead children as they are freed, too.
pub(crate) fn reclaimables(
    walk: &KernelWalk,
    children: &HashMap<u64, u64>,
) -> HashMap<u64, Option<bool>> {
    let mut all: Vec<_> = walk.tree.dead().collect();
    // Children are made after their parents.
    all.sort_by_key(|memcg| Reverse(memcg.serial));
    let mut of = HashMap::new();
    let mut below: HashMap<u64, Option<bool>> = HashMap::new();
    for memcg in all {
        let own = memcg.holds(0);
        let dead_children = children.get(&memcg.serial).copied().unwrap_or(0);
        let own = match Pin::of(&memcg.holds(dead_children)) {
            Some(Pin::Children) => Some(true),
            _ => reclaimable(&own),
        };
        let children = below.get(&memcg.serial).copied().unwrap_or(Some(true));
        let all = both(own, children);
        of.insert(memcg.serial, all);
        let siblings = below.entry(memcg.parent_serial).or_insert(Some(true));
        *siblings = both(*siblings, all);
    }
    of
}

/// Whether both are so, as far as that is known.
fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}
