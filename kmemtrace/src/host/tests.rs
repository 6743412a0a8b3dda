use std::fs;

use proptest::prelude::*;

use super::*;
use crate::event::Counts;

mod walk;
pub(crate) mod world;

/// A copy of a machine's files in a temporary directory.
pub(crate) fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = directory.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let root = Root::at(directory.path());
    (directory, root)
}

const CGROUPS: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled
cpuset\t3\t1\t1
memory\t4\t48\t1
";

const MOUNTS: &str = r"24 1 0:22 / /sys rw - sysfs sysfs rw
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw shared:5 - cgroup cgroup rw,cpu
32 1 0:28 /docker/1234 /bind/memory rw - cgroup cgroup rw,memory
33 30 0:28 / /sys/fs/cgroup/my\040memory rw shared:7 master:2 - cgroup cgroup rw,memory
34 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
35 24 0:7 / /sys/kernel/debug rw - debugfs debugfs rw
";

#[test]
fn a_hybrid_host_has_memory_on_v1() {
    let (_directory, root) = root(&[
        ("/proc/self/mountinfo", MOUNTS),
        ("/proc/cgroups", CGROUPS),
        ("/proc/sys/kernel/osrelease", "6.18.44\n"),
        (
            "/proc/self/status",
            "Name:\tx\nUid:\t1000\t0\t0\t0\nCapEff:\t000001ffffffffff\n",
        ),
        (
            "/sys/kernel/security/lockdown",
            "none [integrity] confidentiality\n",
        ),
        ("/proc/sys/kernel/unprivileged_bpf_disabled", "2\n"),
        ("/sys/kernel/btf/vmlinux", "x"),
        ("/sys/kernel/debug/tracing/kprobe_events", ""),
    ]);
    let facts = facts(&root);
    let mount = PathBuf::from("/sys/fs/cgroup/my memory");
    assert_eq!(
        facts.memory,
        Ok(Hierarchy {
            version: Version::V1,
            id: 4,
            mount
        })
    );
    assert_eq!(facts.kernel.as_deref(), Some("6.18.44"));
    assert_eq!(facts.lockdown.as_deref(), Some("integrity"));
    assert_eq!(facts.unprivileged_bpf_disabled, Some(2));
    assert_eq!(
        facts.tracefs,
        Some(PathBuf::from("/sys/kernel/debug/tracing"))
    );
    assert_eq!(facts.cgroup_mounts.len(), 4);
    assert_eq!(facts.privileges.euid, 0);
    assert!(facts.privileges.has(Capability::Bpf));
    assert!(facts.btf);
}

#[test]
fn memory_on_v2_with_or_without_a_row() {
    let mounts = "34 30 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let v2 = Hierarchy {
        version: Version::V2,
        id: 0,
        mount: "/sys/fs/cgroup".into(),
    };
    for cgroups in ["memory\t0\t130\t1\n", "#subsys_name\tnum_cgroups\n"] {
        let (_directory, root) = root(&[
            ("/proc/self/mountinfo", mounts),
            ("/proc/cgroups", cgroups),
            ("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"),
        ]);
        assert_eq!(facts(&root).memory.as_ref(), Ok(&v2), "{cgroups}");
    }
}

#[test]
fn every_reason_for_no_memory_hierarchy() {
    let v2 = "34 30 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    for (mounts, cgroups, reason) in [
        (MOUNTS, "memory\t0\t1\t0\n", NoMemory::Disabled),
        (v2, "memory\t7\t1\t1\n", NoMemory::V1NotMounted(7)),
        ("", "memory\t0\t1\t1\n", NoMemory::NotMounted),
        (v2, "", NoMemory::NotOnV2), // no `memory` in cgroup.controllers
    ] {
        let (_directory, root) =
            root(&[("/proc/self/mountinfo", mounts), ("/proc/cgroups", cgroups)]);
        assert_eq!(facts(&root).memory, Err(reason));
        assert!(!reason.help().is_empty());
    }
}

#[test]
fn an_empty_host_has_nothing() {
    let (_directory, root) = root(&[]);
    let facts = facts(&root);
    assert_eq!(facts.memory, Err(NoMemory::Unread));
    assert_eq!(facts.privileges.capabilities, 0);
    assert_eq!(
        (facts.kernel, facts.tracefs, facts.btf),
        (None, None, false)
    );
}

pub(crate) fn hierarchy(version: Version) -> Hierarchy {
    Hierarchy {
        version,
        id: 0,
        mount: "/cg".into(),
    }
}

#[test]
fn no_path_leads_out_of_a_copy() {
    let root = Root::at("/copy");
    for (path, inside) in [
        ("/sys/kernel/slab", "/copy/sys/kernel/slab"),
        ("sys", "/copy/sys"),
        ("/../../etc", "/copy/etc"),
        ("/a/./../b", "/copy/a/b"),
        ("/", "/copy"),
    ] {
        assert_eq!(root.path(path), Path::new(inside), "{path}");
    }
    assert_eq!(Root::live().path("/proc/x"), Path::new("/proc/x"));
}

