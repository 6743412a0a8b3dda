//! Where the fields that the eBPF programs read lie in *this* kernel.
//!
//! The programs carry no offset of their own: the collector resolves each one in the running kernel's BTF (or in a
//! tracepoint's `format` file) and injects the whole [`Layout`] as a read-only global. The verifier sees constants, and
//! drops the branches behind an [`ABSENT`] field.

use crate::walk::STATS;

/// The offset of a field that this kernel does not have, or whose place is not known.
pub const ABSENT: u32 = u32::MAX;

/// Byte offsets into kernel structures, and the few constants that depend on the kernel. [`ABSENT`] where unknown.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The memory hierarchy's id: 0 on cgroup v2, the second column of `/proc/cgroups` on v1.
    pub memory_hierarchy: u32,
    /// `cgroup.kn`
    pub cgroup_kn: u32,
    /// `cgroup.root`
    pub cgroup_root: u32,
    /// `cgroup.subsys[memory_cgrp_id]`
    pub cgroup_memory_css: u32,
    /// `cgroup_root.hierarchy_id`
    pub root_hierarchy: u32,
    /// `kernfs_node.id`, 64 bits on 5.5 and later
    pub kn_id: u32,
    /// `kernfs_node.name`
    pub kn_name: u32,
    /// `kernfs_node.parent`, `__parent` since 6.15
    pub kn_parent: u32,
    /// `kernfs_node.flags`, 16 bits
    pub kn_flags: u32,
    /// `kernfs_node.priv`, which is the `struct cgroup *` of a cgroup's directory
    pub kn_priv: u32,
    /// `KERNFS_ACTIVATED`: set on a directory once its mkdir has succeeded (`kernfs_activate`)
    pub kn_activated: u32,
    /// `cgroup_subsys_state.cgroup`
    pub css_cgroup: u32,
    /// `cgroup_subsys_state.serial_nr`
    pub css_serial: u32,
    /// The memcg id in `mem_cgroup`, 32 bits wide: `id.id`, or its later names
    pub memcg_id: u32,
    /// `mem_cgroup.memory.usage`, in pages
    pub memcg_usage: u32,
    /// `kmem_cache.name`
    pub cache_name: u32,
    /// `kmem_cache.object_size`, 32 bits
    pub cache_object_size: u32,
    /// The number of the `struct kmem_cache *` argument of the raw tracepoint `kmem_cache_alloc`
    pub alloc_cache_arg: u32,
    /// The number of that tracepoint's result argument
    pub alloc_result_arg: u32,
    /// The number of that tracepoint's `gfp_t` argument
    pub alloc_gfp_arg: u32,
    /// The number of that tracepoint's NUMA node argument
    pub alloc_node_arg: u32,
    /// `root` in the record of the plain tracepoints `cgroup:cgroup_mkdir` and its siblings
    pub tp_root: u32,
    /// `id` in that record
    pub tp_id: u32,
    /// `path` in that record: a `__data_loc`
    pub tp_path: u32,
    /// `filename` (`pathname`) in the record of `syscalls:sys_enter_mkdir`
    pub tp_mkdir_path: u32,
    /// `pathname` in the record of `syscalls:sys_enter_mkdirat`
    pub tp_mkdirat_path: u32,
    /// `ret` in the records of `syscalls:sys_exit_mkdir` and `sys_exit_mkdirat`
    pub tp_exit_ret: u32,
    /// `cgroup_subsys_state.parent`
    pub css_parent: u32,
    /// `cgroup_subsys_state.children`
    pub css_children: u32,
    /// `cgroup_subsys_state.sibling`
    pub css_sibling: u32,
    /// `cgroup_subsys_state.flags`
    pub css_flags: u32,
    /// `cgroup_subsys_state.id`
    pub css_id: u32,
    /// `cgroup_subsys_state.refcnt.data`
    pub css_ref_data: u32,
    /// `percpu_ref_data.count`
    pub ref_count: u32,
    /// `cgroup.self.flags`
    pub cgroup_flags: u32,
    /// `task_struct.cgroups`
    pub task_cgroups: u32,
    /// `css_set.subsys[memory_cgrp_id]`
    pub css_set_memory: u32,
    /// `mem_cgroup.swap.usage`, in pages; on v1 memory and swap
    pub memcg_swap: u32,
    /// `mem_cgroup.kmem.usage`, in pages
    pub memcg_kmem: u32,
    /// `mem_cgroup.tcpmem.usage`, in pages
    pub memcg_tcpmem: u32,
    /// `mem_cgroup.nodeinfo`: a `struct mem_cgroup_per_node *` for each NUMA node
    pub memcg_nodeinfo: u32,
    /// `mem_cgroup_per_node.lru_zone_size`, in pages: zones by lists
    pub lru_sizes: u32,
    /// How many zones that has
    pub lru_zones: u32,
    /// `mem_cgroup_per_node.lruvec.lrugen.nr_pages`: generations by anonymous and file by zones
    pub gen_pages: u32,
    /// How many generations that has
    pub gen_count: u32,
    /// How many NUMA nodes this machine may have
    pub numa_nodes: u32,
    /// `mem_cgroup.vmstats`: a memcg's statistics, or a pointer to them
    pub stats: u32,
    /// 1 if it is a pointer
    pub stats_pointer: u32,
    /// Where in them the array of those kept by item is
    pub stats_state: u32,
    /// How many elements that has
    pub stats_count: u32,
    /// Where each kind of [`crate::walk::STATS`] is in that array, or, if there is a table, in the table
    pub stats_items: [u32; STATS],
    /// The address of the kernel's table that takes an item to its place in the array (`mem_cgroup_stats_index`, 8 bits
    /// each): its lower half; [`ABSENT`] if items are places
    pub stats_table: u32,
    /// Its upper half
    pub stats_table_high: u32,
    /// The item that is first in the array
    pub stats_first: u32,
    /// `mem_cgroup_per_node.lruvec.lists`: the heads of the classic LRU lists
    pub lruvec_lists: u32,
    /// `mem_cgroup_per_node.lruvec.lrugen.folios`, `lists` before 6.4: those of the multi-gen LRU
    pub gen_lists: u32,
    /// How many heads that has
    pub gen_list_count: u32,
    /// `folio.lru`; this and the next fields are `struct page`'s before 5.16
    pub folio_lru: u32,
    /// `folio.flags`
    pub folio_flags: u32,
    /// `folio.mapping`
    pub folio_mapping: u32,
    /// `folio.memcg_data`, `page.mem_cgroup` before 5.11
    pub folio_memcg: u32,
    /// The number of pages in a large folio, 32 bits: `_folio_nr_pages`, or its other names
    pub folio_pages: u32,
    /// `PG_lru`: a bit's number in the flags
    pub flag_lru: u32,
    /// `PG_head`: another, set in large folios
    pub flag_head: u32,
    /// `address_space.host`
    pub mapping_host: u32,
    /// `inode.i_ino`
    pub inode_number: u32,
    /// `inode.i_sb`
    pub inode_sb: u32,
    /// `inode.i_nlink`
    pub inode_links: u32,
    /// `inode.i_rdev`
    pub inode_rdev: u32,
    /// `inode.i_dentry`: a list of its names
    pub inode_dentries: u32,
    /// `super_block.s_dev`
    pub sb_dev: u32,
    /// `super_block.s_id`
    pub sb_id: u32,
    /// `dentry.d_u.d_alias`: its place in that list
    pub dentry_alias: u32,
    /// `dentry.d_parent`
    pub dentry_parent: u32,
    /// `dentry.d_name.name`
    pub dentry_name: u32,
    /// `mem_cgroup.objcg_list`, or `mem_cgroup_per_node.objcg_list` from 7.1 on: the object cgroups of removed children
    pub objcg_list: u32,
    /// 1 if there is one for each NUMA node
    pub objcg_by_node: u32,
    /// `obj_cgroup.list`: its place in that list
    pub objcg_entry: u32,
    /// `obj_cgroup.memcg`
    pub objcg_memcg: u32,
    /// `obj_cgroup.refcnt.data`
    pub objcg_ref_data: u32,
}

