//! What the tool is for.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::{
    source::{GRACE, GRACE_NS},
    world::{World, remove, zombies},
};
use crate::harness::{Result, Watch, below};

const POD: &str = "74c13223-5a00-11e9-b385-42010a80018";
const CONTAINER: &str = "34dc0b5e626f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea0337";
const PODS: usize = 10;

pub(super) fn pods_by_tp_btf() -> Result {
    pods("tp_btf", &[])
}

pub(super) fn pods_by_raw_tp() -> Result {
    pods("raw_tp", &["--avoid", "tp_btf"])
}

pub(super) fn pods_by_tracepoint() -> Result {
    let _mounted = super::view::Tracefs::mounted();
    pods("tracepoint", &["--avoid", "tp_btf,raw_tp"])
}

/// Ten containers of pods die and leak, one dies cleanly; then the files that pinned them go.
fn pods(way: &str, args: &[&str]) -> Result {
    let world = World::new(&format!("pods-{way}"));
    let before = zombies();
    let mut watch = Watch::start(&[&["--grace", GRACE], args].concat());
    assert_eq!(
        hook(&watch.seen[0], "lifecycle")["way"],
        way,
        "{}",
        watch.seen[0]
    );

    let mut files = Vec::new();
    for n in 0..PODS {
        let name = format!("kubepods/burstable/pod{POD}{n:x}/{CONTAINER}{n:x}");
        let cgroup = world.make(&name);
        files.push(world.charge(&cgroup, &n.to_string()));
        remove(&cgroup);
    }
    let clean = world.make("clean");
    remove(&clean);

    let base = format!("{}/kubepods", world.path);
    let leaked = watch.wait_for_all("leaked lines", PODS, |line| {
        line["kind"] == "leaked" && below(line, &base)
    });
    let pods: BTreeSet<_> = leaked
        .iter()
        .map(|line| line["pod_uid"].to_string())
        .collect();
    let ids: BTreeSet<_> = leaked
        .iter()
        .map(|line| line["container_id"].to_string())
        .collect();
    let expected = |stem: &str| -> BTreeSet<String> {
        (0..PODS).map(|n| format!("\"{stem}{n:x}\"")).collect()
    };
    assert_eq!(pods, expected(POD));
    assert_eq!(ids, expected(CONTAINER));
    for line in &leaked {
        assert_eq!(line["qos"], "burstable", "{line}");
        assert!(line["zombie_ns"].as_u64() >= Some(GRACE_NS), "{line}");
        assert!(line.get("across_gap").is_none(), "{line}");
    }
    assert_eq!(watch.of("offlined", &base).count(), PODS);
    let clean = format!("{}/clean", world.path);
    assert_eq!(watch.of("offlined", &clean).count(), 1);
    assert_eq!(watch.of("freed", &clean).count(), 1);
    assert_eq!(watch.of("leaked", &clean).count(), 0);

    let agrees = |line: &Value, zombies: u64| {
        line["kind"] == "tick" && line["zombies"].as_u64() == Some(zombies)
    };
    let kernel = zombies();
    assert_eq!(kernel, before + PODS as u64);
    watch.wait_for("a tick that agrees with the kernel", |line| {
        agrees(line, kernel)
    });

    for file in files {
        world.unpin(&file);
    }
    let recovered = watch.wait_for_all("recovered lines", PODS, |line| {
        line["kind"] == "recovered" && below(line, &base)
    });
    let again: BTreeSet<_> = recovered
        .iter()
        .map(|line| line["pod_uid"].to_string())
        .collect();
    assert_eq!(again, pods);
    watch.wait_for("a tick after it", |line| agrees(line, before));

    let ended = watch.stop();
    let summary = ended.summary();
    // With those that others left, which were there before.
    let leaks = before + PODS as u64;
    assert_eq!(summary["leaks"].as_u64(), Some(leaks), "{summary}");
    assert_eq!(
        summary["recovered"].as_u64(),
        Some(PODS as u64),
        "{summary}"
    );
    // All of these recovered; those that others left did not.
    assert_eq!(ended.code, Some(i32::from(before != 0)), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .starts_with("kmemtrace: source bpf: records by "),
        "{}",
        ended.stderr
    );
    Ok(())
}

/// Of several that leak, the one that leaks most stands on top, and so does who made what leaked.
pub(super) fn crash_loop() -> Result {
    const CRASHES: usize = 5;
    let world = World::new("crash-loop");
    let mut watch = Watch::start(&["--grace", GRACE]);
    let crashes = (0..CRASHES).map(|n| format!("agent.service/run{n}"));
    let mut files = Vec::new();
    for (n, name) in crashes.chain(["calm.service/run".to_owned()]).enumerate() {
        let cgroup = world.make(&name);
        files.push(world.charge(&cgroup, &n.to_string()));
        remove(&cgroup);
    }
    let leaked = watch.wait_for_all("leaked lines", CRASHES + 1, |line| {
        line["kind"] == "leaked" && below(line, &world.path)
    });
    let ended = watch.stop();
    let summary = ended.summary();
    let owners = summary["owners"].as_array().expect("owners");
    let place = |name: &str| owners.iter().position(|owner| owner["name"] == name);
    assert!(place("agent.service") < place("calm.service"), "{summary}");
    assert_eq!(
        owners[place("agent.service").expect("listed")]["leaked"],
        CRASHES
    );
    let top = &summary["creators"][0];
    assert_eq!(top["comm"], leaked[0]["creator_comm"], "{summary}");
    assert!(top["leaked"].as_u64() > Some(CRASHES as u64), "{summary}");
    assert_eq!(ended.code, Some(1));
    for file in files {
        world.unpin(&file);
    }
    Ok(())
}

pub(super) fn hook<'a>(header: &'a Value, name: &str) -> &'a Value {
    let hooks = header["hooks"].as_array().expect("hooks in the header");
    hooks
        .iter()
        .find(|hook| hook["hook"] == name)
        .expect("the hook")
}

/// Only the memory hierarchy counts.
pub(super) fn other_hierarchies() -> Result {
    let world = World::new("other");
    let name = world.path.trim_start_matches('/');
    let others: Vec<_> = ["cpu", "pids", "unified"]
        .iter()
        .map(|other| std::path::Path::new("/sys/fs/cgroup").join(other))
        .filter(|other| other.join("cgroup.procs").exists())
        .collect();
    let mut watch = Watch::start(&[]);
    for other in others {
        let cgroup = other.join(format!("{name}-other"));
        fs::create_dir(&cgroup)?;
        fs::remove_dir(&cgroup)?;
    }
    let mine = world.make("mine");
    remove(&mine);
    watch.wait_for("the end of mine", |line| {
        line["kind"] == "freed" && below(line, &world.path)
    });
    let other = format!("{}-other", world.path);
    assert_eq!(
        watch.seen.iter().filter(|line| below(line, &other)).count(),
        0
    );
    watch.stop();
    Ok(())
}
