//! The kernel walk: zombies that were there before, with their names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::{Child, Command},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use kmemtrace::{
    host::{self, Root},
    source::bpf::KernelWalker,
};
use serde_json::Value;

use super::{
    source::GRACE,
    storm,
    world::{World, remove, started, wait_until, zombies},
};
use crate::harness::{Result, Watch, below, not_disposable, output, program, text};

const POD: &str = "/kubepods/besteffort/pod1b4bb6b0-3f73-4a3c-9a5e-0a3d6a2f7c2";
const CONTAINER: &str = "9f2c5c4c5170e34b10e7654ce36f0fcd532739f4445baabea03376aa34dc0b5";

/// How many pods, each with a container.
const PODS: usize = 3;

/// Pods whose containers leaked before anybody looked; each holds its container's cgroup and its own.
pub(super) fn leak(world: &World) -> Vec<PathBuf> {
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

pub(super) fn expected(world: &World) -> Vec<String> {
    let pods = (0..PODS).map(|n| format!("{}{POD}{n}", world.path));
    let both = pods.enumerate();
    both.flat_map(|(n, pod)| [pod.clone(), format!("{pod}/{CONTAINER}{n}")])
        .collect()
}

/// What died before the start is named, with its pod, and its end is seen.
pub(super) fn named_from_before() -> Result {
    named_by(Watch::start)
}

/// The same, by a run that `start` starts with these arguments.
pub(super) fn named_by(start: fn(&[&str]) -> Watch) -> Result {
    let world = World::new("walk-named");
    let before = zombies();
    let files = leak(&world);
    let kernel = before + 2 * PODS as u64;
    wait_until("more zombies", || zombies() == kernel);
    let mut watch = start(&["--grace", GRACE]);
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
    // However long it takes, none is to be called leaked.
    let mut watch = Watch::start(&["--ring-size", "4K", "--grace", "1h"]);
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

/// What a scan lists below a path, by path.
pub(super) fn scan(world: &World, args: &[&str]) -> (Value, BTreeMap<String, Value>) {
    scan_as(|args| program(args), world, args)
}

/// The same, where `program` says how the program is started.
pub(super) fn scan_as(
    program: impl FnOnce(&[&str]) -> Command,
    world: &World,
    args: &[&str],
) -> (Value, BTreeMap<String, Value>) {
    let common = ["scan", "--format", "json"];
    let settle = ["--settle", "200ms"];
    let settle = if args.contains(&settle[0]) {
        &settle[..0]
    } else {
        &settle[..]
    };
    let run = output(program(&[&common, settle, args].concat()));
    let seen: Value = serde_json::from_slice(&run.stdout).expect("a scan's JSON");
    assert!(seen["walk"].is_object(), "{seen} {}", text(&run.stderr));
    let list = seen["list"].as_array().expect("a list").clone();
    let mine = list.into_iter().filter(|zombie| below(zombie, &world.path));
    let path = |zombie: &Value| zombie["path"].as_str().unwrap_or_default().to_owned();
    let mine = mine.map(|zombie| (path(&zombie), zombie)).collect();
    (seen, mine)
}

/// A scan names every zombie with its pod, what it holds and what keeps it, and forgets those that are released.
pub(super) fn scanned() -> Result {
    let world = World::new("walk-scan");
    let before = zombies();
    let files = leak(&world);
    let kernel = before + 2 * PODS as u64;
    wait_until("more zombies", || zombies() == kernel);
    let (seen, mine) = scan(&world, &[]);
    assert!(mine.keys().eq(&expected(&world)), "{mine:?}");
    assert_eq!(seen["walk"]["complete"], true, "{seen}");
    assert_eq!(seen["walk"]["zombies"].as_u64(), Some(kernel), "{seen}");
    assert_eq!(seen["zombies"].as_u64(), Some(kernel), "{seen}");
    assert_eq!(seen["staying"].as_u64(), Some(kernel), "{seen}");
    for (path, zombie) in &mine {
        assert!(zombie["pod_uid"].is_string(), "{zombie}");
        assert_eq!(zombie["qos"], "besteffort", "{zombie}");
        assert_eq!(zombie["staying"], true, "{zombie}");
        let held = zombie["held_bytes"].as_u64().expect("it is known");
        if !path.contains(CONTAINER) {
            assert_eq!(zombie["pin"], "children", "{zombie}");
            assert_eq!(zombie["refcount"], 1, "{zombie}");
            continue;
        }
        assert!(zombie["refcount"].as_u64() >= Some(1), "{zombie}");
        // The file of 16 KiB, and what else came by; from 7.1 on it went to the parent, and the socket keeps the cgroup.
        match zombie["anon_bytes"].as_u64() {
            Some(0) => assert_eq!(zombie["pin"], "references", "{zombie}"),
            anon => {
                let known = zombie["shmem_bytes"].as_u64() > Some(0);
                let pin = if known { "tmpfs" } else { "anonymous" };
                assert_eq!(zombie["pin"], pin, "{zombie}");
                assert!(
                    (16 << 10..=80 << 10).contains(&anon.unwrap_or(0)),
                    "{zombie}"
                );
                assert!(held <= 80 << 10, "{zombie}");
            }
        }
    }
    let (_, top) = scan(&world, &["--top", "0"]);
    assert!(top.is_empty(), "{top:?}");
    for file in files {
        world.unpin(&file);
    }
    wait_until("fewer zombies", || zombies() <= before);
    let (_, mine) = scan(&world, &[]);
    assert!(mine.is_empty(), "{mine:?}");
    Ok(())
}

/// While cgroups come and go, every scan names all that stay, and none twice.
pub(super) fn scanned_under_churn() -> Result {
    const SCANS: usize = 4;
    let world = World::new("walk-churn");
    let files = leak(&world);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| -> Result {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                storm::churn(&world, 50);
            }
        });
        for _ in 0..SCANS {
            let (seen, mine) = scan(&world, &["--settle", "100ms"]);
            let staying: Vec<_> = mine.keys().filter(|path| path.contains("/pod")).collect();
            let whole =
                seen["walk"]["complete"] == true && staying.iter().copied().eq(&expected(&world));
            let list = seen["list"].as_array().expect("a list");
            let serials: BTreeSet<_> = list
                .iter()
                .map(|zombie| zombie["serial"].as_u64())
                .collect();
            if !whole || serials.len() != list.len() {
                ended.store(true, Ordering::Relaxed);
                return Err(format!("{seen}").into());
            }
        }
        ended.store(true, Ordering::Relaxed);
        Ok(())
    })?;
    for file in files {
        world.unpin(&file);
    }
    Ok(())
}

