//! Snapshots of the machine that the tests run on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{ffi::OsStringExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use kmemtrace::host::archive::unpack;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::harness::{Result, data, output, program, test, test_if, text};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test(
            "snapshot::an_archive_replaces_its_file_and_is_its_owners",
            whole,
        ),
        test_if(
            "snapshot::the_script_copies_what_kmemtrace_copies",
            no_memory,
            script,
        ),
        test(
            "snapshot::the_script_copies_a_copy_as_kmemtrace_does",
            copies,
        ),
        test_if(
            "snapshot::a_scan_of_it_is_a_scan_of_the_machine",
            no_memory,
            scan,
        ),
        test_if(
            "snapshot::a_diagnosis_of_it_is_the_machines",
            no_memory,
            diagnosis,
        ),
    ]
}

/// Why this machine's memory cgroups cannot be copied.
fn no_memory() -> Option<String> {
    let run = output(program(["scan", "--format", "json", "--settle", "0s"]));
    run.stdout.is_empty().then(|| text(&run.stderr))
}

fn snapshot(to: &Path) {
    let to = to.to_string_lossy();
    let run = output(program(["snapshot", "-o", &to]));
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert!(run.stdout.is_empty());
}

fn whole() -> Result {
    let directory = tempfile::tempdir()?;
    for name in ["a.tar", "a.tar.gz", "a.tar.zst"] {
        let file = directory.path().join(name);
        fs::write(&file, "what was there")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
        snapshot(&file);
        assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o600);
        let files = files(&file)?;
        assert!(files.contains(Path::new("proc/self/mountinfo")), "{name}");
    }
    let count = fs::read_dir(directory.path())?.count();
    assert_eq!(count, 3, "something was left beside them");
    Ok(())
}

/// The files and links in an archive.
fn files(archive: &Path) -> std::result::Result<BTreeSet<PathBuf>, Failed> {
    Ok(contents(archive)?.into_keys().collect())
}

/// What is in an archive: files with their content, links with their target.
fn contents(archive: &Path) -> std::result::Result<BTreeMap<PathBuf, Vec<u8>>, Failed> {
    let directory = tempfile::tempdir()?;
    unpack(archive, directory.path())?;
    let (mut files, mut folders) = (BTreeMap::new(), vec![directory.path().to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let content = if kind.is_symlink() {
                fs::read_link(&path)?.into_os_string().into_vec()
            } else {
                fs::read(&path)?
            };
            files.insert(path.strip_prefix(directory.path())?.to_path_buf(), content);
        }
    }
    Ok(files)
}

/// The shells that this machine has.
fn shells() -> Vec<Vec<&'static str>> {
    let mut shells = vec![vec!["sh"], vec!["dash"], vec!["busybox", "sh"]];
    shells.retain(|shell| {
        let mut command = Command::new(shell[0]);
        let run = command.args(&shell[1..]).args(["-c", "exit 0"]).output();
        run.is_ok_and(|run| run.status.success())
    });
    shells
}

fn script() -> Result {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kmemtrace-snapshot.sh");
    let directory = tempfile::tempdir()?;
    let [before, after, made] =
        ["before.tar.zst", "after.tar.zst", "made.tar.gz"].map(|name| directory.path().join(name));
    for shell in shells() {
        snapshot(&before);
        let mut command = Command::new(shell[0]);
        let run = command.args(&shell[1..]).arg(&script).arg(&made).output()?;
        assert!(run.status.success(), "{shell:?}: {}", text(&run.stderr));
        snapshot(&after);
        let (before, made, after) = (files(&before)?, files(&made)?, files(&after)?);
        // Cgroups come and go meanwhile.
        let always: BTreeSet<_> = before.intersection(&after).cloned().collect();
        let ever: BTreeSet<_> = before.union(&after).cloned().collect();
        let missing: Vec<_> = always.difference(&made).collect();
        let extra: Vec<_> = made.difference(&ever).collect();
        assert!(missing.is_empty(), "{shell:?} leaves out {missing:?}");
        assert!(extra.is_empty(), "{shell:?} copies {extra:?}");
    }
    Ok(())
}

