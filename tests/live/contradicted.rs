//! The kernel's count contradicts what the run has seen: a run that reads a file of the test's for `/proc/cgroups`.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{
    source::{GRACE, Source},
    view::{Tracefs, instead},
    world::{World, remove, wait_until, zombies},
};
use crate::harness::{Result, Watch, below, output, program, text};

/// How many more cgroups leak than there were zombies before: those may have no names, and the count may be of them.
const MORE: u64 = 3;

/// The count stays as it was while cgroups leak: the run says that it contradicts them, and asks the kernel. Where its own tree can
/// be walked, that has their names, and they stay; elsewhere only as many are left as the count has.
pub(super) fn said_and_corrected(source: &Source) -> Result {
    let world = World::new(&format!("contradicted-{}", source.name));
    let _mounted = Tracefs::mounted();
    let folder = tempfile::TempDir::new()?;
    let count = folder.path().join("cgroups");
    fs::copy("/proc/cgroups", &count)?;
    let trace = folder.path().join("trace.jsonl");
    let before = zombies();
    let leaks = before + MORE;
    let mut command = program(["watch", "--format", "json", "--all", "--grace", GRACE]);
    command.args(source.args()).arg("--record").arg(&trace);
    instead(&mut command, &count, "/proc/cgroups");
    let mut watch = Watch::spawn(command);

    let files = leak(&world, &mut watch, leaks);
    let gap = watch.wait_for("a gap", |line| line["reason"] == "contradicted");
    // Of those that were there before and have no names, the count may have taken some off.
    let tracked = number(&gap, "tracked_zombies");
    assert!((before + 1..=before + leaks).contains(&tracked), "{gap}");
    assert_eq!(number(&gap, "kernel_zombies"), before, "{gap}");
    let walked = watch.wait_for("a walk", |line| line["kind"] == "walked");
    let names = walked["zombies_named"].as_u64();
    assert_eq!(names.is_some(), source.name == "bpf", "{walked}");
    let there = names.unwrap_or(before);
    assert_eq!(number(&walked, "zombies"), there, "{walked}");

    // What it says again, it says later.
    for _ in 0..8 {
        let tick = watch.wait_for("a tick", |line| {
            line["kind"] == "tick" && line["num_cgroups"].is_u64()
        });
        assert_eq!(number(&tick, "zombies"), there, "{tick}");
    }
    fs::copy("/proc/cgroups", &count)?;
    watch.wait_for("a tick that agrees", |line| {
        line["kind"] == "tick" && number(line, "zombies") == before + leaks
    });
    for file in files {
        world.unpin(&file);
    }
    wait_until("the ends", || zombies() == before);
    fs::copy("/proc/cgroups", &count)?;
    watch.wait_for("a tick that agrees again", |line| {
        line["kind"] == "tick" && number(line, "zombies") == before
    });
    // Where the count alone told, it told that they were gone.
    let recovered: Vec<_> = watch.of("recovered", &world.path).collect();
    assert_eq!(recovered.len() as u64, leaks, "{recovered:?}");
    for line in recovered {
        assert_eq!(line["across_gap"] == true, names.is_none(), "{line}");
    }
    let ended = watch.stop();
    let gaps = ended.lines.iter().filter(|line| line["kind"] == "gap");
    assert_eq!(gaps.count(), 1, "{}", ended.stderr);
    let summary = ended.summary();
    assert!(summary["tracked_zombies"].is_u64(), "{summary}");
    assert!(summary["kernel_zombies"].is_u64(), "{summary}");

    // The trace has it all.
    let trace = trace.to_str().ok_or("a path")?;
    let replay = output(program(["replay", trace, "--all", "--format", "json"]));
    let shown: Vec<Value> = text(&replay.stdout)
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?;
    assert_eq!(shown, ended.lines);
    Ok(())
}

/// Waits for the verdict of each: then all is told but for what the count says.
fn leak(world: &World, watch: &mut Watch, count: u64) -> Vec<PathBuf> {
    let files = (0..count).map(|n| {
        let cgroup = world.make(&format!("leaky{n}"));
        let file = world.charge(&cgroup, &n.to_string());
        remove(&cgroup);
        file
    });
    let files = files.collect();
    watch.wait_for_all("leaked lines", count as usize, |line| {
        line["kind"] == "leaked" && below(line, &world.path)
    });
    files
}

fn number(line: &Value, field: &str) -> u64 {
    line[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no {field}: {line}"))
}
