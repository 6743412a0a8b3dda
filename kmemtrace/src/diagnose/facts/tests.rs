//! What it costs to read a node's facts, and that it does not hurt.

use std::{fs, io, path::Path, time::Duration};

use super::*;
use crate::{
    census,
    host::{ProgramTexts, open::counted},
};

const AT: &str = "sys/fs/cgroup/memory";

/// A node with 3.10 under this directory, as far as it is needed here.
fn node(at: &Path) -> io::Result<()> {
    put(
        at,
        "proc/self/mountinfo",
        "32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    )?;
    put(at, "proc/cgroups", "memory\t4\t5\t1\n")?;
    put(at, "proc/sys/kernel/osrelease", "3.10.0-514.el7.x86_64\n")?;
    fs::create_dir_all(at.join("sys/kernel/slab"))?;
    cgroup(at, "")
}

fn put(at: &Path, file: &str, text: &str) -> io::Result<()> {
    let file = at.join(file);
    fs::create_dir_all(file.parent().unwrap_or(at))?;
    fs::write(file, text)
}

fn cgroup(at: &Path, path: &str) -> io::Result<()> {
    let header = "slabinfo - version: 2.1\n";
    put(at, &format!("{AT}{path}/memory.kmem.slabinfo"), header)?;
    put(
        at,
        &format!("{AT}{path}/memory.kmem.usage_in_bytes"),
        "4096\n",
    )?;
    put(at, &format!("{AT}{path}/cgroup.procs"), "")
}

/// Reads all that `diagnose` reads: the files, as they were named, and the bytes.
fn read(root: &Root) -> (Vec<String>, usize) {
    let (_, count) = counted(|| {
        let hierarchy = host::facts(root).memory.unwrap();
        let count = census::count(root, &hierarchy, Some(Duration::ZERO));
        let count = count.map_err(|error| Unread::new("/", error));
        Facts::read(root, ReadOptions::default(), count)
    });
    (count.opened, count.bytes)
}

/// A read there can hang 3.10.0-514, whatever it is for: to tell levels, what the kernel gives to parents, or to make a snapshot.
#[test]
fn no_verb_opens_the_slabinfo_of_a_young_cgroup() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    node(at).unwrap();
    for path in [
        "/kubepods",
        "/kubepods/pod1",
        "/kubepods/pod1/c1",
        "/docker",
    ] {
        cgroup(at, path).unwrap();
    }
    for (after, others) in [(Duration::from_mins(1), false), (Duration::ZERO, true)] {
        let root = Root::settling(at, after);
        let (diagnosed, _) = read(&root);
        let mut archive = tar::Builder::new(Vec::new());
        let (copied, count) =
            counted(|| host::copy(&root, 0, &ProgramTexts::default(), &mut archive));
        copied.unwrap();
        for opened in [diagnosed, count.opened] {
            let opened = opened.iter().map(String::as_str);
            let all: Vec<_> = opened.filter(|name| name.ends_with("slabinfo")).collect();
            // The root's is named by its whole path, or is in the directory that a walk begins with.
            let is_root = |name: &&&str| {
                name.ends_with("memory/memory.kmem.slabinfo") || **name == "./memory.kmem.slabinfo"
            };
            let root_s = all.iter().filter(is_root).count();
            assert!(root_s > 0, "{all:?}");
            assert_eq!(all.len() > root_s, others, "{all:?}");
        }
    }
}

/// A diagnosis of a node with 65,000 cgroups opens and reads so much at most, and what it opens does not grow with them beyond the
/// first 20,000.
#[test]
fn a_diagnosis_of_65_000_cgroups_costs_so_much_at_most() {
    // In memory: so many files take minutes on a disk.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let at = directory.path();
    node(at).unwrap();
    for number in 0..65_000 {
        let at = at.join(format!("{AT}/kubepods/pod{}/c{number}", number % 100));
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("memory.kmem.usage_in_bytes"), "0\n").unwrap();
    }
    let (opened, bytes) = read(&Root::settling(at, Duration::from_mins(1)));
    let mut of: HashMap<&str, usize> = HashMap::new();
    for name in &opened {
        *of.entry(name.rsplit('/').next().unwrap_or_default())
            .or_default() += 1;
    }
    for (name, most) in [
        // Twice to count, once for the levels.
        ("memory.kmem.usage_in_bytes", 60_000),
        // And the root's for the page size.
        ("memory.kmem.limit_in_bytes", 20_001),
        ("memory.usage_in_bytes", 20_000),
        ("memory.stat", 20_000),
        ("memory.kmem.slabinfo", 10),
    ] {
        let opened = of.get(name).copied().unwrap_or(0);
        assert!(opened <= most, "{name}: {opened}");
    }
    assert!(bytes <= 1 << 20, "{bytes} bytes");
}