#[test]
fn a_missing_hierarchy_is_an_error() {
    let (_directory, root) = root(&[]);
    assert!(walk(&root, &hierarchy(Version::V1), &mut |_| {}).is_err());
    assert!(counts(&root, &hierarchy(Version::V1)).is_err());
    assert!(counts(&root, &hierarchy(Version::V2)).is_err());
}

#[test]
fn counts_are_the_kernels() {
    let (_directory, root) = root(&[
        ("/proc/cgroups", CGROUPS),
        (
            "/cg/cgroup.stat",
            "nr_descendants 5\nnr_dying_descendants 7\nnr_dying_subsys_memory 6\n",
        ),
    ]);
    let v1 = counts(&root, &hierarchy(Version::V1)).unwrap();
    assert_eq!(
        v1,
        Counts {
            num_cgroups: Some(48),
            ..Counts::default()
        }
    );
    let v2 = counts(&root, &hierarchy(Version::V2)).unwrap();
    assert_eq!(
        v2,
        Counts {
            dying: Some(7),
            dying_memory: Some(6),
            ..Counts::default()
        }
    );
}

/// In a container: the memory hierarchy from some cgroup on downwards.
#[test]
fn a_part_of_the_hierarchy_is_not_taken_for_the_whole() {
    let v1 = "33 30 0:28 / /cg rw - cgroup cgroup rw,memory\n";
    let v1_part = "33 30 0:28 /docker/1 /cg rw - cgroup cgroup rw,memory\n";
    let v2 = "33 30 0:28 / /cg rw - cgroup2 cgroup2 rw\n";
    // What the host mounted, seen from a cgroup namespace: the whole, or a cgroup in between.
    let v1_above = "33 30 0:28 /../.. /cg rw - cgroup cgroup rw,memory\n";
    let v2_above = "33 30 0:28 /.. /cg rw - cgroup2 cgroup2 rw\n";
    let v2_beside = "33 30 0:28 /../a /cg rw - cgroup2 cgroup2 rw\n";
    for (mounts, id, files, whole) in [
        (v1, 4, &["notify_on_release", "release_agent"][..], true),
        (v1, 4, &["notify_on_release"], false),
        (v1, 4, &[], true), // a copy of a few files
        (v1_part, 4, &["notify_on_release"], false),
        (v2, 0, &["cgroup.events"], false),
        (v2, 0, &[], true),
        (v1_above, 4, &["notify_on_release", "release_agent"], true),
        (v1_above, 4, &["notify_on_release"], false),
        (v1_above, 4, &[], false),
        (v2_above, 0, &[], true),
        (v2_above, 0, &["cgroup.events"], false),
        (v2_beside, 0, &[], false),
    ] {
        let cgroups = format!("memory\t{id}\t9\t1\n");
        let mut all = vec![
            ("/proc/self/mountinfo", mounts),
            ("/proc/cgroups", cgroups.as_str()),
        ];
        let names: Vec<_> = files.iter().map(|name| format!("/cg/{name}")).collect();
        all.push(("/cg/cgroup.controllers", "memory\n"));
        all.extend(names.iter().map(|name| (name.as_str(), "")));
        let (_directory, root) = root(&all);
        let memory = facts(&root).memory;
        assert_eq!(memory.is_ok(), whole, "{mounts} {files:?}");
        assert!(
            whole || memory == Err(NoMemory::Part),
            "{mounts} {files:?}: {memory:?}"
        );
    }
}

#[test]
fn a_command_line_without_memory_is_seen_where_there_is_no_row() {
    let (_directory, root) = root(&[("/proc/cmdline", "quiet cgroup_disable=cpu,memory ro\n")]);
    assert_eq!(facts(&root).memory, Err(NoMemory::Disabled));
    assert!(!controllers::disabled(
        b"cgroup_disable=memoryx cgroup_memory=1"
    ));
}

fn parsed(mountinfo: &str) -> Vec<mounts::Mount> {
    mounts::parse(mountinfo.as_bytes())
        .map(Result::unwrap)
        .collect()
}

#[test]
fn a_mount_under_another_is_passed_over() {
    let text = "1 0 8:1 / / rw - ext4 x rw
2 1 0:1 / /sys rw - sysfs x rw
3 2 0:2 / /sys/fs/cgroup rw - tmpfs x rw
4 3 0:3 / /sys/fs/cgroup/memory rw - cgroup x rw,memory
5 4 0:4 / /sys/fs/cgroup/memory rw - tmpfs over-it rw
6 1 0:5 / /a/b rw - cgroup2 x rw
7 1 0:6 / /a rw - tmpfs above-it rw
8 1 0:3 / /other rw - cgroup x rw,memory
9 2 0:7 / /sys/kernel/debug rw - debugfs x rw
10 9 0:8 / /sys/kernel/debug/tracing rw - tracefs x rw
11 2 0:8 / /sys/kernel/tracing rw - tracefs x rw
";
    let mounts = parsed(text);
    let seen: Vec<_> = mounts::cgroups(&mounts)
        .into_iter()
        .map(|mount| mount.mount)
        .collect();
    assert_eq!(seen, [PathBuf::from("/other")]);
    let tracefs = mounts::tracefs(&mounts, |_| panic!("not needed"));
    assert_eq!(tracefs, Some(PathBuf::from("/sys/kernel/tracing")));
    let mounts = parsed("9 2 0:7 / /sys/kernel/debug rw - debugfs x rw\n");
    assert_eq!(mounts::tracefs(&mounts, |_| false), None);
}

