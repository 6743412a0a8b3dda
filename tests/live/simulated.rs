//! By eBPF on a simulated older kernel: records through a perf buffer, the walk by a uprobe, BTF from a file. What it says is
//! what is said with the ring buffer and the test run, on the same kernel at the same time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    leaks::hook,
    source::{GRACE, Source},
    storm,
    view::hide,
    walk,
    world::{self, World, remove, wait_until, zombies},
};
use crate::{
    harness::{Ended, Result, Watch, below, output, program, text},
    simulated::{self, simulated},
};

/// What is done in an older way: the hook, that way, the newer one, and the kernel that has it, as the refusal names it.
const OLDER: [(&str, &str, &str, &str); 2] = [
    ("records", "perf_buffer", "ring_buffer", "5.8"),
    ("walk", "uprobe", "test_run", "5.10"),
];

/// How many cgroups of a kind.
const COUNT: usize = 4;

/// eBPF on such a kernel.
pub(super) const SOURCE: Source = Source {
    name: "simulated",
    kind: "bpf",
    program: |args| simulated(args),
    missing,
};

/// Why it cannot be tested here.
pub(super) fn missing() -> Option<String> {
    world::missing().or_else(simulated::missing).or_else(|| {
        let uprobes = "/sys/bus/event_source/devices/uprobe";
        (!std::path::Path::new(uprobes).exists()).then(|| "needs uprobes".to_owned())
    })
}

fn start(args: &[&str]) -> Watch {
    SOURCE.watch(args)
}

/// What carries the records, and what runs the walk, is said; nothing of the kernel's own errors is.
pub(super) fn doctor() -> Result {
    let _turn = world::Turn::take();
    let args = ["doctor", "--source", "bpf", "--format", "json"];
    let run = output(simulated(args));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout)?;
    assert_eq!(report["source"], "bpf", "{report}");
    for (name, older, newer, since) in OLDER {
        let hook = hook(&report, name);
        assert_eq!(hook["way"], older, "{hook}");
        let refused = hook["refused"].as_array().into_iter().flatten();
        let reason = refused
            .clone()
            .find(|refusal| refusal["way"] == newer)
            .map(|refusal| refusal["reason"].to_string())
            .unwrap_or_default();
        assert!(reason.contains(since), "{hook}");
    }
    let shown = text(&output(simulated(["doctor", "--source", "bpf"])).stdout);
    for (_, older, _, since) in OLDER {
        assert!(shown.contains(older) && shown.contains(since), "{shown}");
    }
    // The cause is named, not the kernel's number for it.
    assert!(!shown.contains("os error"), "{shown}");
    // Where nothing is simulated, neither is used.
    let report: Value = serde_json::from_slice(&output(program(args)).stdout)?;
    for (name, _, newer, _) in OLDER {
        assert_eq!(hook(&report, name)["way"], newer, "{report}");
    }
    Ok(())
}

pub(super) fn named_from_before() -> Result {
    walk::named_by(start)
}

/// What both scans say of a zombie. The other fields may change between two looks.
fn told(zombies: &BTreeMap<String, Value>) -> BTreeMap<&String, Vec<Value>> {
    const SAME: [&str; 6] = [
        "cgroup_id",
        "serial",
        "memcg_id",
        "css_id",
        "pin",
        "pod_uid",
    ];
    let fields = |zombie: &Value| SAME.iter().map(|name| zombie[name].clone()).collect();
    zombies
        .iter()
        .map(|(path, zombie)| (path, fields(zombie)))
        .collect()
}

/// A scan by each: the same zombies, by name, with the same ids and what pins them.
pub(super) fn scanned() -> Result {
    let world = World::new("simulated-scan");
    let before = zombies();
    let files = walk::leak(&world);
    let expected = walk::expected(&world);
    let kernel = before + expected.len() as u64;
    wait_until("more zombies", || zombies() == kernel);
    let (newer, of_newer) = walk::scan(&world, &[]);
    let (older, of_older) = walk::scan_as(|args| simulated(args), &world, &[]);
    assert!(of_older.keys().eq(&expected), "{of_older:?}");
    assert_eq!(told(&of_older), told(&of_newer));
    for scan in [&newer, &older] {
        assert_eq!(scan["walk"]["complete"], true, "{scan}");
        assert_eq!(scan["walk"]["zombies"].as_u64(), Some(kernel), "{scan}");
        assert_eq!(scan["zombies"].as_u64(), Some(kernel), "{scan}");
    }
    for file in files {
        world.unpin(&file);
    }
    Ok(())
}

/// The lives of a run: each kind of line with the cgroups that it is about.
fn lives(ended: &Ended, base: &str) -> BTreeMap<String, BTreeSet<(String, u64)>> {
    let mut lives: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
    for line in ended.lines.iter().filter(|line| below(line, base)) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let id = line["cgroup_id"].as_u64().unwrap_or(0);
        lives
            .entry(text("kind"))
            .or_default()
            .insert((text("path"), id));
    }
    lives
}

/// Two runs at once, one by each: the same cgroups are created, removed, leaked, freed and recovered.
pub(super) fn lives_agree() -> Result {
    let world = World::new("simulated-lives");
    let mut watches = [
        Watch::start(&["--source", "bpf", "--grace", GRACE]),
        start(&["--grace", GRACE]),
    ];
    let wait = |watches: &mut [Watch], kind: &str, which: &str| {
        let prefix = format!("{}/{which}", world.path);
        for watch in watches {
            watch.wait_for_all(&format!("{which} {kind}"), COUNT, |line| {
                line["kind"] == kind && below(line, &prefix)
            });
        }
    };
    let mut files = Vec::new();
    for n in 0..COUNT {
        remove(&world.make(&format!("clean{n}")));
        let leaky = world.make(&format!("leaky{n}"));
        files.push(world.charge(&leaky, &n.to_string()));
        remove(&leaky);
    }
    wait(&mut watches, "freed", "clean");
    wait(&mut watches, "leaked", "leaky");
    for file in files {
        world.unpin(&file);
    }
    wait(&mut watches, "recovered", "leaky");
    for watch in &mut watches {
        storm::settle(watch);
    }
    let [newer, older] = watches.map(|watch| {
        let ended = watch.stop();
        let gap = ended.lines.iter().find(|line| line["kind"] == "gap");
        assert_eq!(gap, None);
        lives(&ended, &format!("{}/", world.path))
    });
    assert_eq!(older, newer);
    let count = |kind: &str| newer.get(kind).map_or(0, BTreeSet::len);
    for (kind, expected) in [
        ("created", 2 * COUNT),
        ("leaked", COUNT),
        ("recovered", COUNT),
    ] {
        assert_eq!(count(kind), expected, "{kind}: {newer:?}");
    }
    // By its number, not as the unknown one.
    let mut ids = newer.values().flatten().map(|(_, id)| *id);
    assert!(ids.all(|id| id != 0), "{newer:?}");
    Ok(())
}

/// A file that is not BTF is an error that names it; it is never read as if it were.
pub(super) fn no_btf() -> Result {
    let _turn = world::Turn::take();
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "not BTF")?;
    let path = file.path().to_str().ok_or("a path")?;
    let args = ["watch", "--source", "bpf", "--for", "1s", "--btf", path];
    let mut command = program(args);
    hide(&mut command, &["/sys/kernel/btf"]);
    let run = output(command);
    let stderr = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(path), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}