/// A machine with v2, made up: hostile names, files that are too long.
fn made_up(directory: &Path) -> Result {
    let long = "x".repeat((1 << 20) + 1);
    for (file, content) in [
        (
            "proc/self/mountinfo",
            "34 30 0:29 / /sys/fs/my\\040cg rw - cgroup2 cgroup2 rw\n",
        ),
        ("proc/cgroups", "#subsys_name\nmemory\t0\t130\t1\n"),
        ("proc/cmdline", &long),
        ("proc/meminfo", "MemTotal: 1 kB\n"),
        ("proc/sys/kernel/osrelease", "6.1.0-40-amd64\n"),
        ("lib/modules/6.1.0-40-amd64/config", "CONFIG_MEMCG=y\n"),
        ("var/log/pods/shop_web 0_uid/web/0.log", "not to be copied"),
        ("var/log/pods/-rf/0.log", "not to be copied"),
        ("etc/os-release", "ID=debian\n"),
        ("etc/passwd", "not to be copied"),
        ("kmsg-raw.txt", "6,1,2,-;hello\n"),
        (
            "cgroup-dirs-inodes.txt",
            "1 .\n2 ./a b\n3 ./\u{1b}[31m\n4 ./*\n5 ./-rf\n6 ./c\n",
        ),
        ("sys/fs/my cg/cgroup.controllers", "cpu memory\n"),
        ("sys/fs/my cg/cgroup.subtree_control", "memory\n"),
        ("sys/fs/my cg/cgroup.stat", "nr_dying_descendants 3\n"),
        ("sys/fs/my cg/a b/memory.current", "4096\n"),
        ("sys/fs/my cg/a b/memory.stat", "anon 0\n"),
        ("sys/fs/my cg/a b/memory.peak", "not read"),
        ("sys/fs/my cg/\u{1b}[31m/cgroup.procs", "7\n"),
        ("sys/fs/my cg/*/memory.current", "1\n"),
        ("sys/fs/my cg/-rf/memory.current", "2\n"),
        ("sys/fs/my cg/c/cgroup.procs", &long),
        ("sys/kernel/slab/dentry/objects", "9\n"),
        (
            "var/log/messages",
            "a password\n\nkubelet: mkdir /sys/fs/cgroup/memory/x\u{ff}: cannot allocate memory\nlast",
        ),
        ("usr/bin/kubelet", "memory.kmem.limit_in_bytes"),
        (
            "usr/local/sbin/runc",
            "\0kernel memory accounting disabled in this runc build\0",
        ),
        ("var/log/docker/x", "a directory"),
        ("var/log/syslog", "mkdir /tmp/x: no space left on device\n"),
        (
            "var/log/syslog.1",
            "Nov 24 01:02:03 n kernel: Linux version 3.10.0\n",
        ),
        ("var/log/syslog.2.xz", "not read"),
        (
            "var/log/messages-20261101",
            "Nov  1 01:02:03 n kernel: SLUB: Unable to allocate memory on node -1 (gfp=0xd0)\nNov  1 01:02:03 n kernel: slab 4096\nNov  1 01:02:03 n x: slab x\n1 2\n",
        ),
        ("var/log/messages-20261108", "[   1.0] x\n  slab\t7\n"),
        ("var/log/messages-2026110", "not read"),
        (
            "var/lib/docker/containers/a b/a b-json.log",
            "{\"log\":\"mkdir /sys/fs/cgroup/memory/x: cannot allocate memory\\n\",\"time\":\"2021-11-13T08:11:09.219Z\"}\n",
        ),
        ("var/lib/docker/containers/.c/.c-json.log", "not read"),
        (
            "var/log/lxd/x/lxc.log",
            "lxc 20160602083833.650 ERROR No space left on device - Failed to create /sys/fs/cgroup/memory//lxc/x\n",
        ),
        ("var/log/kern.log", ""),
    ] {
        let file = directory.join(file);
        fs::create_dir_all(file.parent().expect("below the directory"))?;
        fs::write(file, content)?;
    }
    let packed = directory.join("var/log/syslog.2");
    let line = "Nov 24 01:02:02 n kubelet: mkdir /sys/fs/cgroup/memory/x: cannot allocate memory\n";
    fs::write(&packed, line)?;
    let run = Command::new("gzip").arg(&packed).status()?;
    assert!(run.success(), "{run}");
    Ok(())
}

fn copies() -> Result {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kmemtrace-snapshot.sh");
    let directory = tempfile::tempdir()?;
    let made_up_root = directory.path().join("made-up");
    made_up(&made_up_root)?;
    let mut roots = vec![made_up_root];
    for name in ["el7-514-leaked-10", "k414-leaked-10"] {
        let into = directory.path().join(format!("{name}.d"));
        fs::create_dir(&into)?;
        unpack(&data(&format!("recordings/{name}.tar.zst")), &into)?;
        roots.push(into.join(name).join("after-loop"));
    }
    let [copy, made] = ["copy.tar", "made.tar"].map(|name| directory.path().join(name));
    for root in roots {
        let mut command = program(["snapshot", "-o"]);
        command.arg(&copy).arg("--root").arg(&root);
        let run = output(command);
        assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
        let mut expected = contents(&copy)?;
        expected.remove(Path::new("snapshot.txt"));
        assert!(expected.len() > 15, "{:?}", expected.keys());
        for shell in shells() {
            let mut command = Command::new(shell[0]);
            let command = command.args(&shell[1..]).arg(&script).arg("-r");
            let run = command.arg(&root).arg(&made).output()?;
            assert!(run.status.success(), "{shell:?}: {}", text(&run.stderr));
            let mut found = contents(&made)?;
            assert!(found.remove(Path::new("snapshot.txt")).is_some());
            // In whatever order the file system has them.
            for all in [&mut expected, &mut found] {
                let inodes = all.get_mut(Path::new("cgroup-dirs-inodes.txt"));
                let inodes = inodes.expect("inodes");
                let mut lines: Vec<_> = inodes.split(|&byte| byte == b'\n').collect();
                lines.sort_unstable();
                *inodes = lines.join(&b'\n');
            }
            for (file, content) in &expected {
                let content = String::from_utf8_lossy(content);
                let other = found
                    .remove(file)
                    .unwrap_or_else(|| panic!("{shell:?}: no {}", file.display()));
                assert_eq!(
                    content,
                    String::from_utf8_lossy(&other),
                    "{shell:?}: {}",
                    file.display()
                );
            }
            assert!(found.is_empty(), "{shell:?} copies {:?}", found.keys());
        }
    }
    Ok(())
}

