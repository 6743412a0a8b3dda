//! Which hooks there are, the ways of seeing each, best first, and the pure choice among them: facts in, a list of ways to
//! try out, each refusal with its reason. What only trying can tell is left to the source.

mod buffer;
mod table;
mod tracefs;
mod walk;

use kmemtrace_common::layout::{Layout, Place};

pub use buffer::{Buffer, SHARED_LOST, buffer, refuse_shared};
pub use table::{HOOKS, Hook, HookId, Program, Way, WayKind};
pub use tracefs::{
    Probe, TRACE_HOOKS, TRIAL, function, functions, plan_tracefs, probes, trace_lacks,
};
pub use walk::{Lack, files_lack, objcgs_lack, walk_lacks};

use crate::{
    event::header::Refusal,
    host::{Capability, HostFacts, KERNEL_TYPES},
};

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// What the host has.
    pub facts: &'a HostFacts,
    /// Where the fields are that the programs read.
    pub layout: &'a Layout,
    /// What the user wants.
    pub options: &'a Options,
}

/// What the user wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Ways that must not be used.
    pub avoid: Vec<WayKind>,
    /// Trace the mkdir system calls too, which slows every system call of the machine.
    pub mkdir_syscalls: bool,
}

/// What to try for one hook.
#[derive(Clone, Debug)]
pub struct HookPlan {
    /// The hook.
    pub hook: &'static Hook,
    /// The ways to try, best first.
    pub candidates: Vec<&'static Way>,
    /// The ways that the facts rule out.
    pub refused: Vec<Refusal>,
}

/// Chooses for every hook as eBPF programs see it.
pub fn plan(inputs: Inputs<'_>) -> Vec<HookPlan> {
    choose(HOOKS, inputs.options, |way| refusal(way, inputs))
}

/// Chooses for every hook of a table. `refusal` tells by the facts why a way cannot work, if it cannot.
fn choose(
    hooks: &'static [Hook],
    options: &Options,
    refusal: impl Fn(&'static Way) -> Option<String>,
) -> Vec<HookPlan> {
    let unwanted = |way: &Way| {
        let avoided = options.avoid.contains(&way.kind);
        avoided.then(|| "not wanted (--avoid)".to_owned())
    };
    let rows = hooks.iter().map(|hook| {
        let mut row = HookPlan {
            hook,
            candidates: Vec::new(),
            refused: Vec::new(),
        };
        for way in hook.ways {
            match unwanted(way).or_else(|| refusal(way)) {
                None => row.candidates.push(way),
                Some(reason) => {
                    let way = way.kind.as_str().to_owned();
                    row.refused.push(Refusal { way, reason });
                }
            }
        }
        // Two ways of a kind that lack the same.
        row.refused.dedup();
        row
    });
    rows.collect()
}

/// Why no eBPF program at all can be loaded, if the facts say so already: the reason and what to do.
pub fn no_bpf(facts: &HostFacts) -> Option<(String, &'static str)> {
    let may = |capability| facts.privileges.has(capability);
    if facts.lockdown.as_deref() == Some("confidentiality") {
        return Some((
            "the kernel is locked down (confidentiality): eBPF programs may not read kernel memory"
                .to_owned(),
            "boot without lockdown=confidentiality",
        ));
    }
    let enough = may(Capability::SysAdmin) || (may(Capability::Bpf) && may(Capability::Perfmon));
    if !enough {
        return Some((
            "not permitted: eBPF requires CAP_BPF and CAP_PERFMON, or root".to_owned(),
            "run it as root, or with sudo",
        ));
    }
    None
}

fn refusal(way: &Way, inputs: Inputs<'_>) -> Option<String> {
    let Inputs {
        facts,
        layout,
        options,
    } = inputs;
    if way.kind == WayKind::Syscalls && !options.mkdir_syscalls {
        return Some(
            "only on request (--mkdir-syscalls): it slows every system call of the machine"
                .to_owned(),
        );
    }
    if (!way.programs.is_empty() || way.kind.carries_records())
        && let Some((reason, _)) = no_bpf(facts)
    {
        return Some(reason);
    }
    if way.kind.attaches_by_type() && !facts.btf {
        return Some(format!("requires BTF: there is no {KERNEL_TYPES}"));
    }
    if matches!(way.kind, WayKind::Tracepoint | WayKind::Syscalls) && facts.tracefs.is_none() {
        return Some(
            "requires tracefs, which is not mounted (mount -t tracefs nodev /sys/kernel/tracing)"
                .to_owned(),
        );
    }
    let field = layout.missing(way.needs?)?;
    let why = match field.place {
        // Before 5.5 the id of a cgroup's tracepoints has 4 bytes, and is no directory's.
        Place::Format(_, _, bytes) => format!("there is no such field of {bytes} bytes"),
        _ if facts.btf || facts.given_types.is_some() => {
            "this kernel's types do not have it".to_owned()
        }
        _ => "there is no BTF".to_owned(),
    };
    Some(format!("requires the place of {}: {why}", field.name))
}

#[cfg(test)]
mod tests;
