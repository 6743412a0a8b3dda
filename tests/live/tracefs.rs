//! By the kernel's own tracing: no eBPF is needed, and nothing may stay behind.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{
    failures::refused_mkdir,
    leaks::hook,
    source::{GRACE, leak_and_recover},
    storm,
    view::{TRACING, Tracefs, hide},
    world::{self, Turn, World, remove},
};
use crate::harness::{Result, Watch, below, output, program, text};

/// Why nothing can be traced here.
pub(super) fn missing() -> Option<String> {
    static WHY: OnceLock<Option<String>> = OnceLock::new();
    let why = WHY.get_or_init(|| {
        world::missing_hierarchy()
            .or_else(|| (!has("instances")).then(|| "needs tracefs with instances".to_owned()))
    });
    why.clone()
}

/// The same, for lives by the tracepoints of cgroups.
pub(super) fn missing_tracepoints() -> Option<String> {
    missing().or_else(|| {
        (!has("events/cgroup/cgroup_mkdir"))
            .then(|| "needs the tracepoints of cgroups (events/cgroup)".to_owned())
    })
}

/// The same, for probes on functions.
pub(super) fn missing_kprobes() -> Option<String> {
    missing()
        .or_else(|| (!has("kprobe_events")).then(|| "needs kprobes (kprobe_events)".to_owned()))
}

/// Why lives cannot be traced here.
pub(super) fn missing_lives() -> Option<String> {
    missing().or_else(|| {
        let both = missing_tracepoints().is_some() && missing_kprobes().is_some();
        both.then(|| "needs the tracepoints of cgroups, or kprobes".to_owned())
    })
}

/// Whether tracefs has a file.
fn has(file: &str) -> bool {
    let _turn = Turn::take();
    let Some(_mounted) = Tracefs::try_mounted() else {
        return false;
    };
    Path::new(TRACING).join(file).exists()
}

/// The instance of the run with this number.
pub(super) fn instance(pid: u32) -> PathBuf {
    Path::new(TRACING).join(format!("instances/kmemtrace-{pid}"))
}

/// The probes that kmemtrace runs have in the kernel.
pub(super) fn probes() -> Vec<String> {
    let probes = fs::read_to_string(Path::new(TRACING).join("kprobe_events")).unwrap_or_default();
    let ours = probes.lines().filter(|line| line.contains(":kmemtrace_"));
    ours.map(str::to_owned).collect()
}

/// By probes on functions, where the tracepoints would do as well. At the end nothing is left in tracefs.
pub(super) fn leaks_by_kprobe() -> Result {
    let world = World::new("trace-kprobe");
    let _mounted = Tracefs::mounted();
    let args = ["--source", "tracefs", "--avoid", "tracepoint"];
    let mut watch = Watch::start(&[&["--grace", GRACE], &args[..]].concat());
    let header = &watch.seen[0];
    assert_eq!(hook(header, "lifecycle")["way"], "kprobe", "{header}");
    let at = instance(watch.pid());
    assert!(at.exists(), "{}", at.display());
    leak_and_recover(&world, &mut watch);
    watch.stop();
    assert!(!at.exists(), "{} is still there", at.display());
    assert_eq!(probes(), [""; 0]);
    Ok(())
}

/// What a killed run leaves behind the next one removes; a living run's it leaves alone.
pub(super) fn kill() -> Result {
    let world = World::new("trace-kill");
    let _mounted = Tracefs::mounted();
    let args = ["--source", "tracefs"];
    let mut living = Watch::start(&args);
    let killed = Watch::start(&args);
    let (its, left) = (instance(living.pid()), instance(killed.pid()));
    killed.kill();
    assert!(its.exists() && left.exists(), "instances are made");

    let next = Watch::start(&args);
    assert!(!left.exists(), "{} is still there", left.display());
    assert!(its.exists(), "{} is gone", its.display());
    let cgroup = world.make("after");
    let path = format!("{}/after", world.path);
    living.wait_for("a birth", |line| {
        line["kind"] == "created" && below(line, &path)
    });
    remove(&cgroup);
    living.wait_for("an end", |line| {
        line["kind"] == "freed" && below(line, &path)
    });
    let last = instance(next.pid());
    next.stop();
    assert_eq!(living.stop().summary()["gaps"].as_u64(), Some(0));
    assert!(!its.exists() && !last.exists(), "instances are left");
    assert_eq!(probes(), [""; 0]);
    Ok(())
}

/// A buffer far too small is overrun: that is a gap, its losses are counted, and the totals are right afterwards.
pub(super) fn small_buffer() -> Result {
    let world = World::new("trace-small");
    let _mounted = Tracefs::mounted();
    let kept = world.make("kept");
    let file = world.charge(&kept, "kept");
    let mut watch = Watch::start(&["--source", "tracefs", "--ring-size", "4K"]);
    remove(&kept);
    storm::churn(&world, 5_000);
    let gap = watch.wait_for("a gap with a count", |line| {
        line["kind"] == "gap" && line["lost"].as_u64() > Some(0)
    });
    assert_eq!(gap["reason"], "trace_lost", "{gap}");
    storm::settle(&mut watch);
    world.unpin(&file);
    storm::settle(&mut watch);
    let live = watch.seen.last().expect("a tick")["live"].as_u64();
    assert_eq!(live, Some(storm::directories()), "live memory cgroups");
    let ended = watch.stop();
    let summary = ended.summary();
    assert!(summary["lost"].as_u64() > Some(0), "{summary}");
    Ok(())
}

/// A mkdir that the parent's limit refuses, as a probe on its return sees it.
pub(super) fn failed_mkdir() -> Result {
    let world = World::new("trace-mkdir");
    let _mounted = Tracefs::mounted();
    refused_mkdir(&world, &["--source", "tracefs", "--avoid", "tracepoint"])
}

/// Where tracefs is not mounted, it says so, and how to mount it.
pub(super) fn not_mounted() -> Result {
    let _world = World::new("trace-not-mounted");
    let mut command = program(["watch", "--for", "1s", "--source", "tracefs"]);
    hide(&mut command, &["/sys/kernel/tracing", "/sys/kernel/debug"]);
    let run = output(command);
    let stderr = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("tracefs is not mounted"), "{stderr}");
    assert!(stderr.contains("help: mount -t tracefs"), "{stderr}");
    Ok(())
}
