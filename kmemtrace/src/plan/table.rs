//! The table of hooks. A row is a hook; in it one row a way, best first. A new hook is one more row here and one file in
//! `kmemtrace-ebpf/src/hooks`.

use kmemtrace_common::layout::Use;

/// One thing in the kernel that kmemtrace wants to see.
#[derive(Debug)]
pub struct Hook {
    /// Its name in headers, `doctor` and docs.
    pub id: HookId,
    /// The ways of seeing it, best first.
    pub ways: &'static [Way],
    /// What nobody sees if no way works.
    pub unseen: &'static str,
    /// That can happen on cgroup v2 only.
    pub v2_only: bool,
}

/// A hook's name. Those that only their row knows are named there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookId(&'static str);

impl HookId {
    /// What the others report, on its way to the collector.
    pub const RECORDS: Self = Self("records");
    /// A cgroup made, renamed, removed and freed.
    pub const LIFECYCLE: Self = Self("lifecycle");
    /// The memcg itself going online, offline and away.
    pub const MEMCG: Self = Self("memcg");
    /// A slab allocation that failed.
    pub const SLAB_FAILURE: Self = Self("slab failure");
    /// A cgroup that could not be made.
    pub const MKDIR_FAILURE: Self = Self("mkdir failure");
    /// Every memcg that there is, dead ones as well, whenever that is asked.
    pub const WALK: Self = Self("walk");

    /// The name in output.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// One way of seeing a hook.
#[derive(Debug)]
pub struct Way {
    /// The attach method, as `--avoid` names it.
    pub kind: WayKind,
    /// The programs, all of which must attach.
    pub programs: &'static [Program],
    /// What a better way would show and this one does not.
    pub lost: Option<&'static str>,
    /// What the fields are read for without which it says nothing, if it reads any.
    pub needs: Option<Use>,
}

/// A program of the eBPF object and what it attaches to.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// The function or tracepoint.
    pub target: &'static str,
}

/// Attach methods, each with its name in output and in `--avoid`.
macro_rules! ways {
    ($($(#[$doc:meta])+ $way:ident = $name:literal,)+) => {
        /// How something is seen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum WayKind {
            $($(#[$doc])+ $way,)+
        }

        impl WayKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$way),+];

            /// The name in output and in `--avoid`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$way => $name,)+
                }
            }
        }
    };
}

ways! {
    /// A tracepoint whose arguments the verifier knows by type.
    TpBtf = "tp_btf",
    /// A tracepoint's raw arguments.
    RawTp = "raw_tp",
    /// A tracepoint's formatted record.
    Tracepoint = "tracepoint",
    /// A trampoline at a function's entry.
    Fentry = "fentry",
    /// A trampoline at a function's return.
    Fexit = "fexit",
    /// A breakpoint at a function's entry.
    Kprobe = "kprobe",
    /// A breakpoint at a function's return.
    Kretprobe = "kretprobe",
    /// The tracepoint `printk:console`: the kernel log as it is written.
    Console = "console",
    /// The kernel log read from `/dev/kmsg`.
    Kmsg = "kmsg",
    /// Told by the release of a cgroup that was never activated.
    Release = "release",
    /// The tracepoints of the mkdir system calls.
    Syscalls = "syscalls",
    /// What is there is looked at again and again.
    Poll = "poll",
    /// A program that is attached to nothing, and run when it is wanted.
    TestRun = "test_run",
    /// A program on a function of kmemtrace's own, which is called when it is wanted.
    Uprobe = "uprobe",
    /// One buffer for all processors, in order.
    RingBuffer = "ring_buffer",
    /// A buffer for each processor.
    PerfBuffer = "perf_buffer",
}

impl WayKind {
    /// Whether this is a way of carrying records, and no way of seeing something.
    pub const fn carries_records(self) -> bool {
        matches!(self, Self::RingBuffer | Self::PerfBuffer)
    }

    /// Whether programs attach by the kernel's own description of types (BTF). They are in the object that writes to a ring
    /// buffer only: a kernel that has none, yet has these (5.5 to 5.7), has raw tracepoints and kprobes as well.
    pub const fn attaches_by_type(self) -> bool {
        matches!(self, Self::TpBtf | Self::Fentry | Self::Fexit)
    }
}

pub(super) const fn program(name: &'static str, target: &'static str) -> Program {
    Program { name, target }
}

