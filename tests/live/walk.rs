//! The kernel walk: zombies that were there before, with their names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    storm,
    world::{World, remove, wait_until, zombies},
};
use crate::harness::{Result, Watch, below};

const POD: &str = "/kubepods/besteffort/pod1b4bb6b0-3f73-4a3c-9a5e-0a3d6a2f7c2";
const CONTAINER: &str = "9f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376aa34dc0b5";

/// How many pods, each with a container.
const PODS: usize = 3;

/// Pods whose containers leaked before anybody looked; each holds its container's cgroup and its own.
fn leak(world: &World) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for n in 0..PODS {
        let container = world.make(&format!("{}{n}/{CONTAINER}{n}", &POD[1..]));
        files.push(world.charge(&container, &n.to_string()));
        remove(&container);
        remove(container.parent().expect("the pod"));
    }
    files
}

/// The paths of the lines of a kind below `base`, each with its line.
fn paths(watch: &Watch, kind: &str, base: &str) -> BTreeMap<String, Value> {
    let lines = watch.of(kind, base);
    let path = |line: &Value| line["path"].as_str().unwrap_or_default().to_owned();
    lines.map(|line| (path(line), line.clone())).collect()
}

fn expected(world: &World) -> Vec<String> {
    let pods = (0..PODS).map(|n| format!("{}{POD}{n}", world.path));
    let both = pods.enumerate();
    both.flat_map(|(n, pod)| [pod.clone(), format!("{pod}/{CONTAINER}{n}")])
        .collect()
}

/// What died before the start is named, with its pod, and its end is seen.
pub(super) fn named_from_before() -> Result {
    let world = World::new("walk-named");
    let before = zombies();
    let files = leak(&world);
    let kernel = before + 2 * PODS as u64;
    wait_until("more zombies", || zombies() == kernel);
    let mut watch = Watch::start(&["--grace", "1s"]);
    let walked = watch.seen.last().expect("the walk's end").clone();
    assert_eq!(walked["zombies_named"].as_u64(), Some(kernel), "{walked}");
    assert_eq!(walked["zombies"].as_u64(), Some(kernel), "{walked}");

    let base = format!("{}/kubepods/besteffort/", world.path);
    let named = paths(&watch, "zombie", &base);
    assert!(named.keys().eq(&expected(&world)), "{named:?}");
    for (path, line) in &named {
        let uid = &POD["/kubepods/besteffort/pod".len()..];
        let pod = line["pod_uid"].as_str().unwrap_or_default();
        assert!(pod.starts_with(uid), "{line}");
        assert_eq!(path.contains(CONTAINER), line["container_id"].is_string());
        assert!(
            line["serial"].is_u64() && line["cgroup_id"].is_u64(),
            "{line}"
        );
    }
    // They are older than the grace time once the run is.
    let leaked = watch.wait_for_all("leaked lines", 2 * PODS, |line| {
        line["kind"] == "leaked" && below(line, &base)
    });
    assert!(leaked.iter().all(|line| line.get("across_gap").is_none()));
    for file in files {
        world.unpin(&file);
    }
    watch.wait_for_all("recovered lines", 2 * PODS, |line| {
        line["kind"] == "recovered" && below(line, &base)
    });
    storm::settle(&mut watch);
    let ended = watch.stop();
    let summary = ended.summary();
    assert_eq!(summary["inherited"].as_u64(), Some(kernel), "{summary}");
    Ok(())
}

/// What came and went while records were lost is found by a walk of the kernel's memcgs: zombies keep their names, and
/// the sums are the kernel's.
pub(super) fn named_after_a_gap() -> Result {
    let world = World::new("walk-gap");
    let mut watch = Watch::start(&["--ring-size", "4K"]);
    let mut files = Vec::new();
    for n in 0..10 {
        storm::churn(&world, 500);
        let cgroup = world.make(&format!("kept{n}"));
        files.push(world.charge(&cgroup, &n.to_string()));
        storm::churn(&world, 500);
        remove(&cgroup);
    }
    storm::churn(&world, 2_000);
    watch.wait_for("a gap", |line| line["kind"] == "gap");
    storm::settle(&mut watch);
    // A last walk may be owed still: what it says is all that there is.
    let base = format!("{}/kept", world.path);
    let known = |watch: &Watch| {
        let mut known = paths(watch, "offlined", &base);
        known.extend(paths(watch, "zombie", &base));
        known.len()
    };
    assert_eq!(known(&watch), files.len());
    for file in &files {
        world.unpin(file);
    }
    watch.wait_for_all("freed lines", files.len(), |line| {
        line["kind"] == "freed" && below(line, &base)
    });
    storm::settle(&mut watch);
    let live = watch.seen.last().expect("a tick")["live"].as_u64();
    assert_eq!(live, Some(storm::directories()), "live memory cgroups");
    watch.stop();
    Ok(())
}