/// Zombies by the thousand, that files in a directory pin.
struct Many {
    files: PathBuf,
    child: Child,
}

impl Many {
    fn leak(world: &World, count: u64) -> Self {
        let files = world.files.join("many");
        fs::create_dir(&files).expect("a directory on a tmpfs");
        let number = count.to_string();
        let base = world.base.as_os_str();
        let args = [
            "leak-many".as_ref(),
            base,
            files.as_os_str(),
            number.as_ref(),
        ];
        let child = started(&args, "leaked");
        Self { files, child }
    }

    fn release(mut self) -> Result {
        fs::remove_dir_all(&self.files)?;
        self.child.wait()?;
        Ok(())
    }
}

/// While zombies are freed by the thousand, where a walk stands as well, each walk finds those that stay, and each once.
pub(super) fn freed_under_a_walk() -> Result {
    const COUNT: u64 = 3_000;
    let world = World::new("walk-freed");
    let kept = leak(&world);
    let many = Many::leak(&world, COUNT);
    wait_until("the kernel's count", || zombies() >= COUNT);
    let facts = host::facts(&Root::live());
    let mut walker = KernelWalker::load(&facts)?;
    let expected = expected(&world);
    let ended = AtomicBool::new(false);
    let (mut walks, mut changed, mut last) = (0, 0, u64::MAX);
    thread::scope(|scope| -> Result {
        scope.spawn(|| {
            for n in 0..COUNT {
                let _ = fs::remove_file(many.files.join(n.to_string()));
                if n % 64 == 0 {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            ended.store(true, Ordering::Relaxed);
        });
        loop {
            let over = ended.load(Ordering::Relaxed);
            let walk = walker.walk()?;
            walks += 1;
            changed += u64::from(walk.changed);
            assert!(walk.complete, "walk {walks}");
            let serials: BTreeSet<_> = walk.tree.iter().map(|memcg| memcg.serial).collect();
            assert_eq!(serials.len(), walk.tree.iter().count());
            let paths = walk.tree.dead().map(|memcg| walk.tree.path(memcg));
            let paths: BTreeSet<_> = paths
                .map(|path| String::from_utf8_lossy(&path.bytes).into_owned())
                .collect();
            for path in &expected {
                assert!(paths.contains(path), "walk {walks} does not have {path}");
            }
            last = walk.tree.dead().count() as u64;
            if over {
                return Ok(());
            }
        }
    })?;
    eprintln!("{walks} walks, {changed} of them while the tree changed under them, {last} left");
    many.release()?;
    for file in kept {
        world.unpin(&file);
    }
    Ok(())
}

/// As many zombies as there are memcg ids, where a machine is there for that, or some: all named, in under a second of runs.
pub(super) fn many() -> Result {
    let world = World::new("walk-many");
    let before = zombies();
    let count = if not_disposable().is_none() && available_bytes() >= 4 << 30 {
        60_000
    } else {
        6_000
    };
    let many = Many::leak(&world, count);
    wait_until("the kernel's count", || zombies() >= before + count);

    let (seen, mine) = scan(&world, &[]);
    let walk = &seen["walk"];
    assert_eq!(walk["complete"], true, "{walk}");
    assert_eq!(mine.len() as u64, count);
    assert!(mine.values().all(|zombie| zombie["pin"].is_string()));
    eprintln!("{count} zombies: {walk}");

    many.release()?;
    // The last of them stay in what processors keep.
    wait_until("their end", || zombies() <= before + 100);
    let (seen, mine) = scan(&world, &[]);
    assert!(mine.len() <= 100, "{}", seen["walk"]);
    Ok(())
}

/// What the kernel can give without swapping.
fn available_bytes() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let kib = meminfo.lines().find_map(|line| {
        let value = line.strip_prefix("MemAvailable:")?.trim();
        value.strip_suffix(" kB")?.parse::<u64>().ok()
    });
    kib.expect("MemAvailable") << 10
}
