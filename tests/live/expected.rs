//! The hooks that each source must have on a kernel that is known: one that should attach and does not is a failure.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{
    leaks::hook,
    source::Source,
    view::{TRACING, Tracefs},
    world::{Turn, is_old, is_v1, missing_hierarchy},
};
use crate::harness::{Result, output, program, text};

/// A hook's ways that must work, best first.
type Ways = &'static [&'static str];

/// What must work on a kernel.
struct Kernel {
    name: &'static str,
    /// By source.
    bpf: Hooks,
    tracefs: Hooks,
}

/// By hook.
struct Hooks {
    /// By eBPF; no other source has that hook.
    records: Ways,
    lifecycle: Ways,
    /// Polls look for it on v2 only.
    memcg: Ways,
    slab_failure: Ways,
    mkdir_failure: Ways,
    /// By eBPF; no other source has that hook.
    walk: Ways,
}

/// Debian's kernels, 5.10 to 7.3: cloud, full and real-time.
const DEBIAN: Kernel = Kernel {
    name: "a kernel of Debian",
    bpf: Hooks {
        records: &["ring_buffer", "perf_buffer"],
        lifecycle: &["tp_btf", "raw_tp", "tracepoint"],
        memcg: &["fentry", "kprobe"],
        slab_failure: &["fentry", "kprobe", "raw_tp", "console", "kmsg"],
        mkdir_failure: &["fexit", "kretprobe", "release"],
        walk: &["test_run", "uprobe"],
    },
    tracefs: Hooks {
        records: &[],
        lifecycle: &["tracepoint", "kprobe"],
        memcg: &[],
        slab_failure: &["kprobe", "kmsg"],
        mkdir_failure: &["kretprobe"],
        walk: &[],
    },
};

/// The same on arm64 below 6.4, which has no trampolines for functions (`register_ftrace_direct`).
const DEBIAN_ARM64: Kernel = Kernel {
    name: "a kernel of Debian for arm64",
    bpf: Hooks {
        memcg: &["kprobe"],
        slab_failure: &["kprobe", "raw_tp", "console", "kmsg"],
        mkdir_failure: &["kretprobe", "release"],
        ..DEBIAN.bpf
    },
    tracefs: DEBIAN.tracefs,
};

/// Built without `CONFIG_KPROBES`, so with no trampolines either (seen on 6.18).
const WITHOUT_KPROBES: Kernel = Kernel {
    name: "a kernel without kprobes",
    bpf: Hooks {
        records: &["ring_buffer", "perf_buffer"],
        lifecycle: &["tp_btf", "raw_tp", "tracepoint"],
        memcg: &[],
        slab_failure: &["raw_tp", "console", "kmsg"],
        mkdir_failure: &["release"],
        walk: &["test_run", "uprobe"],
    },
    tracefs: Hooks {
        records: &[],
        lifecycle: &["tracepoint"],
        memcg: &[],
        slab_failure: &["kmsg"],
        mkdir_failure: &[],
        walk: &[],
    },
};

/// Everywhere.
const POLLED: Hooks = Hooks {
    records: &[],
    lifecycle: &["poll"],
    memcg: &["poll"],
    slab_failure: &["kmsg"],
    mkdir_failure: &[],
    walk: &[],
};

impl Hooks {
    fn rows(&self) -> Vec<(&'static str, Ways)> {
        let rows = [
            ("records", self.records),
            ("lifecycle", self.lifecycle),
            // On v1 a memcg lives as long as its directory: polls need not look for more.
            (
                "memcg",
                match self.memcg {
                    ["poll"] if is_v1() => &[],
                    ways => ways,
                },
            ),
            ("slab failure", self.slab_failure),
            ("mkdir failure", self.mkdir_failure),
            ("walk", self.walk),
        ];
        let has =
            |(name, ways): &(&str, Ways)| !ways.is_empty() || !["records", "walk"].contains(name);
        rows.into_iter().filter(has).collect()
    }
}

/// Whether this is a kernel of Debian, of any flavour.
pub(super) fn is_debian() -> bool {
    let version = fs::read_to_string("/proc/version").unwrap_or_default();
    let flavours = ["-amd64 ", "-arm64 ", "-arm64-16k "];
    flavours.iter().any(|flavour| version.contains(flavour)) && version.contains("debian-kernel@")
}

/// Whether this kernel is of that release, or later.
pub(super) fn is_from(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    kmemtrace::history::Release::parse(&release).map(|release| release.version)
        >= Some((major, minor))
}

/// Which kernel this is, if it is a known one.
fn kernel() -> Option<&'static Kernel> {
    if is_debian() && cfg!(target_arch = "aarch64") && !is_from(6, 4) {
        return Some(&DEBIAN_ARM64);
    }
    if is_debian() {
        return Some(&DEBIAN);
    }
    let _turn = Turn::take();
    let _mounted = Tracefs::try_mounted()?;
    let at = Path::new(TRACING);
    (at.join("events/cgroup/cgroup_mkdir").exists() && !at.join("kprobe_events").exists())
        .then_some(&WITHOUT_KPROBES)
}

/// Why nothing is expected of a source here.
pub(super) fn missing() -> Option<String> {
    if is_old() {
        return Some("needs the system calls that the kernel has".to_owned());
    }
    if kernel().is_none() {
        return Some("needs a kernel of which it is known what must work".to_owned());
    }
    // On a known kernel a source that does not work is a failure.
    missing_hierarchy()
}

/// Each hook's ways in turn: with those before it taken away, a way that must work is the one that is taken.
pub(super) fn hooks(source: &Source) -> Result {
    let kernel = kernel().expect("asked before");
    let expected = match source.name {
        "bpf" => &kernel.bpf,
        "tracefs" => &kernel.tracefs,
        _ => &POLLED,
    };
    let _turn = Turn::take();
    let _mounted = Tracefs::mounted();
    // What carries records by itself, and lives by themselves: the ways of the others depend on these, and no source starts
    // without.
    let rows = expected.rows();
    let alone = |(name, _): &(&str, Ways)| ["records", "lifecycle"].contains(name);
    for rows in rows.chunk_by(|one, next| !alone(one) && !alone(next)) {
        let most = rows.iter().map(|(_, ways)| ways.len()).max().unwrap_or(0);
        for n in 0..most.max(1) {
            let before = |(_, ways): &(_, Ways)| ways.iter().take(n).copied().collect::<Vec<_>>();
            let avoided: BTreeSet<_> = rows.iter().flat_map(before).collect();
            let report = doctor(source, &avoided)?;
            for (name, ways) in rows {
                let hook = hook(&report, name);
                assert_eq!(
                    hook["way"].as_str(),
                    ways.iter().copied().find(|way| !avoided.contains(way)),
                    "{name} by {} on {}, without {avoided:?}: {hook}",
                    source.name,
                    kernel.name
                );
            }
        }
    }
    Ok(())
}

fn doctor(
    source: &Source,
    avoided: &BTreeSet<&str>,
) -> std::result::Result<Value, libtest_mimic::Failed> {
    let avoid: Vec<_> = avoided.iter().copied().collect();
    let avoid = avoid.join(",");
    let mut args = vec!["doctor", "--format", "json", "--source", source.name];
    if !avoid.is_empty() {
        args.extend(["--avoid", &avoid]);
    }
    let run = output(program(args));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stdout));
    Ok(serde_json::from_slice(&run.stdout)?)
}