/// What a scan says of the machine, or of a copy.
fn scanned(root: Option<&Path>) -> std::result::Result<Value, Failed> {
    let mut command = program(["scan", "--format", "json", "--settle", "0s"]);
    if let Some(root) = root {
        command.arg("--root").arg(root);
    }
    let run = output(command);
    let mut told: Value = serde_json::from_slice(&run.stdout)
        .map_err(|error| format!("{error}: {}", text(&run.stderr)))?;
    // What only a walk of the running kernel's own tree tells.
    for walked in [
        "walk",
        "walk_refused",
        "ids_used",
        "ids_kept",
        "zombie_bytes",
        "kernel_bytes",
        "object_cgroups",
        "pins",
        "list",
        "list_more",
        "forecast",
        "reclaimable_zombies",
        "stuck_zombies",
    ] {
        told.as_object_mut().expect("an object").remove(walked);
    }
    Ok(told)
}

fn scan() -> Result {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kmemtrace-snapshot.sh");
    let directory = tempfile::tempdir()?;
    let [copy, made] = ["copy.tar.zst", "made.tar.gz"].map(|name| directory.path().join(name));
    let mut seen = Vec::new();
    // Whoever else is here makes cgroups, and removes them: once, nothing has changed meanwhile.
    let _turn = crate::live::Turn::take();
    for _ in 0..50 {
        let before = scanned(None)?;
        snapshot(&copy);
        let run = Command::new("sh").arg(&script).arg(&made).output()?;
        assert!(run.status.success(), "{}", text(&run.stderr));
        let after = scanned(None)?;
        let copies = [scanned(Some(&copy))?, scanned(Some(&made))?];
        if before == after && copies.iter().all(|copy| *copy == before) {
            return Ok(());
        }
        seen = vec![before, after];
        seen.extend(copies);
    }
    Err(format!("never the same: {seen:#?}").into())
}

/// Each finding's verdict, of the machine or of a copy, but what only the running kernel tells: what keeps zombies.
fn diagnosed(root: Option<&Path>) -> std::result::Result<BTreeMap<String, Value>, Failed> {
    let mut command = program(["diagnose", "--format", "json"]);
    if let Some(root) = root {
        command.arg("--root").arg(root);
    }
    let run = output(command);
    let told: Value = serde_json::from_slice(&run.stdout)
        .map_err(|error| format!("{error}: {}", text(&run.stderr)))?;
    let findings = told["findings"].as_array().into_iter().flatten();
    let verdict = |one: &Value| Some((one["id"].as_str()?.to_owned(), one["verdict"].clone()));
    let mut verdicts: BTreeMap<_, _> = findings.filter_map(verdict).collect();
    verdicts.insert("state".to_owned(), told["state"].clone());
    assert!(verdicts.len() > 10, "{told}");
    assert!(verdicts.remove("pins").is_some(), "{told}");
    Ok(verdicts)
}

fn diagnosis() -> Result {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kmemtrace-snapshot.sh");
    let directory = tempfile::tempdir()?;
    let [copy, made] = ["copy.tar.zst", "made.tar.gz"].map(|name| directory.path().join(name));
    let mut seen = Vec::new();
    // Others' zombies come and go meanwhile.
    let _turn = crate::live::Turn::take();
    for _ in 0..10 {
        let live = diagnosed(None)?;
        snapshot(&copy);
        let run = Command::new("sh").arg(&script).arg(&made).output()?;
        assert!(run.status.success(), "{}", text(&run.stderr));
        let copies = [diagnosed(Some(&copy))?, diagnosed(Some(&made))?];
        if copies.iter().all(|copy| *copy == live) {
            return Ok(());
        }
        seen = vec![live];
        seen.extend(copies);
    }
    Err(format!("never the same: {seen:#?}").into())
}
