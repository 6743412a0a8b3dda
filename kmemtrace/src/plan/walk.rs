//! The fields of the kernel's that the walk reads: those that it needs, and those that it does without.

use kmemtrace_common::{
    layout::{ABSENT, Layout},
    walk::NUMA_NODES,
};

use crate::host::Version;

/// Without these it cannot go from one memcg to the next, nor say which one is which.
pub(super) fn needs(layout: &Layout) -> Vec<(&'static str, u32)> {
    vec![
        ("task_struct.cgroups", layout.task_cgroups),
        ("css_set.subsys", layout.css_set_memory),
        ("cgroup_subsys_state.parent", layout.css_parent),
        ("cgroup_subsys_state.children", layout.css_children),
        ("cgroup_subsys_state.sibling", layout.css_sibling),
        ("cgroup_subsys_state.flags", layout.css_flags),
        ("cgroup_subsys_state.serial_nr", layout.css_serial),
        ("cgroup_subsys_state.cgroup", layout.css_cgroup),
        ("cgroup.kn", layout.cgroup_kn),
        ("kernfs_node.id", layout.kn_id),
        ("kernfs_node.name", layout.kn_name),
    ]
}

/// Something that is not known, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
}

/// What the kernel walk cannot tell of a hierarchy of this version, where this kernel does not have the fields, and why.
pub fn walk_lacks(layout: &Layout, version: Version) -> Vec<Lack> {
    let numa = layout.numa_nodes > NUMA_NODES;
    let lists = layout.lru_sizes == ABSENT || layout.memcg_nodeinfo == ABSENT;
    // Counters of cgroup v1, which v2 has no use for.
    let v1 = version == Version::V1;
    let rows = [
        (
            layout.css_ref_data == ABSENT || layout.ref_count == ABSENT,
            "reference counts",
            "no percpu_ref_data.count",
        ),
        (layout.memcg_id == ABSENT, "memcg ids", "no mem_cgroup.id"),
        (
            layout.memcg_usage == ABSENT,
            "memory",
            "no mem_cgroup.memory.usage",
        ),
        (
            layout.memcg_swap == ABSENT,
            "swap",
            "no mem_cgroup.swap.usage",
        ),
        (
            v1 && layout.memcg_kmem == ABSENT,
            "kernel memory",
            "no mem_cgroup.kmem.usage",
        ),
        (
            v1 && layout.memcg_tcpmem == ABSENT,
            "TCP memory",
            "no mem_cgroup.tcpmem.usage",
        ),
        (
            lists,
            "page cache and anonymous memory",
            "no mem_cgroup_per_node.lru_zone_size",
        ),
        (
            !lists && numa,
            "page cache and anonymous memory",
            "too many NUMA nodes, or not known how many",
        ),
        (
            layout.cgroup_flags == ABSENT,
            "whether the directory is there",
            "no cgroup.self.flags",
        ),
    ];
    let lacking = rows.into_iter().filter(|(lacks, ..)| *lacks);
    lacking.map(|(_, what, why)| Lack { what, why }).collect()
}
