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
            .filter(|function| !["cgroup_kn_lock_live", LOCKDEP].contains(function))
            .collect(),
        ..Tracing::default()
    }
}

#[test]
fn what_the_compiler_made_of_a_function_serves_where_nothing_is_read() {
    let mut tracing = el7();
    tracing.functions.remove("slab_out_of_memory");
    let clones: Vec<_> = (0..2)
        .map(|n| format!("slab_out_of_memory.constprop.{n}"))
        .collect();
    tracing.clones.insert("slab_out_of_memory", clones);
    let plan = plan_tracefs(Some(&tracing), &Options::default());
    let slab = plan[2].candidates[0];
    assert_eq!(
        (plan[2].hook.id, slab.kind),
        (HookId::SLAB_FAILURE, WayKind::Kprobe)
    );
    let texts: Vec<_> = probes(slab.programs, &tracing)
        .iter()
        .map(|probe| probe.definition("g"))
        .collect();
    assert_eq!(
        texts,
        [
            "p:g/g_slab slab_out_of_memory.constprop.0",
            "p:g/g_slab1 slab_out_of_memory.constprop.1"
        ]
    );
    let lacks = trace_lacks(slab, &tracing, true).unwrap();
    assert!(lacks.contains("what was asked"), "{lacks}");
    // A function whose arguments are needed is not to be had so.
    tracing.functions.remove("cgroup_destroy_locked");
    let clone = vec!["cgroup_destroy_locked.isra.0".to_owned()];
    tracing.clones.insert("cgroup_destroy_locked", clone);
    let plan = plan_tracefs(Some(&tracing), &Options::default());
    assert!(plan[0].candidates.is_empty());
    let reasons: Vec<_> = plan[0].refused.iter().map(|one| &one.reason[..]).collect();
    let reasons = reasons.concat();
    assert!(
        reasons.contains("cgroup_destroy_locked.isra.0"),
        "{reasons}"
    );
}

#[test]
fn where_locks_are_debugged_nodes_names_are_not_read() {
    let mut tracing = Tracing {
        functions: functions().into_iter().collect(),
        ..el7()
    };
    let lives = &TRACE_HOOKS[0].ways[1];
    let names = |tracing: &Tracing| {
        let probes = probes(lives.programs, tracing);
        let names = probes.iter().filter(|probe| probe.name.starts_with("up"));
        names.count()
    };
    assert_eq!(names(&tracing), 0);
    assert!(trace_lacks(lives, &tracing, true).is_some());
    tracing.functions.remove(LOCKDEP);
    assert_eq!(names(&tracing), 6);
    assert!(trace_lacks(lives, &tracing, true).is_none());
    // Where the kernel does not tell of skipped probes, that is said beside what the table says; tracepoints are not skipped.
    let lacks = trace_lacks(lives, &tracing, false).unwrap();
    assert!(lacks.starts_with(lives.lost.unwrap()), "{lacks}");
    assert!(
        lacks.ends_with("; when the kernel skips a probe"),
        "{lacks}"
    );
    let tracepoints = &TRACE_HOOKS[0].ways[0];
    assert!(trace_lacks(tracepoints, &tracing, false).is_none());
}

/// `WRITE_BUFSIZE` is 128 up to 4.9; `MAX_ARGSTR_LEN` is 63.
#[test]
fn probes_fit_into_an_old_kernels_buffers() {
    let group = "kmemtrace_shared_4194304";
    let all = TRACE_HOOKS.iter().flat_map(|hook| hook.ways);
    let tracing = el7();
    for probe in all.flat_map(|way| probes(way.programs, &tracing)) {
        let text = probe.definition(group);
        assert!(text.len() < 128, "{}: {text}", text.len());
        for field in text.split(' ').skip(2) {
            let (_, argument) = field.split_once('=').unwrap();
            assert!(argument.len() <= 63, "{argument}");
        }
        let strings = text.matches(":string").count();
        assert!(
            strings == 0 || strings == 1 && text.ends_with(":string"),
            "{text}"
        );
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
            .filter(|function| !["cgroup_diput", LOCKDEP].contains(function))
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
    let text = |programs: &'static [Program]| {
        let tracing = Tracing::default();
        probes(programs, &tracing)[0].definition("kmemtrace_7")
    };
    assert_eq!(
        text(&[MKDIR_DENTRY]),
        "p:kmemtrace_7/kmemtrace_7_mkdir cgroup_mkdir name=+0(+0x28(%si)):string"
    );
    assert_eq!(
        text(&[MKDIR_RETURN]),
        "r:kmemtrace_7/kmemtrace_7_mkdir_return cgroup_mkdir ret=$retval:s32"
    );
    assert_eq!(
        text(&[UP_DENTRY[1]]),
        "p:kmemtrace_7/kmemtrace_7_up2 cgroup_mkdir name=+0(+40(+24(+24(%si)))):string"
    );
}
