//! What the kernel walk keeps between its runs ([`Cursor`]) and what one run finds ([`Node`]).
//!
//! A run does at most [`STEPS`] steps from where the cursor stands and ends; the collector takes the nodes out and runs it
//! again until the cursor's phase says that it is over. So the verifier's work is bounded, and a tree of any size is walked.

/// The most steps that one run does, and so the most nodes that it finds. A power of two. The verifier goes through each of
/// them whenever kmemtrace starts.
pub const STEPS: usize = 16;

/// Kinds of pages in the classic LRU lists: inactive and active anonymous, inactive and active file, unevictable
/// (`enum lru_list`).
pub const LRU_LISTS: usize = 5;

/// NUMA nodes whose LRU lists are added up; on a machine with more, page counts are not known.
pub const NUMA_NODES: u32 = 8;

/// Zones of a NUMA node, at most (`MAX_NR_ZONES`).
pub const ZONES: u32 = 6;

/// Kinds of memory that a memcg's statistics tell and its LRU lists do not: shared memory (tmpfs included), reclaimable and
/// other slab, per-CPU memory, kernel stacks, sockets (`enum node_stat_item`, `enum memcg_stat_item`).
pub const STATS: usize = 6;

/// Generations of the multi-gen LRU, at most (`MAX_NR_GENS`).
pub const GENERATIONS: u32 = 4;

/// Where a walk stands: values of [`Cursor::phase`].
pub mod phase {
    /// Not begun: the current task's memcg is next.
    pub const START: u32 = 0;
    /// On the way up from there to the root.
    pub const CLIMB: u32 = 1;
    /// The children of `at` are next.
    pub const DOWN: u32 = 2;
    /// What is below `at` is done; its next sibling is next.
    pub const NEXT: u32 = 3;
    /// The whole tree was walked.
    pub const DONE: u32 = 4;
    /// `at` and its parent were freed between two runs: only a new walk from the start helps.
    pub const LOST: u32 = 5;
    /// A pointer could not be read.
    pub const BAD: u32 = 6;
}

/// Bits of [`Node::known`].
pub mod known {
    /// `refcount` was read.
    pub const REFCOUNT: u32 = 1 << 0;
    /// `memcg_id` was read.
    pub const MEMCG_ID: u32 = 1 << 1;
    /// `memory` was read.
    pub const MEMORY: u32 = 1 << 2;
    /// `swap` was read.
    pub const SWAP: u32 = 1 << 3;
    /// `kmem` was read.
    pub const KMEM: u32 = 1 << 4;
    /// `tcpmem` was read.
    pub const TCPMEM: u32 = 1 << 5;
    /// `lru` was read.
    pub const LRU: u32 = 1 << 6;
    /// Whether the directory is there is known: see [`DIRECTORY`].
    pub const DIRECTORY_KNOWN: u32 = 1 << 7;
    /// The cgroup's directory is there.
    pub const DIRECTORY: u32 = 1 << 8;
    /// `css_id` was read.
    pub const CSS_ID: u32 = 1 << 9;
    /// The first of `stats` was read; the next bits are for those after it.
    pub const STATS: u32 = 1 << 10;
}

/// Bits of `cgroup_subsys_state.flags`, the same in every kernel since 4.8.
pub mod css_flag {
    /// `CSS_ONLINE`
    pub const ONLINE: u32 = 1 << 1;
    /// `CSS_RELEASED`: off its parent's list, about to be freed.
    pub const RELEASED: u32 = 1 << 2;
    /// `CSS_DYING`: its directory was removed, or on v2 `-memory` written.
    pub const DYING: u32 = 1 << 4;
}

/// A walk's position. The collector clears it to begin.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The root's `struct cgroup_subsys_state *`.
    pub root: u64,
    /// The css where the walk stands.
    pub at: u64,
    /// Its serial number at the end of the last run.
    pub at_serial: u64,
    /// Its parent.
    pub parent: u64,
    /// The parent's serial number.
    pub parent_serial: u64,
    /// If not 0: children up to this serial number are done. They are linked in its order (`css_next_child`).
    pub after: u64,
    /// One of [`phase`].
    pub phase: u32,
    /// How many nodes the last run found.
    pub nodes: u32,
    /// How often what stood at the cursor was freed between two runs, and its parent was walked from there.
    pub resumed: u32,
    /// Steps in all.
    pub steps: u32,
}

/// A memcg as the walk found it. What [`Node::known`] does not say is there is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// `bpf_ktime_get_ns` when it was read.
    pub mono_ns: u64,
    /// The address of its `struct cgroup_subsys_state`, which is its `struct mem_cgroup`'s.
    pub css: u64,
    /// `cgroup_subsys_state.serial_nr`
    pub serial: u64,
    /// The parent css's.
    pub parent_serial: u64,
    /// `kernfs_node.id` of its cgroup.
    pub cgroup_id: u64,
    /// The parent memcg's cgroup's.
    pub parent_id: u64,
    /// `refcnt.data->count`: references, exact once it is dead.
    pub refcount: i64,
    /// `memory.usage` in pages.
    pub memory: i64,
    /// `swap.usage` in pages: on v2 swap, on v1 memory and swap.
    pub swap: i64,
    /// `kmem.usage` in pages.
    pub kmem: i64,
    /// `tcpmem.usage` in pages.
    pub tcpmem: i64,
    /// Pages by LRU list, those of the multi-gen LRU added as active ones.
    pub lru: [u64; LRU_LISTS],
    /// Statistics by kind, in the kernel's units: see [`STATS`].
    pub stats: [i64; STATS],
    /// `cgroup_subsys_state.flags`
    pub flags: u32,
    /// Bits of [`known`].
    pub known: u32,
    /// `cgroup_subsys_state.id`
    pub css_id: u32,
    /// The memcg id; 0 once the kernel has taken it back.
    pub memcg_id: u32,
    /// Bytes of `name`, without its NUL.
    pub name_len: u32,
    /// Nothing.
    pub reserved: u32,
    /// The directory's name.
    pub name: [u8; crate::wire::NAME_BYTES],
}

/// What a run found: the first [`Cursor::nodes`] of these.
pub type Batch = [Node; STEPS];

const _: () = {
    assert!(size_of::<Cursor>() == 6 * 8 + 4 * 4, "Cursor has padding");
    assert!(
        size_of::<Node>() == (11 + LRU_LISTS + STATS) * 8 + 6 * 4 + crate::wire::NAME_BYTES,
        "Node has padding"
    );
    assert!(STEPS.is_power_of_two());
};
