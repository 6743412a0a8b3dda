//! The hooks as the kernel's own tracing sees them, and the choice among their ways.
//!
//! A way's programs are here the probes that it takes, written as `kprobe_events` takes them but for the places of
//! arguments: `p FUNCTION` at its entry, `r FUNCTION` at its return. The tracepoints take none. Pointers have no type: all
//! kernels print those in hexadecimal, while `u64` became decimal in 4.9.

use super::{
    HookId, HookPlan, Options, Program,
    table::{Hook, Way, WayKind, nothing, program},
};
use crate::{event::header::Refusal, host::Tracing};

/// The probe of `cgroup_mkdir(struct kernfs_node *, const char *name, umode_t)`: since 3.15.
const MKDIR: Program = program("mkdir", "p cgroup_mkdir name=+0({2}):string");

/// The probe of `cgroup_mkdir(struct inode *, struct dentry *, umode_t)`: `d_name.name` is 40 bytes into a dentry on 64-bit
/// machines, from the rework of 2.6.38 on.
const MKDIR_DENTRY: Program = program("mkdir", "p cgroup_mkdir name=+0(+0x28({2})):string");

/// What its return says.
const MKDIR_RETURN: Program = program("mkdir_return", "r cgroup_mkdir ret=$retval:s32");

/// The memcg of a cgroup that is being made; on 3.10 the argument is that cgroup.
const ALLOC: Program = program("alloc", "p mem_cgroup_css_alloc arg={1}");

/// The memcg or the error: the css is the memcg's first member.
const ALLOC_RETURN: Program = program("alloc_return", "r mem_cgroup_css_alloc memcg=$retval");

/// A probe on what reading `/proc/cgroups` calls: to see whether probes' events come at all.
pub const TRIAL: [Program; 1] = [program("trial", "p proc_cgroupstats_show")];

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
        id: HookId::Lifecycle,
        unseen: "memory cgroups being made, removed and freed",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::Tracepoint,
                programs: &[],
                lost: Some("memcg ids, usage at removal, and paths over 1 KiB"),
                needs: nothing,
            },
            Way {
                kind: WayKind::Kprobe,
                programs: &[
                    MKDIR,
                    MKDIR_RETURN,
                    ALLOC_RETURN,
                    program("offline", "p mem_cgroup_css_offline memcg={1}"),
                    program("free", "p mem_cgroup_css_free memcg={1}"),
                ],
                lost: Some(
                    "memcg ids, usage at removal, who removed what, renames, and the ends of those that were there before",
                ),
                needs: nothing,
            },
            Way {
                kind: WayKind::Kprobe,
                programs: &[
                    MKDIR_DENTRY,
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
                needs: nothing,
            },
        ],
    },
    Hook {
        id: HookId::Memcg,
        unseen: "memcgs that begin by `+memory` and end by `-memory` in cgroup.subtree_control, until the next walk",
        v2_only: true,
        ways: &[],
    },
    Hook {
        id: HookId::SlabFailure,
        unseen: "slab allocations that fail",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::Kprobe,
                programs: &[program("slab", "p slab_out_of_memory gfp={2} node={3}:s32")],
                lost: Some(
                    "which slab cache failed, where the kernel log's rate limit holds it back",
                ),
                needs: nothing,
            },
            Way {
                kind: WayKind::Kmsg,
                programs: &[],
                lost: Some("failures that the kernel log's rate limit holds back, and who failed"),
                needs: nothing,
            },
        ],
    },
    Hook {
        id: HookId::MkdirFailure,
        unseen: "cgroups that could not be made",
        v2_only: false,
        ways: &[
            Way {
                kind: WayKind::Kretprobe,
                programs: &[MKDIR, MKDIR_RETURN, ALLOC_RETURN],
                lost: Some("where it was but for the name, and refusals before anything was made"),
                needs: nothing,
            },
            Way {
                kind: WayKind::Kretprobe,
                programs: &[MKDIR_DENTRY, MKDIR_RETURN, ALLOC_RETURN],
                lost: Some("where it was but for the name, and refusals before anything was made"),
                needs: nothing,
            },
        ],
    },
];

/// All functions whose being there the choice depends on.
pub fn functions() -> Vec<&'static str> {
    let ways = TRACE_HOOKS.iter().flat_map(|hook| hook.ways);
    let trial = TRIAL.iter().filter_map(function);
    let mut functions: Vec<_> = ways.flat_map(needed).chain(trial).collect();
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

/// The function that a probe is on.
pub fn function(probe: &Program) -> Option<&'static str> {
    probe.target.split(' ').nth(1)
}

/// Where a function's arguments are, from the first on, on this architecture.
const ARGUMENTS: Option<[&str; 3]> = if cfg!(target_arch = "x86_64") {
    Some(["%di", "%si", "%dx"])
} else if cfg!(target_arch = "aarch64") {
    Some(["%x0", "%x1", "%x2"])
} else {
    None
};

