//! Zombies made on purpose, and freed.

use std::fs;

use serde_json::Value;

use super::{
    expected::is_from,
    world::{self, World, is_v1, mount, remove, wait_until, zombies},
};
use crate::harness::{Result, output, program, text, too_slow};

const COUNT: u64 = 10;

fn json(args: &[&str]) -> (Option<i32>, Value) {
    let run = output(program(args.iter().chain(&["--format", "json"])));
    let told = serde_json::from_slice(&run.stdout);
    let told = told.unwrap_or_else(|error| panic!("{args:?}: {error}: {}", text(&run.stderr)));
    (run.status.code(), told)
}

/// Each workload: whether it keeps a removed memory cgroup here, as measured on 5.10, 6.1, 6.12, 6.18 and 7.3, and by what the
/// kernel's own tree says that it does, where that tells one thing, or a second one until its statistics are up to date.
fn pins(workload: &str) -> (bool, Option<[&'static str; 2]>) {
    // From 7.1 on pages go to the parent.
    let pages = !is_from(7, 1);
    match workload {
        "tmpfs" => (pages, Some(["tmpfs", "anonymous"])),
        "page-cache" => (pages, Some(["page_cache"; 2])),
        "inodes" => (true, None),
        // Charged on v2 only.
        "sockets" => (!is_v1(), None),
        // Slab goes to the parent.
        _ => (false, None),
    }
}

/// What pins does so until it goes, what does not pin leaves no zombie, and nothing is left behind.
fn reproduced(workload: &str) -> Result {
    let _world = World::new("reproduce");
    let (stays, pins) = pins(workload);
    let count = COUNT.to_string();
    // What stays is waited for to the end, and what goes until it is gone.
    let wait = match (stays, too_slow()) {
        (true, None) => "1s",
        (true, Some(_)) | (false, None) => "3s",
        (false, Some(_)) => "8s",
    };
    let run = || {
        json(&[
            "reproduce",
            "--count",
            &count,
            "--workload",
            workload,
            "--wait",
            wait,
            "--directory",
            DISK,
            "--yes",
        ])
    };
    let right = |(status, told): &(Option<i32>, Value)| {
        let steps = told["steps"].as_array().map_or(&[][..], |steps| steps);
        let left: Vec<_> = steps
            .iter()
            .filter_map(|step| step["zombies"].as_u64())
            .collect();
        let kept = steps.first().and_then(|step| step["pins"].as_array());
        let explained = told["walk_refused"].is_string()
            // The first may have been charged for what the program read from disk, too.
            || pins.is_none_or(|pins| {
                let kept = kept.into_iter().flatten();
                let kept = kept.filter(|kept| pins.iter().any(|pin| kept["pin"] == *pin));
                let kept: u64 = kept.filter_map(|kept| kept["zombies"].as_u64()).sum();
                kept + 1 >= COUNT
            });
        told["made"] == COUNT
            && match left[..] {
                // What processors keep of a cgroup may pin one or two.
                [first, ..] if !stays => first <= 2,
                [first, last] => *status == Some(1) && (first, last) == (COUNT, 0) && explained,
                _ => false,
            }
    };
    let mut last = run();
    // On v1 the kernel counts the whole machine's, and others' may come and go meanwhile.
    for _ in 0..3 {
        if right(&last) || !is_v1() {
            break;
        }
        last = run();
    }
    assert!(right(&last), "{workload}: stays: {stays}: {last:?}");
    for place in [
        mount().ok_or("checked before")?,
        DISK.into(),
        "/dev/shm".into(),
    ] {
        let names = fs::read_dir(place)?.filter_map(std::result::Result::ok);
        let left: Vec<_> = names
            .map(|entry| entry.file_name())
            .filter(|name| name.to_string_lossy().starts_with("kmemtrace-reproduce"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    Ok(())
}

pub(super) fn dentries() -> Result {
    reproduced("dentries")
}

pub(super) fn tmpfs() -> Result {
    reproduced("tmpfs")
}

pub(super) fn sockets() -> Result {
    reproduced("sockets")
}

pub(super) fn inodes() -> Result {
    reproduced("inodes")
}

pub(super) fn pages() -> Result {
    reproduced("page-cache")
}

/// Too many are refused, and where pods run it takes `--yes`.
pub(super) fn refused() -> Result {
    let refused = output(program(["reproduce", "--count", "60000"]));
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{why}");
    assert!(why.contains("more than a tenth of the"), "{why}");
    let kubepods = mount().ok_or("checked before")?.join("kubepods");
    if fs::create_dir(&kubepods).is_err() {
        return Ok(());
    }
    let refused = output(program(["reproduce", "--count", "1"]));
    remove(&kubepods);
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{why}");
    assert!(why.contains("pods run on this node"), "{why}");
    Ok(())
}

/// A directory on a disk: what is on a tmpfs cannot be reclaimed.
const DISK: &str = "/var/tmp";

/// Why page cache cannot be reclaimed here.
pub(super) fn missing() -> Option<String> {
    if let Some(why) = missing_disk() {
        return Some(why);
    }
    let reclaims = mount().is_some_and(|mount| is_v1() || mount.join("memory.reclaim").exists());
    (!reclaims).then(|| "needs cgroup v1, or memory.reclaim".to_owned())
}

/// Why inodes cannot pin anything here: those of other file systems were not measured.
pub(super) fn missing_ext4() -> Option<String> {
    const EXT4: u64 = 0xef53;
    missing_disk().or_else(|| {
        let ext4 = rustix::fs::statfs(DISK).is_ok_and(|fs| fs.f_type as u64 == EXT4);
        (!ext4).then(|| format!("needs {DISK} on ext4"))
    })
}

/// Why page cache cannot pin anything here.
pub(super) fn missing_disk() -> Option<String> {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    if let Some(why) = world::missing_hierarchy() {
        return Some(why);
    }
    let on_disk = rustix::fs::statfs(DISK).is_ok_and(|fs| {
        let kind = fs.f_type as u64 & 0xffff_ffff;
        ![TMPFS, RAMFS].contains(&kind)
    });
    (!on_disk).then(|| format!("needs {DISK} on a disk"))
}

/// A zombie that page cache pins is there after a dry run, and gone when it is applied.
pub(super) fn page_cache() -> Result {
    let world = World::new("reclaim");
    let file = tempfile::Builder::new()
        .prefix("kmemtrace-test-")
        .tempfile_in(DISK)?;
    let cgroup = world.make("pod/zombie");
    let script = format!(
        "echo $$ > {0}/cgroup.procs; head -c 8388608 /dev/zero > {1}; sync {1}; echo $$ > {2}/cgroup.procs",
        cgroup.display(),
        file.path().display(),
        mount().ok_or("checked before")?.display()
    );
    let mut shell = std::process::Command::new("/bin/sh");
    let done = output({
        shell.args(["-c", &script]);
        shell
    });
    assert!(done.status.success(), "{}", text(&done.stderr));
    let before = zombies();
    remove(&cgroup);
    let pod = world.base.join("pod");
    let held = || {
        let stat = fs::read_to_string(pod.join("memory.stat")).unwrap_or_default();
        let key = if is_v1() { "total_cache " } else { "file " };
        let held = stat
            .lines()
            .find_map(|line| line.strip_prefix(key)?.parse::<u64>().ok());
        held.unwrap_or(0)
    };
    wait_until("8 MiB of page cache below the pod", || held() > 7 << 20);
    assert!(zombies() > before, "page cache pins it");

    let kind = if is_v1() { "force-empty" } else { "reclaim" };
    let (status, told) = json(&["reclaim"]);
    assert_eq!(
        (status, &told["applied"]),
        (Some(1), &false.into()),
        "{told}"
    );
    assert!(
        told["steps"]
            .as_array()
            .is_some_and(|steps| steps.iter().any(|step| step["kind"] == kind)),
        "{told}"
    );
    assert!(held() > 7 << 20, "a dry run changes nothing");

    let (_, told) = json(&["reclaim", "--apply"]);
    assert_eq!(told["applied"], true, "{told}");
    assert!(held() < 1 << 20, "{} left: {told}", held());
    let count = |value: &Value| value["zombies"].as_u64();
    let after = told["steps"]
        .as_array()
        .and_then(|steps| steps.last()?.get("after").cloned());
    assert!(
        after.as_ref().and_then(count) < count(&told["before"]),
        "{told}"
    );
    Ok(())
}
