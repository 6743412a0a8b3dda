//! The hooks as the kernel's own tracing sees them, and the choice among their ways.
//!
//! A way's programs are here the probes that it takes, written as `kprobe_events` takes them but for the places of
//! arguments: `p FUNCTION` at its entry, `r FUNCTION` at its return. The tracepoints take none. Pointers have no type: all
//! kernels print those in hexadecimal, while `u64` became decimal in 4.9. A probe has one string at most, the last of its
//! fields: names hold anything, a quotation mark as well. And up to 4.9 its whole text is shorter than 128 bytes
//! (`WRITE_BUFSIZE`), so that the names of a directory's parents take probes of their own.

mod probe;

use self::probe::{ARGUMENTS, clones};
pub use self::probe::{Probe, function, probes, trace_lacks};
use super::{
    HookId, HookPlan, Options, Program, choose,
    table::{Hook, Way, WayKind, program},
};
use crate::host::Tracing;

/// The probe of `cgroup_mkdir(struct kernfs_node *, const char *name, umode_t)`: since 3.15.
const MKDIR: Program = program("mkdir", "p cgroup_mkdir name=+0({2}):string");

/// The probe of `cgroup_mkdir(struct inode *, struct dentry *, umode_t)`: `d_name.name` is 40 bytes into a dentry on 64-bit
/// machines, from the rework of 2.6.38 on.
const MKDIR_DENTRY: Program = program("mkdir", "p cgroup_mkdir name=+0(+0x28({2})):string");

/// The names of the directories above the new one: `kernfs_node.parent` and `.name` are 8 and 16 bytes into a node. The root's
/// name is empty.
const UP: [Program; 6] = [
    program("up1", "p cgroup_mkdir name=+0(+16({1})):string"),
    program("up2", "p cgroup_mkdir name=+0(+16(+8({1}))):string"),
    program("up3", "p cgroup_mkdir name=+0(+16(+8(+8({1})))):string"),
    program("up4", "p cgroup_mkdir name=+0(+16(+8(+8(+8({1}))))):string"),
    program(
        "up5",
        "p cgroup_mkdir name=+0(+16(+8(+8(+8(+8({1})))))):string",
    ),
    program(
        "up6",
        "p cgroup_mkdir name=+0(+16(+8(+8(+8(+8(+8({1}))))))):string",
    ),
];

/// The same: `d_parent` is 24 bytes into a dentry. The root's name is `/`.
const UP_DENTRY: [Program; 6] = [
    program("up1", "p cgroup_mkdir name=+0(+40(+24({2}))):string"),
    program("up2", "p cgroup_mkdir name=+0(+40(+24(+24({2})))):string"),
    program(
        "up3",
        "p cgroup_mkdir name=+0(+40(+24(+24(+24({2}))))):string",
    ),
    program(
        "up4",
        "p cgroup_mkdir name=+0(+40(+24(+24(+24(+24({2})))))):string",
    ),
    program(
        "up5",
        "p cgroup_mkdir name=+0(+40(+24(+24(+24(+24(+24({2}))))))):string",
    ),
    program(
        "up6",
        "p cgroup_mkdir name=+0(+40(+24(+24(+24(+24(+24(+24({2})))))))):string",
    ),
];

/// Where locks are debugged (`CONFIG_LOCKDEP`) a kernfs node has its lock's map before its parent.
const LOCKDEP: &str = "lock_acquire";

/// What its return says.
const MKDIR_RETURN: Program = program("mkdir_return", "r cgroup_mkdir ret=$retval:s32");

/// The memcg of a cgroup that is being made; on 3.10 the argument is that cgroup.
const ALLOC: Program = program("alloc", "p mem_cgroup_css_alloc arg={1}");

/// The memcg goes offline.
const OFFLINE: Program = program("offline", "p mem_cgroup_css_offline memcg={1}");

/// Its end.
const FREE: Program = program("free", "p mem_cgroup_css_free memcg={1}");

/// The memcg or the error: the css is the memcg's first member.
const ALLOC_RETURN: Program = program("alloc_return", "r mem_cgroup_css_alloc memcg=$retval");

/// A failed slab allocation. Of what the compiler made of the function (`slab_out_of_memory.constprop.0`) the arguments are not
/// known: there it tells that one failed, and who ran.
const SLAB: Program = program("slab", "p slab_out_of_memory gfp={2} node={3}:s32");

/// A probe on what reading `/proc/cgroups` calls: to see whether probes' events come at all, and whether what a probe cannot read
/// (here what is at address 0) counts as a probe that was skipped.
pub const TRIAL: [Program; 1] = [program("trial", "p proc_cgroupstats_show nothing=@0:u8")];

/// Functions that show which form others have: each is there on kernels of the one form only. `cgroup_diput` is in the
/// dentries' operations while cgroups' directories are dentries (to 3.14); `cgroup_kn_lock_live` finds the cgroup of a
/// kernfs node (3.16 and later).
const FORM: [(&str, &str); 2] = [
    (MKDIR.target, "cgroup_kn_lock_live"),
    (MKDIR_DENTRY.target, "cgroup_diput"),
];

