//! The fields of the kernel's that the walk reads: those that it needs, and those that it does without.

use kmemtrace_common::{
    layout::{ABSENT, Layout},
    walk::{NUMA_NODES, STATS},
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

/// What only a memcg's statistics tell.
const STAT_KINDS: &str =
    "how much of it is shared memory, slab, per-CPU memory, kernel stacks or sockets";

/// Why what each NUMA node has of its own is not read.
const NUMA_UNKNOWN: &str = "too many NUMA nodes, or not known how many";

/// What the kernel walk cannot tell of a hierarchy of this version, where this kernel does not have the fields, and why.
pub fn walk_lacks(layout: &Layout, version: Version) -> Vec<Lack> {
    let numa = layout.numa_nodes > NUMA_NODES;
    let lists = layout.lru_sizes == ABSENT || layout.memcg_nodeinfo == ABSENT;
    // Counters of cgroup v1, which v2 has no use for.
    let v1 = version == Version::V1;
    let (files, objcgs) = (files_lack(layout), objcgs_lack(layout));
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
            NUMA_UNKNOWN,
        ),
        (
            !lists && !numa && files.is_some(),
            "the files of page cache",
            files.unwrap_or_default(),
        ),
        (layout.stats == ABSENT, STAT_KINDS, "no mem_cgroup.vmstats"),
        (
            layout.stats != ABSENT && layout.stats_items == [ABSENT; STATS],
            STAT_KINDS,
            "/proc/kallsyms does not tell where mem_cgroup_stats_index is",
        ),
        (
            objcgs.is_some(),
            "what removed memory cgroups left to live ones",
            objcgs.unwrap_or_default(),
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

/// The field that is missing, if this kernel's types do not tell of object cgroups: before 5.9 there are none.
pub fn objcgs_lack(layout: &Layout) -> Option<&'static str> {
    let by_node = layout.objcg_by_node == 1;
    if by_node && layout.numa_nodes > NUMA_NODES {
        return Some(NUMA_UNKNOWN);
    }
    let rows = [
        (layout.objcg_list, "no mem_cgroup.objcg_list"),
        (
            if by_node { layout.memcg_nodeinfo } else { 0 },
            "no mem_cgroup.nodeinfo",
        ),
        (layout.objcg_entry, "no obj_cgroup.list"),
        (layout.objcg_memcg, "no obj_cgroup.memcg"),
        (layout.objcg_ref_data, "no obj_cgroup.refcnt"),
        (layout.ref_count, "no percpu_ref_data.count"),
    ];
    absent(&rows)
}

/// Why the first of these is not known.
fn absent(rows: &[(u32, &'static str)]) -> Option<&'static str> {
    let mut rows = rows.iter();
    rows.find_map(|&(offset, why)| (offset == ABSENT).then_some(why))
}

/// The field that is missing, if this kernel's types do not tell all that takes a memcg's pages to their files.
pub fn files_lack(layout: &Layout) -> Option<&'static str> {
    if layout.numa_nodes > NUMA_NODES {
        return Some(NUMA_UNKNOWN);
    }
    // Pages are on one kind of lists or on the other.
    let generations = layout.gen_pages != ABSENT && layout.gen_lists == ABSENT;
    let rows = [
        (layout.memcg_nodeinfo, "no mem_cgroup.nodeinfo"),
        (layout.lruvec_lists, "no mem_cgroup_per_node.lruvec.lists"),
        (
            if generations { ABSENT } else { 0 },
            "no lruvec.lrugen.folios",
        ),
        (layout.folio_lru, "no folio.lru"),
        (layout.folio_flags, "no folio.flags"),
        (layout.folio_mapping, "no folio.mapping"),
        (layout.folio_memcg, "no folio.memcg_data"),
        (layout.folio_pages, "no folio._folio_nr_pages"),
        (layout.flag_lru, "no PG_lru"),
        (layout.flag_head, "no PG_head"),
        (layout.mapping_host, "no address_space.host"),
        (layout.inode_number, "no inode.i_ino"),
        (layout.inode_sb, "no inode.i_sb"),
        (layout.inode_links, "no inode.i_nlink"),
        (layout.inode_rdev, "no inode.i_rdev"),
        (layout.inode_dentries, "no inode.i_dentry"),
        (layout.sb_dev, "no super_block.s_dev"),
        (layout.sb_id, "no super_block.s_id"),
        (layout.dentry_alias, "no dentry.d_u.d_alias"),
        (layout.dentry_parent, "no dentry.d_parent"),
        (layout.dentry_name, "no dentry.d_name.name"),
    ];
    absent(&rows)
}
