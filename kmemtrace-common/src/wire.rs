//! The records that the eBPF programs write into the ring buffer.
//!
//! A record is a [`Head`] followed by `Head::text_len` bytes of text. What the text is, [`Head::text_form`] says.

/// The default size of the ring buffer, in bytes: room for some 40,000 events with paths as long as a pod's.
pub const RING_BYTES: u32 = 8 << 20;

/// The most text one record carries, in bytes: a path of `PATH_MAX`.
pub const TEXT_MAX: usize = 4096;

/// The longest name of one directory with its NUL (`NAME_MAX` + 1), in bytes.
pub const NAME_BYTES: usize = 256;

/// What happened: values of [`Head::kind`].
pub mod kind {
    /// Tracepoint `cgroup_mkdir`: a directory was made, its memcg is online.
    pub const MKDIR: u32 = 0;
    /// Tracepoint `cgroup_rmdir`: the directory is gone, the memcg is about to go offline.
    pub const RMDIR: u32 = 1;
    /// Tracepoint `cgroup_release`: the last css of the cgroup is freed.
    pub const RELEASE: u32 = 2;
    /// Tracepoint `cgroup_rename` (v1 only).
    pub const RENAME: u32 = 3;
    /// `mem_cgroup_css_online`
    pub const CSS_ONLINE: u32 = 4;
    /// `mem_cgroup_css_offline`
    pub const CSS_OFFLINE: u32 = 5;
    /// `mem_cgroup_css_free`, or `mem_cgroup_css_released` just before it
    pub const CSS_FREE: u32 = 6;
    /// `slab_out_of_memory`, or `kmem_cache_alloc` with a NULL result
    pub const SLAB_FAILURE: u32 = 7;
    /// A line for the console that holds SLUB's message
    pub const CONSOLE: u32 = 8;
    /// `cgroup_mkdir` returned an error
    pub const MKDIR_FAILURE: u32 = 9;
    /// The `mkdir` or `mkdirat` system call returned an error, for whatever path
    pub const MKDIR_SYSCALL: u32 = 10;
    /// How many kinds there are.
    pub const COUNT: u32 = 11;
}

/// What the text behind a [`Head`] is: values of [`Head::text_form`].
pub mod text_form {
    /// There is none.
    pub const NONE: u32 = 0;
    /// As it stands: a path from the hierarchy's root, a slab cache's name, a line of the kernel log.
    pub const PLAIN: u32 = 1;
    /// A path as its components, leaf first, each ended by a NUL.
    pub const COMPONENTS: u32 = 2;
}

/// Bits of [`Head::flags`].
pub mod flag {
    /// The text was longer than there was room or patience for.
    pub const TEXT_CUT: u32 = 1 << 0;
    /// Whether the directory was ever activated is known: see [`ACTIVATED`].
    pub const ACTIVATED_KNOWN: u32 = 1 << 1;
    /// The directory's mkdir once succeeded; a released cgroup without it is a mkdir that was rolled back.
    pub const ACTIVATED: u32 = 1 << 2;
    /// Whether the cgroup has a memcg is known: see [`MEMCG`].
    pub const MEMCG_KNOWN: u32 = 1 << 3;
    /// The cgroup has a memcg of its own.
    pub const MEMCG: u32 = 1 << 4;
    /// `memcg_id` was read (0 then means that the memcg has given its id back).
    pub const MEMCG_ID_KNOWN: u32 = 1 << 5;
    /// `usage_pages` was read.
    pub const USAGE_KNOWN: u32 = 1 << 6;
    /// `gfp` and `node` were read.
    pub const GFP_KNOWN: u32 = 1 << 7;
}

/// The fixed part of a record. 0 means unknown in `cgroup_id`, `parent_id` and `serial`, which the kernel never has as 0
/// but for the root's parent.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// `bpf_ktime_get_ns`: nanoseconds of `CLOCK_MONOTONIC`.
    pub mono_ns: u64,
    /// `kernfs_node.id` of the cgroup's directory.
    pub cgroup_id: u64,
    /// The parent directory's.
    pub parent_id: u64,
    /// `cgroup_subsys_state.serial_nr` of the memory css: counts up with every css the kernel makes, never reused.
    pub serial: u64,
    /// `mem_cgroup.memory.usage` in pages.
    pub usage_pages: i64,
    /// One of [`kind`].
    pub kind: u32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// One of [`text_form`].
    pub text_form: u32,
    /// Bytes of text behind this head, at most [`TEXT_MAX`].
    pub text_len: u32,
    /// The current task's thread group id, as the initial pid namespace has it.
    pub pid: u32,
    /// `mem_cgroup.id`
    pub memcg_id: u32,
    /// The error a call returned (`-ENOMEM`), or 0.
    pub errno: i32,
    /// The allocation's gfp mask.
    pub gfp: u32,
    /// The allocation's NUMA node, -1 for any.
    pub node: i32,
    /// The slab cache's object size in bytes, or 0.
    pub object_size: u32,
    /// The current task's name, padded with NULs.
    pub comm: [u8; 16],
}

/// Bytes of a [`Head`].
pub const HEAD_BYTES: usize = size_of::<Head>();

impl Head {
    /// A head of nothing but zeroes.
    pub const ZERO: Self = Self {
        mono_ns: 0,
        cgroup_id: 0,
        parent_id: 0,
        serial: 0,
        usage_pages: 0,
        kind: 0,
        flags: 0,
        text_form: 0,
        text_len: 0,
        pid: 0,
        memcg_id: 0,
        errno: 0,
        gfp: 0,
        node: 0,
        object_size: 0,
        comm: [0; 16],
    };
}

const _: () = {
    assert!(HEAD_BYTES == 5 * 8 + 10 * 4 + 16, "Head has padding");
    assert!(align_of::<Head>() == 8);
    assert!(core::mem::offset_of!(Head, kind) == 40);
    assert!(core::mem::offset_of!(Head, comm) == 80);
};