/// The hooks, each with its ways.
pub const TRACE_HOOKS: &[Hook] = &[
    Hook {
        id: HookId::LIFECYCLE,
        unseen: "memory cgroups being made, removed and freed",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::Tracepoint,
                programs: &[],
                lost: Some("memcg ids, usage at removal, and paths over 1 KiB"),
                needs: None,
            },
            Way {
                kind: WayKind::Kprobe,
                programs: &[
                    MKDIR,
                    UP[0],
                    UP[1],
                    UP[2],
                    UP[3],
                    UP[4],
                    UP[5],
                    MKDIR_RETURN,
                    ALLOC_RETURN,
                    OFFLINE,
                    FREE,
                ],
                lost: Some(
                    "memcg ids, usage at removal, who removed what, renames, and the ends of those that were there before",
                ),
                needs: None,
            },
            Way {
                kind: WayKind::Kprobe,
                programs: &[
                    MKDIR_DENTRY,
                    UP_DENTRY[0],
                    UP_DENTRY[1],
                    UP_DENTRY[2],
                    UP_DENTRY[3],
                    UP_DENTRY[4],
                    UP_DENTRY[5],
                    MKDIR_RETURN,
                    ALLOC,
                    ALLOC_RETURN,
                    program("destroy", "p cgroup_destroy_locked cgroup={1}"),
                    program("destroy_return", "r cgroup_destroy_locked ret=$retval:s32"),
                    // css_free comes earlier here: what is charged holds the memcg beyond it (mem_cgroup_get)
                    program("free", "p __mem_cgroup_free memcg={1}"),
                ],
                lost: Some(
                    "memcg ids, usage at removal, renames, and the ends of those that were there before",
                ),
                needs: None,
            },
        ],
    },
    Hook {
        id: HookId::MEMCG,
        unseen: "memcgs that begin by `+memory` and end by `-memory` in cgroup.subtree_control, until the next walk",
        v2_only: true,
        ways: &[],
    },
    Hook {
        id: HookId::SLAB_FAILURE,
        unseen: "slab allocations that fail",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::Kprobe,
                programs: &[SLAB],
                lost: Some(
                    "which slab cache failed, where the kernel log's rate limit holds it back",
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
                kind: WayKind::Kretprobe,
                programs: &[
                    MKDIR,
                    UP[0],
                    UP[1],
                    UP[2],
                    UP[3],
                    UP[4],
                    UP[5],
                    MKDIR_RETURN,
                    ALLOC_RETURN,
                ],
                lost: Some(EARLY),
                needs: None,
            },
            Way {
                kind: WayKind::Kretprobe,
                programs: &[
                    MKDIR_DENTRY,
                    UP_DENTRY[0],
                    UP_DENTRY[1],
                    UP_DENTRY[2],
                    UP_DENTRY[3],
                    UP_DENTRY[4],
                    UP_DENTRY[5],
                    MKDIR_RETURN,
                    ALLOC_RETURN,
                ],
                lost: Some(EARLY),
                needs: None,
            },
        ],
    },
];

/// What only the memory hierarchy's own hooks see: before them a mkdir is of any hierarchy. `EAGAIN` is cgroup v2's alone
/// (`cgroup_check_hierarchy_limits`).
const EARLY: &str = "refusals before anything was made other than EAGAIN";

/// All functions whose being there the choice depends on.
pub fn functions() -> Vec<&'static str> {
    let ways = TRACE_HOOKS.iter().flat_map(|hook| hook.ways);
    let trial = TRIAL.iter().filter_map(function);
    let mut functions: Vec<_> = ways
        .flat_map(needed)
        .chain(trial)
        .chain([LOCKDEP])
        .collect();
    functions.sort_unstable();
    functions.dedup();
    functions
}

/// The functions that a way needs.
fn needed(way: &'static Way) -> impl Iterator<Item = &'static str> {
    way.programs.iter().flat_map(|row| {
        let form = FORM.iter().find(|(target, _)| *target == row.target);
        function(row)
            .into_iter()
            .chain(form.map(|(_, function)| *function))
    })
}

/// Chooses for every hook as the kernel's tracing sees it. `tracing` is what tracefs has, if it is mounted.
pub fn plan_tracefs(tracing: Option<&Tracing>, options: &Options) -> Vec<HookPlan> {
    choose(TRACE_HOOKS, options, |way| refusal(way, tracing))
}

fn refusal(way: &'static Way, tracing: Option<&Tracing>) -> Option<String> {
    if way.kind == WayKind::Kmsg {
        return None;
    }
    let Some(tracing) = tracing else {
        return Some("requires tracefs, which is not mounted".to_owned());
    };
    if tracing.denied {
        return Some("not permitted: tracefs is open to root only".to_owned());
    }
    if way.kind == WayKind::Tracepoint {
        return (!tracing.tracepoints)
            .then(|| "this kernel has no tracepoints of cgroups (events/cgroup)".to_owned());
    }
    if !tracing.kprobes {
        return Some("requires kprobes: there is no kprobe_events".to_owned());
    }
    if ARGUMENTS.is_none() {
        return Some("where arguments are is not known on this architecture".to_owned());
    }
    let blind = |name| {
        let mut rows = way
            .programs
            .iter()
            .filter(|row| function(row) == Some(name));
        rows.any(|row| clones(row, tracing).is_some())
    };
    let missing = needed(way).find(|name| !tracing.functions.contains(name) && !blind(name))?;
    let clone = tracing.clones.get(missing).and_then(|found| found.first());
    Some(match clone {
        Some(clone) => {
            format!("requires the function {missing}: the arguments of {clone} are not known")
        }
        None => format!("requires the function {missing}, which /proc/kallsyms has not"),
    })
}

#[cfg(test)]
mod tests;