/// The hooks, each with its ways.
pub const HOOKS: &[Hook] = &[
    Hook {
        id: HookId::RECORDS,
        unseen: "whatever eBPF programs see",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::RingBuffer,
                programs: &[],
                lost: None,
                needs: None,
            },
            Way {
                kind: WayKind::PerfBuffer,
                programs: &[],
                lost: None,
                needs: None,
            },
        ],
    },
    Hook {
        id: HookId::LIFECYCLE,
        unseen: "memory cgroups being made, removed and freed",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::TpBtf,
                programs: &[
                    program("tp_btf_mkdir", "cgroup_mkdir"),
                    program("tp_btf_rmdir", "cgroup_rmdir"),
                    program("tp_btf_release", "cgroup_release"),
                    program("tp_btf_rename", "cgroup_rename"),
                ],
                lost: None,
                needs: Some(Use::Cgroup),
            },
            Way {
                kind: WayKind::RawTp,
                programs: &[
                    program("raw_tp_mkdir", "cgroup_mkdir"),
                    program("raw_tp_rmdir", "cgroup_rmdir"),
                    program("raw_tp_release", "cgroup_release"),
                    program("raw_tp_rename", "cgroup_rename"),
                ],
                lost: None,
                needs: Some(Use::Cgroup),
            },
            Way {
                kind: WayKind::Tracepoint,
                programs: &[
                    program("tp_mkdir", "cgroup/cgroup_mkdir"),
                    program("tp_rmdir", "cgroup/cgroup_rmdir"),
                    program("tp_release", "cgroup/cgroup_release"),
                    program("tp_rename", "cgroup/cgroup_rename"),
                ],
                lost: Some("memcg ids, usage at removal, and the ends of paths over 1 KiB"),
                needs: Some(Use::Record),
            },
        ],
    },
    Hook {
        id: HookId::MEMCG,
        unseen: "memcgs that end by `-memory` in cgroup.subtree_control, without an rmdir",
        v2_only: true,
        ways: &[
            Way {
                kind: WayKind::Fentry,
                programs: &[
                    program("fentry_online", "mem_cgroup_css_online"),
                    program("fentry_offline", "mem_cgroup_css_offline"),
                    program("fentry_free", "mem_cgroup_css_free"),
                ],
                lost: None,
                needs: Some(Use::Css),
            },
            Way {
                kind: WayKind::Fentry,
                programs: &[
                    program("fentry_online", "mem_cgroup_css_online"),
                    program("fentry_offline", "mem_cgroup_css_offline"),
                    program("fentry_released", "mem_cgroup_css_released"),
                ],
                lost: None,
                needs: Some(Use::Css),
            },
            Way {
                kind: WayKind::Kprobe,
                programs: &[
                    program("kprobe_online", "mem_cgroup_css_online"),
                    program("kprobe_offline", "mem_cgroup_css_offline"),
                    program("kprobe_free", "mem_cgroup_css_free"),
                ],
                lost: None,
                needs: Some(Use::Css),
            },
            Way {
                kind: WayKind::Kprobe,
                programs: &[
                    program("kprobe_online", "mem_cgroup_css_online"),
                    program("kprobe_offline", "mem_cgroup_css_offline"),
                    program("kprobe_released", "mem_cgroup_css_released"),
                ],
                lost: None,
                needs: Some(Use::Css),
            },
        ],
    },
    Hook {
        id: HookId::SLAB_FAILURE,
        unseen: "slab allocations that fail",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::Fentry,
                programs: &[program("fentry_slab", "slab_out_of_memory")],
                lost: None,
                needs: None,
            },
            Way {
                kind: WayKind::Kprobe,
                programs: &[program("kprobe_slab", "slab_out_of_memory")],
                lost: None,
                needs: None,
            },
            Way {
                kind: WayKind::RawTp,
                programs: &[program("raw_tp_slab", "kmem_cache_alloc")],
                lost: Some("failures of kmalloc"),
                needs: Some(Use::Allocation),
            },
            Way {
                kind: WayKind::Console,
                programs: &[program("raw_tp_console", "console")],
                lost: Some(
                    "failures that the kernel log's rate limit or, on kernels like 5.10, the console's log level holds back, and which cache failed",
                ),
                needs: None,
            },
            Way {
                kind: WayKind::Kmsg,
                programs: &[],
                lost: Some("failures that the kernel log's rate limit holds back, and who failed"),
                needs: None,
            },
        ],
    },
    Hook {
        id: HookId::MKDIR_FAILURE,
        unseen: "cgroups that could not be made",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::Fexit,
                programs: &[program("fexit_mkdir", "cgroup_mkdir")],
                lost: None,
                needs: Some(Use::Call),
            },
            Way {
                kind: WayKind::Kretprobe,
                programs: &[
                    program("kprobe_mkdir", "cgroup_mkdir"),
                    program("kretprobe_mkdir", "cgroup_mkdir"),
                ],
                lost: None,
                needs: Some(Use::Call),
            },
            Way {
                kind: WayKind::Syscalls,
                programs: &[
                    program("tp_enter_mkdir", "syscalls/sys_enter_mkdir"),
                    program("tp_exit_mkdir", "syscalls/sys_exit_mkdir"),
                    program("tp_enter_mkdirat", "syscalls/sys_enter_mkdirat"),
                    program("tp_exit_mkdirat", "syscalls/sys_exit_mkdirat"),
                ],
                lost: Some("mkdirs by relative paths, and by paths through another mount"),
                needs: Some(Use::Syscalls),
            },
            Way {
                kind: WayKind::Release,
                programs: &[],
                lost: Some("the error, who called, and refusals before anything was made (EAGAIN)"),
                needs: Some(Use::Activation),
            },
        ],
    },
    Hook {
        id: HookId::WALK,
        unseen: "the names of zombies that were there before",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::TestRun,
                programs: &[program("raw_tp_walk", "walk")],
                lost: None,
                needs: Some(Use::Walk),
            },
            Way {
                kind: WayKind::Uprobe,
                programs: &[program("uprobe_walk", "walk")],
                lost: None,
                needs: Some(Use::Walk),
            },
        ],
    },
];