/// A probe as `kprobe_events` takes it, in this group. The event's name begins with the group's: of several buffers' probes
/// the kernel counts and shows the names alone.
pub fn definition(probe: &Program, group: &str) -> String {
    let (kind, rest) = probe.target.split_once(' ').unwrap_or(("p", probe.target));
    let mut text = format!("{kind}:{group}/{group}_{} {rest}", probe.name);
    for (n, place) in ARGUMENTS.into_iter().flatten().enumerate() {
        text = text.replace(&format!("{{{}}}", n + 1), place);
    }
    text
}

/// Chooses for every hook. `tracing` is what tracefs has, if it is mounted.
pub fn plan_tracefs(tracing: Option<&Tracing>, options: &Options) -> Vec<HookPlan> {
    TRACE_HOOKS
        .iter()
        .map(|hook| {
            let mut candidates = Vec::new();
            let mut refused = Vec::new();
            for way in hook.ways {
                match refusal(way, tracing, options) {
                    None => candidates.push(way),
                    Some(reason) => {
                        let way = way.kind.as_str().to_owned();
                        refused.push(Refusal { way, reason });
                    }
                }
            }
            refused.dedup();
            HookPlan {
                hook,
                candidates,
                refused,
            }
        })
        .collect()
}

fn refusal(way: &'static Way, tracing: Option<&Tracing>, options: &Options) -> Option<String> {
    if options.avoid.contains(&way.kind) {
        return Some("not wanted (--avoid)".to_owned());
    }
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
    needed(way)
        .find(|function| !tracing.functions.contains(function))
        .map(|function| format!("requires the function {function}, which /proc/kallsyms has not"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shown(tracing: Option<&Tracing>, options: &Options) -> String {
        let mut text = String::new();
        for row in plan_tracefs(tracing, options) {
            let ways: Vec<_> = row.candidates.iter().map(|way| way.kind.as_str()).collect();
            text.push_str(&format!("{}: {}\n", row.hook.id.as_str(), ways.join(" ")));
            for refusal in row.refused {
                text.push_str(&format!("  not {}: {}\n", refusal.way, refusal.reason));
            }
        }
        text
    }

    /// What a 3.10 kernel has: the recorded `/proc/kallsyms`, and what the recording left out.
    fn el7() -> Tracing {
        Tracing {
            instances: true,
            kprobes: true,
            functions: functions()
                .into_iter()
                .filter(|function| *function != "cgroup_kn_lock_live")
                .collect(),
            ..Tracing::default()
        }
    }

    #[test]
    fn a_3_10_kernel_is_seen_by_probes_on_dentries() {
        let plan = plan_tracefs(Some(&el7()), &Options::default());
        let lifecycle = &plan[0].candidates;
        assert_eq!(lifecycle.len(), 1);
        assert!(
            lifecycle[0]
                .programs
                .iter()
                .any(|row| row.name == "destroy")
        );
        insta::assert_snapshot!(shown(Some(&el7()), &Options::default()));
    }

    #[test]
    fn a_kernel_without_kprobes_is_seen_by_tracepoints() {
        let tracing = Tracing {
            instances: true,
            tracepoints: true,
            id_bytes: Some(8),
            ..Tracing::default()
        };
        insta::assert_snapshot!(shown(Some(&tracing), &Options::default()));
        let options = Options {
            avoid: vec![WayKind::Tracepoint],
            ..Options::default()
        };
        assert!(shown(Some(&tracing), &options).starts_with("lifecycle: \n"));
    }

    #[test]
    fn tracepoints_can_be_avoided_where_there_are_kprobes() {
        let tracing = Tracing {
            instances: true,
            tracepoints: true,
            kprobes: true,
            functions: functions()
                .into_iter()
                .filter(|function| *function != "cgroup_diput")
                .collect(),
            ..Tracing::default()
        };
        let options = Options {
            avoid: vec![WayKind::Tracepoint],
            ..Options::default()
        };
        insta::assert_snapshot!(shown(Some(&tracing), &options));
    }

    #[test]
    fn without_tracefs_the_kernel_log_serves() {
        insta::assert_snapshot!(shown(None, &Options::default()));
    }

    #[test]
    fn what_cannot_be_looked_into_is_not_said_to_be_empty() {
        let tracing = Tracing {
            denied: true,
            ..Tracing::default()
        };
        let text = shown(Some(&tracing), &Options::default());
        assert!(text.contains("not tracepoint: not permitted"), "{text}");
    }

    #[test]
    fn functions_are_those_of_the_probes() {
        let names: BTreeSet<_> = functions().into_iter().collect();
        for name in [
            "__mem_cgroup_free",
            "cgroup_diput",
            "cgroup_destroy_locked",
            "slab_out_of_memory",
        ] {
            assert!(names.contains(name), "{name}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_probe_is_written_as_the_kernel_takes_it() {
        assert_eq!(
            definition(&MKDIR_DENTRY, "kmemtrace_7"),
            "p:kmemtrace_7/kmemtrace_7_mkdir cgroup_mkdir name=+0(+0x28(%si)):string"
        );
        assert_eq!(
            definition(&MKDIR_RETURN, "kmemtrace_7"),
            "r:kmemtrace_7/kmemtrace_7_mkdir_return cgroup_mkdir ret=$retval:s32"
        );
    }
}
