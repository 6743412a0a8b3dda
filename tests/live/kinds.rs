//! Each kind of thing that keeps a removed memory cgroup on some kernel, made before anybody looked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    time::Instant,
};

use rustix::param::page_size;
use serde_json::Value;

use super::{
    expected::{is_debian, is_from},
    files::{on_disk, write},
    leaks::hook,
    pins::about,
    source::{GRACE, SOURCES, Source},
    view::Tracefs,
    walk::scan,
    world::{World, charged, hold, is_v1, remove, wait_until, zombies},
};
use crate::harness::{Result, Watch, below, patience};

/// A kind, and what is right of a zombie that it keeps.
struct Kind {
    name: &'static str,
    /// Whether it keeps one here, as measured on 5.10, 6.1, 6.12, 6.18 and 7.3.
    keeps: bool,
    /// What a scan may say that it is.
    pins: &'static [&'static str],
    /// What tells its size, if it has one.
    size: Option<&'static str>,
}

fn kinds() -> [Kind; 7] {
    let kind = |name, keeps, pins, size| Kind {
        name,
        keeps,
        pins,
        size,
    };
    // By the kernel's statistics, where these can be read.
    let shared = if is_debian() {
        &["tmpfs"]
    } else {
        &["anonymous"]
    };
    // From 7.1 on pages go to the parent.
    let pages = !is_from(7, 1);
    [
        kind("tmpfs", pages, shared, Some("anon_bytes")),
        kind("page-cache", pages, &["page_cache"], Some("file_bytes")),
        kind("anonymous", pages, &["anonymous"], Some("anon_bytes")),
        kind("memfd", pages, shared, Some("anon_bytes")),
        kind("pipe", !is_from(5, 11), &["references"], None),
        kind("udp", !is_v1(), &["references"], None),
        // Directories' own blocks are page cache of the disk's.
        kind("inodes", true, &["references", "page_cache"], None),
    ]
}

/// Makes a kind in a cgroup; what keeps it goes with this file.
fn make(kind: &str, world: &World, disk: &Path, cgroup: &Path) -> PathBuf {
    let file = match kind {
        "page-cache" | "inodes" => disk.join(kind),
        _ => world.files.join(kind),
    };
    match kind {
        "tmpfs" | "page-cache" => write(cgroup, &file),
        "inodes" => {
            fs::create_dir(&file).expect("a directory on the disk");
            charged("charge-inodes", cgroup, &file);
        }
        _ => hold(&format!("charge-{kind}"), cgroup, &file),
    }
    file
}

/// The kinds that keep something here, a disk for those that take one, and where else that is.
fn kept() -> (Vec<Kind>, Option<tempfile::TempDir>) {
    let disk = on_disk();
    let mut kinds: Vec<_> = kinds().into_iter().filter(|kind| kind.keeps).collect();
    kinds.retain(|kind| disk.is_some() || !["page-cache", "inodes"].contains(&kind.name));
    (kinds, disk)
}

/// Removes what keeps them.
fn let_go(files: &[PathBuf], disk: Option<&tempfile::TempDir>) -> Result {
    for file in files {
        if file.is_dir() {
            fs::remove_dir_all(file)?;
        } else {
            fs::remove_file(file)?;
        }
    }
    if let Some(disk) = disk {
        // What was written of them is let go once the journal is.
        rustix::fs::syncfs(File::open(disk.path())?)?;
    }
    Ok(())
}