#[test]
fn a_file_is_reached_by_the_widest_mount_that_can_be_seen() {
    let text = "1 0 8:1 / / rw - ext4 x rw
2 1 8:2 /var /var rw - xfs x rw
3 1 8:2 /var/lib /lib rw - xfs x rw
4 1 0:9 / /shm rw - tmpfs x rw
5 4 0:10 / /shm rw - tmpfs over-it rw
6 1 8:2 /one.conf /etc/one.conf rw - xfs x rw
";
    let mut mounts = Mounts::new(text.as_bytes());
    for (device, path, reached) in [
        ("8:1", "/a/b", Some("/a/b")),
        ("8:2", "/var/lib/x", Some("/var/lib/x")),
        ("8:2", "/one.conf", Some("/etc/one.conf")),
        ("8:2", "/variable", None),
        ("0:9", "/x", None),
        ("0:10", "/x", Some("/shm/x")),
        ("8:3", "/x", None),
    ] {
        let found = mounts.reach(device, Path::new(path));
        assert_eq!(found.as_deref(), reached.map(Path::new), "{device} {path}");
    }
}

#[test]
fn two_mounts_in_one_place_show_the_upper() {
    // As on a machine whose tmpfs is mounted by the initramfs and again by init.
    let text = "1 1 8:1 / / rw - ext4 x rw
2 1 0:1 / /cg rw - tmpfs x rw
3 2 0:2 / /cg rw - cgroup2 x rw
";
    let mounts = mounts::cgroups(&parsed(text));
    assert_eq!(
        mounts.iter().map(|mount| mount.version).collect::<Vec<_>>(),
        [Version::V2]
    );
}

#[test]
fn what_cannot_be_understood_names_its_line() {
    let error = mounts::parse(b"\n1 2 0:3 / /x rw - ext4 x rw\n1 2 0:3 / /x rw\n").last();
    assert_eq!(
        error.unwrap().unwrap_err().to_string(),
        "/proc/self/mountinfo:3: no file system type"
    );
    let error = controllers::memory_row(b"#subsys_name\nmemory 1 x 1\n").unwrap_err();
    assert_eq!(error.to_string(), "/proc/cgroups:2: no number of cgroups");
    let error = privileges::parse(b"Name:\tx\nUid:\t0\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "/proc/self/status:2: no effective user id"
    );
    let (_directory, root) = root(&[("/proc/cgroups", "memory\tx\n")]);
    let error = counts(&root, &hierarchy(Version::V1)).unwrap_err();
    assert_eq!(error.to_string(), "/proc/cgroups:1: no hierarchy id");
}

#[test]
fn a_v2_kernel_without_counts_has_none() {
    let (_directory, root) = root(&[("/cg/cgroup.procs", "")]);
    assert_eq!(
        counts(&root, &hierarchy(Version::V2)).unwrap(),
        Counts::default()
    );
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mounts: Vec<_> = mounts::parse(&bytes).filter_map(Result::ok).collect();
        mounts::cgroups(&mounts);
        mounts::tracefs(&mounts, |_| true);
        let _ = controllers::memory_row(&bytes);
        controllers::disabled(&bytes);
        let _ = privileges::parse(&bytes);
        chosen(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn garbage_in_a_line_never_panics(
        ids in proptest::collection::vec((0u32..5, 0u32..5), 1..8),
        a in "(/[ab]?){0,3}",
        b in "\\PC{0,40}",
    ) {
        // Loops of parents included.
        let mut lines = Vec::new();
        for (id, parent) in ids {
            lines.push(format!("{id} {parent} 0:28 {a} {a} rw - cgroup {b} {b}"));
            lines.push(format!("{parent} {id} 0:28 / {b} rw - tracefs {a} {b}"));
        }
        lines.push(format!("memory\t{a}\t{b}\t1\nUid: {b}\nCapEff: {b}\n"));
        let text = lines.join("\n");
        let mounts: Vec<_> = mounts::parse(text.as_bytes()).filter_map(Result::ok).collect();
        mounts::cgroups(&mounts);
        mounts::tracefs(&mounts, |_| false);
        let _ = controllers::memory_row(text.as_bytes());
        let _ = privileges::parse(text.as_bytes());
    }
}

#[test]
fn what_the_machine_may_have_is_one_more_than_the_highest_number() {
    const NODES: &str = "/sys/devices/system/node/possible";
    for (list, nodes) in [("0\n", Some(1)), ("0-3,8\n", Some(9)), ("x\n", None)] {
        let (_directory, root) = root(&[(NODES, list)]);
        assert_eq!(numa_nodes(&root), nodes, "{list}");
    }
    let (_directory, none) = root(&[("/sys/devices/system/cpu/possible", "0-127\n")]);
    assert_eq!((numa_nodes(&none), cpus(&none)), (Some(1), Some(128)));
}