impl Layout {
    /// A layout in which nothing is known.
    pub const UNKNOWN: Self = Self {
        memory_hierarchy: ABSENT,
        cgroup_kn: ABSENT,
        cgroup_root: ABSENT,
        cgroup_memory_css: ABSENT,
        root_hierarchy: ABSENT,
        kn_id: ABSENT,
        kn_name: ABSENT,
        kn_parent: ABSENT,
        kn_flags: ABSENT,
        kn_priv: ABSENT,
        kn_activated: ABSENT,
        css_cgroup: ABSENT,
        css_serial: ABSENT,
        memcg_id: ABSENT,
        memcg_usage: ABSENT,
        cache_name: ABSENT,
        cache_object_size: ABSENT,
        alloc_cache_arg: ABSENT,
        alloc_result_arg: ABSENT,
        alloc_gfp_arg: ABSENT,
        alloc_node_arg: ABSENT,
        tp_root: ABSENT,
        tp_id: ABSENT,
        tp_path: ABSENT,
        tp_mkdir_path: ABSENT,
        tp_mkdirat_path: ABSENT,
        tp_exit_ret: ABSENT,
        css_parent: ABSENT,
        css_children: ABSENT,
        css_sibling: ABSENT,
        css_flags: ABSENT,
        css_id: ABSENT,
        css_ref_data: ABSENT,
        ref_count: ABSENT,
        cgroup_flags: ABSENT,
        task_cgroups: ABSENT,
        css_set_memory: ABSENT,
        memcg_swap: ABSENT,
        memcg_kmem: ABSENT,
        memcg_tcpmem: ABSENT,
        memcg_nodeinfo: ABSENT,
        lru_sizes: ABSENT,
        lru_zones: ABSENT,
        gen_pages: ABSENT,
        gen_count: ABSENT,
        numa_nodes: ABSENT,
        stats: ABSENT,
        stats_pointer: ABSENT,
        stats_state: ABSENT,
        stats_count: ABSENT,
        stats_items: [ABSENT; STATS],
        stats_table: ABSENT,
        stats_table_high: ABSENT,
        stats_first: ABSENT,
        lruvec_lists: ABSENT,
        gen_lists: ABSENT,
        gen_list_count: ABSENT,
        folio_lru: ABSENT,
        folio_flags: ABSENT,
        folio_mapping: ABSENT,
        folio_memcg: ABSENT,
        folio_pages: ABSENT,
        flag_lru: ABSENT,
        flag_head: ABSENT,
        mapping_host: ABSENT,
        inode_number: ABSENT,
        inode_sb: ABSENT,
        inode_links: ABSENT,
        inode_rdev: ABSENT,
        inode_dentries: ABSENT,
        sb_dev: ABSENT,
        sb_id: ABSENT,
        dentry_alias: ABSENT,
        dentry_parent: ABSENT,
        dentry_name: ABSENT,
        objcg_list: ABSENT,
        objcg_by_node: ABSENT,
        objcg_entry: ABSENT,
        objcg_memcg: ABSENT,
        objcg_ref_data: ABSENT,
    };
}

const _: () = assert!(
    size_of::<Layout>() == (79 + STATS) * 4,
    "Layout has padding"
);
