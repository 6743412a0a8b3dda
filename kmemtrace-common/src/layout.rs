//! Where the fields that the eBPF programs read lie in *this* kernel.
//!
//! The programs carry no offset of their own: the collector resolves each one in the running kernel's BTF (or in a
//! tracepoint's `format` file) and injects the whole [`Layout`] as a read-only global. The verifier sees constants, and
//! drops the branches behind an [`ABSENT`] field.
//!
//! A field is one row of the table below: its name here, its name for people, its place, and what it is read for.

use crate::walk::STATS;

/// The offset of a field that this kernel does not have, or whose place is not known.
pub const ABSENT: u32 = u32::MAX;

/// What a field is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To tell which cgroup a pointer is of, and of which hierarchy.
    Cgroup,
    /// To tell which cgroup a css is of.
    Css,
    /// The records of the plain tracepoints of cgroups.
    Record,
    /// To tell which allocation failed.
    Allocation,
    /// To tell where a mkdir that failed was made.
    Call,
    /// To tell whether a directory was ever activated.
    Activation,
    /// The records of the mkdir system calls.
    Syscalls,
    /// To go from one memcg to the next, and say which one is which.
    Walk,
    /// A memcg's reference count.
    References,
    /// A memcg's id.
    MemcgId,
    /// A memcg's memory.
    Memory,
    /// A memcg's swap; on v1 memory and swap.
    Swap,
    /// v1: a memcg's kernel memory.
    Kmem,
    /// v1: a memcg's TCP memory.
    Tcpmem,
    /// What a memcg has on LRU lists.
    Lists,
    /// A memcg's statistics.
    Stats,
    /// To go from a memcg's pages to their files.
    Files,
    /// Object cgroups.
    Objcgs,
    /// To tell whether a directory is there.
    Directory,
}

/// Where a field's place is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `struct.member.member`, in BTF: the first of these that there is.
    Members(&'static [&'static str]),
    /// `struct.member[index]`, an array of pointers: the member, the index's enumeration, its enumerator.
    Element(&'static str, &'static str, &'static str),
    /// Not a place, but a value: an enumeration and its enumerator.
    Value(&'static str, &'static str),
    /// The number of an argument: the raw tracepoint, the argument's type.
    Argument(&'static str, &'static str),
    /// A tracepoint's `format` file: the event, the field, how many bytes it has. One of another size is another field.
    Format(&'static str, &'static str, u32),
    /// What the collector works out by itself.
    Computed,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name for people.
    pub name: &'static str,
    /// `no NAME`.
    pub lack: &'static str,
    /// Where its place is told.
    pub place: Place,
    /// What cannot be done without it.
    pub uses: &'static [Use],
    /// Its value in a layout.
    pub get: fn(&Layout) -> u32,
    /// Sets it in a layout.
    pub set: fn(&mut Layout, u32),
}

/// `field: "name for people"`, then `= PLACE` unless the name is that of the member, then what it is read for, then a remark.
macro_rules! layout {
    ($($field:ident: $name:literal $(= $place:ident $(($($arg:expr),+))?)? $(, for $($use:ident)+)? $(, $remark:literal)?;)*) => {
        /// Byte offsets into kernel structures, and the few constants that depend on the kernel. [`ABSENT`] where unknown.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Layout {
            $(
                #[doc = concat!("`", $name, "`" $(, ": ", $remark)?)]
                pub $field: u32,
            )*
            /// Where each kind of [`crate::walk::STATS`] is in that array, or, if there is a table, in the table
            pub stats_items: [u32; STATS],
        }

        impl Layout {
            /// A layout in which nothing is known.
            pub const UNKNOWN: Self = Self {
                $($field: ABSENT,)*
                stats_items: [ABSENT; STATS],
            };

            /// All fields but `stats_items`, in the order in which a missing one is told.
            pub const FIELDS: &[Field] = &[$(Field {
                name: $name,
                lack: concat!("no ", $name),
                place: place!($name $(, $place $(($($arg),+))?)?),
                uses: &[$($(Use::$use),+)?],
                get: |layout| layout.$field,
                set: |layout, value| layout.$field = value,
            },)*];
        }
    };
}

macro_rules! place {
    ($name:literal) => { Place::Members(&[$name]) };
    ($name:literal, Members($($path:expr),+)) => { Place::Members(&[$($path),+]) };
    ($name:literal, $place:ident $(($($arg:expr),+))?) => { Place::$place $(($($arg),+))? };
}

