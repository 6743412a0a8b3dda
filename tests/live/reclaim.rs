//! Zombies made on purpose, and freed.

use std::fs;

use serde_json::Value;

use super::world::{self, World, is_v1, mount, remove, wait_until, zombies};
use crate::harness::{Result, output, program, text};

const COUNT: u64 = 10;

fn json(args: &[&str]) -> (Option<i32>, Value) {
    let run = output(program(args.iter().chain(&["--format", "json"])));
    let told = serde_json::from_slice(&run.stdout);
    let told = told.unwrap_or_else(|error| panic!("{args:?}: {error}: {}", text(&run.stderr)));
    (run.status.code(), told)
}

/// What pins does so until it goes, what does not pin leaves no zombie, and nothing is left behind.
pub(super) fn reproduce() -> Result {
    let world = World::new("reproduce");
    let directory = world.files.to_string_lossy().into_owned();
    let run = |workload: &str| {
        let count = COUNT.to_string();
        json(&[
            "reproduce",
            "--count",
            &count,
            "--workload",
            workload,
            "--wait",
            "8s",
            "--directory",
            &directory,
            "--yes",
        ])
    };
    // Files on a tmpfs pin up to 7.0; sockets are charged on v2 only.
    let pins = if is_v1() { "tmpfs" } else { "sockets" };
    let mut last = Value::Null;
    // On v1 the kernel counts the whole machine's, and others' may go meanwhile.
    let seen = (0..if is_v1() { 4 } else { 1 }).any(|_| {
        let (status, told) = run(pins);
        let steps = told["steps"].as_array().into_iter().flatten();
        let left: Vec<_> = steps.filter_map(|step| step["zombies"].as_u64()).collect();
        let right = status == Some(1) && told["made"] == COUNT && left == [COUNT, 0];
        last = told;
        right
    });
    assert!(seen, "{COUNT} zombies, then none: {last}");
    let (_, told) = run("dentries");
    let stayed = told["steps"][0]["zombies"].as_u64();
    assert!(
        stayed.is_some_and(|stayed| stayed <= 2),
        "slab goes to the parent: {told}"
    );

    for place in [
        mount().ok_or("checked before")?,
        world.files.clone(),
        "/dev/shm".into(),
    ] {
        let names = fs::read_dir(place)?.filter_map(std::result::Result::ok);
        let left: Vec<_> = names
            .map(|entry| entry.file_name())
            .filter(|name| name.to_string_lossy().starts_with("kmemtrace-reproduce"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    let refused = output(program(["reproduce", "--count", "60000"]));
    let why = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{why}");
    assert!(why.contains("more than a tenth of the"), "{why}");
    Ok(())
}

/// A directory on a disk: what is on a tmpfs cannot be reclaimed.
const DISK: &str = "/var/tmp";

/// Why page cache cannot pin anything here.
pub(super) fn missing() -> Option<String> {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    if let Some(why) = world::missing_hierarchy() {
        return Some(why);
    }
    let on_disk = rustix::fs::statfs(DISK).is_ok_and(|fs| {
        let kind = fs.f_type as u64 & 0xffff_ffff;
        ![TMPFS, RAMFS].contains(&kind)
    });
    if !on_disk {
        return Some(format!("needs {DISK} on a disk"));
    }
    let reclaims = mount().is_some_and(|mount| is_v1() || mount.join("memory.reclaim").exists());
    (!reclaims).then(|| "needs cgroup v1, or memory.reclaim".to_owned())
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

    let (status, told) = json(&["reclaim"]);
    assert_eq!(
        (status, &told["applied"]),
        (Some(1), &false.into()),
        "{told}"
    );
    assert!(
        told["steps"]
            .as_array()
            .is_some_and(|steps| steps.iter().any(|step| step["kind"] == "reclaim")),
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