/// Watched by one source, in one way: each kind is called leaked, by its own path and id, and the count is the kernel's.
pub(super) fn counted(source: &Source, lifecycle: Option<&str>, avoid: &str) -> Result {
    let way = lifecycle.unwrap_or(source.name);
    let world = World::new(&format!("counted-{way}"));
    let _mounted = Tracefs::mounted();
    let (kinds, disk) = kept();
    let at = disk
        .as_ref()
        .map_or(Path::new("/var/tmp"), tempfile::TempDir::path);
    let before = zombies();
    let avoid: &[&str] = if avoid.is_empty() {
        &[]
    } else {
        &["--avoid", avoid]
    };
    let mut watch = source.watch(&[&["--grace", GRACE], avoid].concat());
    if let Some(lifecycle) = lifecycle {
        assert_eq!(
            hook(&watch.seen[0], "lifecycle")["way"],
            lifecycle,
            "{}",
            watch.seen[0]
        );
    }
    let base = format!("{}/", world.path);
    let count = kinds.len();
    let wait = |watch: &mut Watch, kind: &str| {
        watch.wait_for_all(&format!("{kind} lines by {way}"), count, |line| {
            line["kind"] == kind && below(line, &base)
        })
    };
    let made: Vec<_> = kinds.iter().map(|kind| world.make(kind.name)).collect();
    wait(&mut watch, "created");
    let mut files = Vec::new();
    for (kind, cgroup) in kinds.iter().zip(&made) {
        files.push(make(kind.name, &world, at, cgroup));
        remove(cgroup);
    }
    let leaked = wait(&mut watch, "leaked");
    let ids: BTreeSet<_> = leaked
        .iter()
        .filter_map(|line| line["cgroup_id"].as_u64())
        .collect();
    assert!(ids.len() == count && !ids.contains(&0), "{leaked:#?}");
    let agree = |watch: &mut Watch, expected: u64| {
        wait_until("the kernel's count", || zombies() == expected);
        watch.wait_for(
            &format!("a tick with {expected} zombies by {way}"),
            |line| line["kind"] == "tick" && line["zombies"].as_u64() == Some(expected),
        );
    };
    agree(&mut watch, before + count as u64);
    let_go(&files, disk.as_ref())?;
    agree(&mut watch, before);
    // A machine that is busy may poll late; nothing else may be missed.
    let gap = |line: &&Value| line["kind"] == "gap" && line["reason"] != "late_poll";
    assert_eq!(watch.seen.iter().find(gap), None, "{way}");
    watch.stop();
    Ok(())
}

/// By eBPF's other ways, and by kprobes where trampolines would do.
pub(super) fn by_raw_tp() -> Result {
    counted(&SOURCES[0], Some("raw_tp"), "tp_btf,fentry,fexit")
}

pub(super) fn by_tracepoint() -> Result {
    counted(
        &SOURCES[0],
        Some("tracepoint"),
        "tp_btf,raw_tp,fentry,fexit",
    )
}

/// By a source as it is.
pub(super) fn by_source(source: &Source) -> Result {
    counted(source, None, "")
}

/// All are listed with what keeps them and how much that is, and none once that goes.
pub(super) fn each() -> Result {
    let world = World::new("kinds");
    let (kinds, disk) = kept();
    let at = disk
        .as_ref()
        .map_or(Path::new("/var/tmp"), tempfile::TempDir::path);
    let files: Vec<_> = kinds
        .iter()
        .map(|kind| {
            let cgroup = world.make(kind.name);
            let file = make(kind.name, &world, at, &cgroup);
            remove(&cgroup);
            file
        })
        .collect();

    let pages = |zombie: &Value| Some(zombie["held_bytes"].as_u64()? / page_size() as u64);
    let listed = || scan(&world, &["--settle", "1ms"]).1;
    let path = |kind: &Kind| format!("{}/{}", world.path, kind.name);
    let right = |kind: &Kind, mine: &BTreeMap<String, Value>| {
        mine.get(&path(kind)).is_some_and(|zombie| {
            let is_pin = kind.pins.iter().any(|pin| zombie["pin"] == *pin);
            match kind.size {
                Some(size) => is_pin && about(&zombie[size]),
                // A page of the task's own may have come along, and is what is told of.
                None => is_pin || zombie["refcount"].as_u64() > pages(zombie),
            }
        })
    };
    // Processors' own counts come in within two seconds.
    let until = Instant::now() + patience();
    loop {
        let mine = listed();
        let wrong = kinds.iter().filter(|kind| !right(kind, &mine));
        let wrong: Vec<_> = wrong
            .map(|kind| (kind.name, mine.get(&path(kind))))
            .collect();
        if wrong.is_empty() {
            break;
        }
        assert!(Instant::now() < until, "{wrong:#?}");
    }

    let_go(&files, disk.as_ref())?;
    world.drain();
    let until = Instant::now() + patience();
    loop {
        let mine = listed();
        if mine.is_empty() {
            return Ok(());
        }
        assert!(Instant::now() < until, "{mine:#?}");
    }
}
