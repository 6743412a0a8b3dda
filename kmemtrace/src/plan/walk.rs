//! What the walk cannot tell on a kernel that does not have all fields.

use kmemtrace_common::{
    layout::{ABSENT, Layout, Use},
    walk::{NUMA_NODES, STATS},
};

use crate::host::Version;

/// Something that is not known, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What is not known, in a few words.
    pub what: &'static str,
    /// What this kernel lacks for it.
    pub why: &'static str,
}

/// What only a memcg's statistics tell.
const STAT_KINDS: &str =
    "how much of it is shared memory, slab, per-CPU memory, kernel stacks or sockets";

/// What a walk cannot tell where the fields for something are missing, in the order in which it is told.
const LACKS: &[(Use, &str)] = &[
    (Use::References, "reference counts"),
    (Use::MemcgId, "memcg ids"),
    (Use::Memory, "memory"),
    (Use::Swap, "swap"),
    (Use::Kmem, "kernel memory"),
    (Use::Tcpmem, "TCP memory"),
    (Use::Lists, "page cache and anonymous memory"),
    (Use::Files, "the files of page cache"),
    (Use::Stats, STAT_KINDS),
    (Use::Objcgs, "what removed memory cgroups left to live ones"),
    (Use::Directory, "whether the directory is there"),
];

/// Why what each NUMA node has of its own is not read.
const NUMA_UNKNOWN: &str = "too many NUMA nodes, or not known how many";

/// What the kernel walk cannot tell of a hierarchy of this version, where this kernel does not have the fields, and why.
pub fn walk_lacks(layout: &Layout, version: Version) -> Vec<Lack> {
    let lists = lack(layout, Use::Lists).is_none();
    let told = |wanted| match wanted {
        // Counters of cgroup v1, which v2 has no use for.
        Use::Kmem | Use::Tcpmem => version == Version::V1,
        // Without the lists there are no pages to be told of.
        Use::Files => lists,
        _ => true,
    };
    let rows = LACKS.iter().filter(|(wanted, _)| told(*wanted));
    rows.filter_map(|&(wanted, what)| {
        let why = lack(layout, wanted)?;
        Some(Lack { what, why })
    })
    .collect()
}

/// Why something cannot be read, if it cannot: a field that is missing, or what no field tells.
fn lack(layout: &Layout, wanted: Use) -> Option<&'static str> {
    let many_nodes = layout.numa_nodes > NUMA_NODES;
    let by_node = layout.objcg_by_node == 1;
    if many_nodes && (wanted == Use::Files || (wanted == Use::Objcgs && by_node)) {
        return Some(NUMA_UNKNOWN);
    }
    let missing = layout.missing(wanted).map(|field| field.lack);
    missing.or_else(|| match wanted {
        Use::Lists if many_nodes => Some(NUMA_UNKNOWN),
        Use::Stats if layout.stats_items == [ABSENT; STATS] => {
            Some("/proc/kallsyms does not tell where mem_cgroup_stats_index is")
        }
        // Pages are on one kind of lists or on the other.
        Use::Files if layout.gen_pages != ABSENT && layout.gen_lists == ABSENT => {
            Some("no lruvec.lrugen.folios")
        }
        Use::Objcgs if by_node && layout.memcg_nodeinfo == ABSENT => Some("no mem_cgroup.nodeinfo"),
        _ => None,
    })
}

/// Why object cgroups cannot be told, if they cannot: before 5.9 there are none.
pub fn objcgs_lack(layout: &Layout) -> Option<&'static str> {
    lack(layout, Use::Objcgs)
}

/// Why a memcg's pages cannot be taken to their files, if they cannot.
pub fn files_lack(layout: &Layout) -> Option<&'static str> {
    lack(layout, Use::Files)
}