layout! {
    memory_hierarchy: "the memory hierarchy's id" = Computed, "0 on cgroup v2, the second column of `/proc/cgroups` on v1";

    task_cgroups: "task_struct.cgroups", for Walk;
    css_set_memory: "css_set.subsys" = Element("css_set.subsys", "cgroup_subsys_id", "memory_cgrp_id"), for Walk;
    css_parent: "cgroup_subsys_state.parent", for Walk;
    css_children: "cgroup_subsys_state.children", for Walk;
    css_sibling: "cgroup_subsys_state.sibling", for Walk;
    css_flags: "cgroup_subsys_state.flags", for Walk;
    css_serial: "cgroup_subsys_state.serial_nr", for Walk;
    css_cgroup: "cgroup_subsys_state.cgroup", for Css Walk;
    css_id: "cgroup_subsys_state.id";
    cgroup_kn: "cgroup.kn", for Cgroup Css Walk;
    kn_priv: "kernfs_node.priv", for Call, "the `struct cgroup *` of a cgroup's directory";
    cgroup_root: "cgroup.root", for Cgroup Call;
    cgroup_memory_css: "cgroup.subsys" = Element("cgroup.subsys", "cgroup_subsys_id", "memory_cgrp_id");
    root_hierarchy: "cgroup_root.hierarchy_id", for Cgroup Call;
    kn_id: "kernfs_node.id", for Cgroup Css Walk, "64 bits";
    kn_ino: "kernfs_node.id.ino", "before 5.5 the number of the directory is a half of its id, 32 bits";
    kn_name: "kernfs_node.name", for Walk Call;
    kn_parent: "kernfs_node.parent" = Members("kernfs_node.__parent", "kernfs_node.parent"), for Call, "`__parent` since 6.15";
    kn_flags: "kernfs_node.flags", for Activation, "16 bits";
    kn_activated: "KERNFS_ACTIVATED" = Value("kernfs_node_flag", "KERNFS_ACTIVATED"), for Activation, "set on a directory once its mkdir has succeeded (`kernfs_activate`)";

    tp_root: "root in cgroup_mkdir's format" = Format("cgroup/cgroup_mkdir", "root", 4), for Record, "and in its siblings'";
    tp_id: "id in cgroup_mkdir's format" = Format("cgroup/cgroup_mkdir", "id", 8), for Record, "the directory's; before 5.5 an `int` of another numbering";
    tp_path: "path in cgroup_mkdir's format" = Format("cgroup/cgroup_mkdir", "path", 4), for Record, "a `__data_loc`";
    tp_mkdir_path: "pathname in sys_enter_mkdir's format" = Format("syscalls/sys_enter_mkdir", "pathname", 8), for Syscalls;
    tp_mkdirat_path: "pathname in sys_enter_mkdirat's format" = Format("syscalls/sys_enter_mkdirat", "pathname", 8), for Syscalls;
    tp_exit_ret: "ret in sys_exit_mkdirat's format" = Format("syscalls/sys_exit_mkdirat", "ret", 8), for Syscalls, "and in sys_exit_mkdir's";

    alloc_result_arg: "the result of tracepoint kmem_cache_alloc" = Argument("kmem_cache_alloc", "void *"), for Allocation, "before it comes the call site, an integer";
    alloc_cache_arg: "the cache of tracepoint kmem_cache_alloc" = Argument("kmem_cache_alloc", "kmem_cache *");
    alloc_gfp_arg: "the flags of tracepoint kmem_cache_alloc" = Argument("kmem_cache_alloc", "gfp_t");
    alloc_node_arg: "the NUMA node of tracepoint kmem_cache_alloc" = Argument("kmem_cache_alloc", "int");
    cache_name: "kmem_cache.name";
    cache_object_size: "kmem_cache.object_size", "32 bits";

    css_ref: "cgroup_subsys_state.refcnt" = Members("cgroup_subsys_state.refcnt.data", "cgroup_subsys_state.refcnt.count"), for References, "a pointer to a `percpu_ref_data`, or before 5.10 the count itself";
    css_ref_apart: "whether the count is in a percpu_ref_data" = Computed, "1 if it is";
    memcg_id: "mem_cgroup.id" = Members("mem_cgroup.id.id", "mem_cgroup.private_id.id"), for MemcgId, "32 bits";
    memcg_usage: "mem_cgroup.memory.usage", for Memory, "in pages";
    memcg_swap: "mem_cgroup.swap.usage", for Swap, "in pages; on v1 that of `memsw`, memory and swap";
    memcg_kmem: "mem_cgroup.kmem.usage", for Kmem, "in pages";
    memcg_tcpmem: "mem_cgroup.tcpmem.usage", for Tcpmem, "in pages";
    lru_sizes: "mem_cgroup_per_node.lru_zone_size" = Computed, for Lists, "in pages: zones by lists";
    lru_zones: "the zones of lru_zone_size" = Computed, "how many";
    gen_pages: "mem_cgroup_per_node.lruvec.lrugen.nr_pages" = Computed, "generations by anonymous and file by zones";
    gen_count: "the generations of nr_pages" = Computed, "how many";
    numa_nodes: "the NUMA nodes of this machine" = Computed, "how many there may be";
    stats: "mem_cgroup.vmstats" = Computed, for Stats, "a memcg's statistics, or a pointer to them";
    stats_pointer: "whether vmstats is a pointer" = Computed, "1 if it is";
    stats_state: "memcg_vmstats.state" = Computed, "the array of those kept by item";
    stats_count: "the elements of that array" = Computed, "how many";
    stats_table: "mem_cgroup_stats_index" = Computed, "the lower half of its address: the kernel's table that takes an item to its place in the array, 8 bits each; absent if items are places";
    stats_table_high: "mem_cgroup_stats_index, upper half" = Computed;
    stats_first: "the first item of the array" = Value("node_stat_item", "NR_INACTIVE_ANON"), "the first of `memcg_node_stat_items`, and so of the array where that has only what is counted";
    cgroup_flags: "cgroup.self.flags", for Directory;

    memcg_nodeinfo: "mem_cgroup.nodeinfo", for Lists Files, "a `struct mem_cgroup_per_node *` for each NUMA node";
    lruvec_lists: "mem_cgroup_per_node.lruvec.lists", for Files, "the heads of the classic LRU lists";
    gen_lists: "lruvec.lrugen.folios" = Computed, "those of the multi-gen LRU; `lists` before 6.4";
    gen_list_count: "the lists of lruvec.lrugen" = Computed, "how many heads";
    folio_lru: "folio.lru" = Members("folio.lru", "page.lru"), for Files, "this and the next are `struct page`'s before 5.16";
    folio_flags: "folio.flags" = Members("folio.flags", "page.flags"), for Files;
    folio_mapping: "folio.mapping" = Members("folio.mapping", "page.mapping"), for Files;
    folio_memcg: "folio.memcg_data" = Members("folio.memcg_data", "page.memcg_data", "page.mem_cgroup"), for Files, "`page.mem_cgroup` before 5.11";
    folio_pages: "folio._folio_nr_pages" = Members("folio._nr_pages", "folio._folio_nr_pages"), for Files, "how many pages a large folio has, 32 bits";
    flag_lru: "PG_lru" = Value("pageflags", "PG_lru"), for Files, "a bit's number in the flags";
    flag_head: "PG_head" = Value("pageflags", "PG_head"), for Files, "another, set in large folios";
    mapping_host: "address_space.host", for Files;
    inode_number: "inode.i_ino", for Files;
    inode_sb: "inode.i_sb", for Files;
    inode_links: "inode.i_nlink", for Files;
    inode_rdev: "inode.i_rdev", for Files;
    inode_dentries: "inode.i_dentry", for Files, "a list of its names";
    sb_dev: "super_block.s_dev", for Files;
    sb_id: "super_block.s_id", for Files;
    dentry_alias: "dentry.d_u.d_alias" = Members("dentry.d_u.d_alias", "dentry.d_alias"), for Files, "its place in that list";
    dentry_parent: "dentry.d_parent", for Files;
    dentry_name: "dentry.d_name.name", for Files;

    objcg_list: "mem_cgroup.objcg_list" = Members("mem_cgroup.objcg_list", "mem_cgroup_per_node.objcg_list"), for Objcgs, "the object cgroups of removed children; of each NUMA node from 7.1 on";
    objcg_by_node: "whether objcg_list is of each NUMA node" = Computed, "1 if it is";
    objcg_entry: "obj_cgroup.list", for Objcgs, "its place in that list";
    objcg_memcg: "obj_cgroup.memcg", for Objcgs;
    objcg_ref_data: "obj_cgroup.refcnt" = Members("obj_cgroup.refcnt.data"), for Objcgs;
    ref_count: "percpu_ref_data.count", for Objcgs;
}

impl Layout {
    /// The first field that this use takes and this kernel does not have.
    pub fn missing(&self, wanted: Use) -> Option<&'static Field> {
        Self::FIELDS
            .iter()
            .find(|field| field.uses.contains(&wanted) && (field.get)(self) == ABSENT)
    }
}

const _: () = assert!(
    size_of::<Layout>() == (Layout::FIELDS.len() + STATS) * 4,
    "Layout has padding"
);
