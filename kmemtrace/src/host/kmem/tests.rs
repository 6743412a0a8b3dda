use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::host::{
    SlabLayout, open, slab_memcgs,
    tests::{hierarchy, root},
};

const HEADER: &str = "slabinfo - version: 2.1\n# name  <active_objs> ...\n";
const ROW: &str = "dentry  84 84 192 21 2 : tunables 0 0 0 : slabdata 4 4 0\n";

/// A container's.
const OWN: &str = "slabinfo - version: 2.1\na 1 1 1 1 1 : tunables 0 0 0 : slabdata 1 1 0\n";

/// More than the noise of a busy machine with pages of 4 KiB.
const BIG: u64 = 9 << 20;

/// Reads a hierarchy of `(file, content)`, where memcgs have slab caches.
fn read_of(files: &[(&str, &str)]) -> Kmem {
    read_with(files, true)
}

fn read_with(files: &[(&str, &str)], per_memcg_caches: bool) -> Kmem {
    read_on(4096, files, per_memcg_caches)
}

/// On a machine with pages of this size.
fn read_on(page: u64, files: &[(&str, &str)], per_memcg_caches: bool) -> Kmem {
    let files: Vec<_> = files
        .iter()
        .map(|(name, content)| (format!("/cg/{name}"), *content))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (&name[..], *text))
        .collect();
    let told = format!("page size: {page} bytes\n");
    let (_directory, root) = root(&[&files[..], &[("snapshot.txt", &told)]].concat());
    let slab = SlabMemcgs {
        listed: per_memcg_caches,
        layout: per_memcg_caches.then_some(SlabLayout::TopLevel),
        ..SlabMemcgs::default()
    };
    let ask = Ask::Settled(&mut |_| true);
    kmem(&root, &hierarchy(Version::V1), &slab, ask).unwrap()
}

fn held_of(kmem: &Kmem) -> Vec<(String, u64)> {
    let mut held: Vec<_> = kmem
        .directories
        .iter()
        .filter(|one| one.held > 0)
        .map(|one| (String::from_utf8_lossy(&one.path).into_owned(), one.held))
        .collect();
    held.sort();
    held
}

/// One pod has lost its container, another's has exited and has but its own caches, a third is running.
#[test]
fn what_is_beyond_the_children_is_the_deads() {
    let own = format!("{HEADER}{ROW}");
    let exited = (8 * 4096).to_string();
    let pods = (8 * 4096 + 5000).to_string();
    let all = (8 * 4096 + 5000 + BIG).to_string();
    let kmem = read_of(&[
        ("memory.kmem.usage_in_bytes", &all),
        ("cgroup.procs", "1\n2\n"),
        (
            "memory.kmem.slabinfo.error",
            "cat: read error: Input/output error\n",
        ),
        ("pods/memory.kmem.usage_in_bytes", &pods),
        ("pods/memory.kmem.slabinfo", HEADER),
        ("pods/cgroup.procs", ""),
        ("pods/lost/memory.kmem.usage_in_bytes", "5000\n"),
        ("pods/lost/memory.kmem.slabinfo", HEADER),
        ("pods/lost/tasks", ""),
        ("pods/exited/memory.kmem.usage_in_bytes", &exited),
        ("pods/exited/memory.kmem.slabinfo", &own),
        ("pods/exited/cgroup.procs", ""),
        ("pods/run/memory.kmem.usage_in_bytes", "0\n"),
        ("pods/run/cgroup.procs", "77\n"),
        ("pods/run/memory.kmem.slabinfo", &own),
    ]);
    assert!(kmem.problems.is_empty(), "{:?}", kmem.problems);
    // Directly below the root, too.
    let expected = [("/".to_owned(), BIG), ("/pods/lost".to_owned(), 5000)];
    assert_eq!(held_of(&kmem), expected);
    assert_eq!((kmem.held_bytes, kmem.blind), (Some(5000 + BIG), 0));
    assert_eq!(kmem.directories[0].slabinfo, Slabinfo::Inactive);
    assert_eq!(kmem.directories[0].tasks, Some(true));
}

/// Processors take pages in advance, so many and not so many bytes: on a busy machine less than that is no sign.
#[test]
fn what_may_be_noise_goes_by_the_page_size() {
    for (beyond, page, told) in [
        ((1 << 20) + 1, 4 << 10, true),
        (1 << 20, 4 << 10, false),
        ((4 << 20) + 1, 16 << 10, true),
        (4 << 20, 16 << 10, false),
        ((16 << 20) + 1, 64 << 10, true),
        (9 << 20, 64 << 10, false),
        // A size that cannot be: it may be a large one.
        (9 << 20, 3, false),
        ((16 << 20) + 1, 3, true),
    ] {
        let all = (beyond + 4096u64).to_string();
        let files = [
            ("memory.kmem.usage_in_bytes", &all[..]),
            ("memory.kmem.slabinfo.error", "Input/output error\n"),
            ("run/memory.kmem.usage_in_bytes", "4096\n"),
            ("run/cgroup.procs", "77\n"),
        ];
        let held = if told { beyond } else { 0 };
        let kmem = read_on(page, &files, true);
        assert_eq!(kmem.held_bytes, Some(held), "{beyond} {page}");
    }
}

#[test]
fn a_root_that_is_not_charged_holds_nothing() {
    let kmem = read_of(&[
        ("memory.kmem.usage_in_bytes", "0\n"),
        ("memory.kmem.slabinfo", HEADER),
        ("pods/memory.kmem.usage_in_bytes", "4096\n"),
        ("pods/cgroup.procs", ""),
    ]);
    assert_eq!(held_of(&kmem), [("/pods".to_owned(), 4096)]);
}

#[test]
fn where_it_may_be_its_own_nothing_is_told() {
    for (file, content, blind) in [
        ("pods/cgroup.procs", "5\n", 1),
        ("pods/x/memory.kmem.usage_in_bytes", "?", 1),
        ("pods/memory.kmem.usage_in_bytes", "", 2),
    ] {
        let mut files = vec![
            ("memory.kmem.usage_in_bytes", "9000\n"),
            ("memory.kmem.slabinfo", HEADER),
            ("pods/memory.kmem.usage_in_bytes", "9000\n"),
            ("pods/cgroup.procs", ""),
            ("pods/x/memory.kmem.usage_in_bytes", "5\n"),
            ("pods/x/memory.kmem.slabinfo", OWN),
            ("pods/x/tasks", ""),
        ];
        files.push((file, content));
        let kmem = read_of(&files);
        assert_eq!(
            (kmem.held_bytes.unwrap_or(0), kmem.blind),
            (0, blind),
            "{file}"
        );
    }
}

/// What is read one after the other on a busy machine never adds up.
#[test]
fn a_little_beyond_busy_children_is_noise() {
    let of = |usage: u64, procs| {
        let usage = usage.to_string();
        let kmem = read_of(&[
            ("memory.kmem.usage_in_bytes", &usage),
            ("memory.kmem.slabinfo", HEADER),
            ("pods/memory.kmem.usage_in_bytes", &usage),
            ("pods/cgroup.procs", ""),
            ("pods/x/memory.kmem.usage_in_bytes", "8000000\n"),
            ("pods/x/memory.kmem.slabinfo", OWN),
            ("pods/x/cgroup.procs", procs),
        ]);
        kmem.held_bytes
    };
    assert_eq!(of(8_000_001, ""), Some(1));
    assert_eq!(of(9_048_576, "7\n"), Some(0));
    assert_eq!(of(9_300_000, "7\n"), Some(1_300_000));
}

/// Of gigabytes an eighth is room for all zombies there can be.
#[test]
fn what_noise_may_hide_is_not_nothing() {
    let of = |beyond: u64| {
        let usage = ((3u64 << 30) + beyond).to_string();
        let kmem = read_of(&[
            ("memory.kmem.usage_in_bytes", &usage),
            ("memory.kmem.slabinfo.error", "Input/output error\n"),
            ("pods/memory.kmem.usage_in_bytes", &usage),
            ("pods/cgroup.procs", ""),
            ("pods/x/memory.kmem.usage_in_bytes", "3221225472\n"),
            ("pods/x/cgroup.procs", "7\n"),
        ]);
        (kmem.held_bytes, kmem.blind, kmem.noisy)
    };
    assert_eq!(of(0), (Some(0), 0, 0));
    assert_eq!(of(1 << 20), (Some(0), 0, 0));
    // The root has no more than its child.
    assert_eq!(of(256 << 20), (Some(0), 1, 1));
    assert_eq!(of(512 << 20), (Some(512 << 20), 0, 0));
}

/// From 5.9 on what the dead leave is the parent's own.
#[test]
fn where_the_file_is_always_empty_nothing_is_told() {
    let files = [
        ("memory.kmem.usage_in_bytes", "9000\n"),
        ("memory.kmem.slabinfo", ""),
        ("pods/memory.kmem.usage_in_bytes", "9000\n"),
    ];
    let kmem = read_with(&files, false);
    assert_eq!((kmem.held_bytes, kmem.directories.len()), (None, 1));
    assert_eq!(kmem.directories[0].slabinfo, Slabinfo::Empty);
    let (_directory, root) = root(&[("/cg/memory.kmem.usage_in_bytes", "9\n")]);
    let v2 = kmem_of_v2(&root);
    assert!(v2.held_bytes.is_none() && v2.directories.is_empty());
}

fn kmem_of_v2(root: &Root) -> Kmem {
    let slab = SlabMemcgs::default();
    kmem(root, &hierarchy(Version::V2), &slab, Ask::Root).unwrap()
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_line() {
    let huge = "9".repeat(SMALL as usize + 1);
    let usage = "memory.kmem.usage_in_bytes";
    let info = "memory.kmem.slabinfo";
    for (file, content, said) in [
        (usage, "", "/memory.kmem.usage_in_bytes:1: empty"),
        (
            usage,
            "\u{fffd}\u{1b}",
            "/memory.kmem.usage_in_bytes:1: no number",
        ),
        (
            usage,
            "18446744073709551616",
            "/memory.kmem.usage_in_bytes:1: no number",
        ),
        (
            usage,
            &huge,
            "/memory.kmem.usage_in_bytes: longer than 1048576 bytes",
        ),
        (info, "garbage", "/memory.kmem.slabinfo:1: not a slabinfo"),
        (
            info,
            "slabinfo - version: 2.1\n# x\ndentry 84 84 192 21 2 : tunables 0 0 0 : slabdata 4",
            "/memory.kmem.slabinfo:3: not a cache's row",
        ),
        (
            info,
            "slabinfo - version: 2.1\na 1 1 1 1 9 : tunables 0 0 0 : slabdata 4 18446744073709551615 0",
            "/memory.kmem.slabinfo:2: more than can be",
        ),
        (
            info,
            &huge,
            "/memory.kmem.slabinfo: longer than 1048576 bytes",
        ),
    ] {
        let kmem = read_of(&[(file, content)]);
        let problems: Vec<_> = kmem.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [said]);
    }
    let kmem = read_of(&[("a\u{1b}/memory.kmem.usage_in_bytes", "x")]);
    assert_eq!(
        kmem.problems[0].to_string(),
        r"/a\x1b/memory.kmem.usage_in_bytes:1: no number"
    );
}

#[test]
fn every_state_of_slabinfo() {
    let own = format!("{HEADER}{ROW}{ROW}");
    for (file, content, state) in [
        (
            "memory.kmem.slabinfo",
            &own[..],
            Slabinfo::Active {
                caches: 2,
                pages: 16,
            },
        ),
        ("memory.kmem.slabinfo", HEADER, Slabinfo::HeaderOnly),
        ("memory.kmem.slabinfo", "", Slabinfo::Empty),
        (
            "memory.kmem.slabinfo.error",
            "read error: I/O error",
            Slabinfo::Inactive,
        ),
        (
            "memory.kmem.slabinfo.error",
            "Permission denied",
            Slabinfo::Absent,
        ),
        ("other", "", Slabinfo::Absent),
        ("memory.kmem.slabinfo", "?", Slabinfo::Unknown),
    ] {
        assert_eq!(read_of(&[(file, content)]).directories[0].slabinfo, state);
    }
}

/// Without systemd: what is below a directory is charged to nobody else.
#[test]
fn where_charges_do_not_go_up_nothing_is_told() {
    let files = [
        ("memory.kmem.usage_in_bytes", "0\n"),
        ("memory.use_hierarchy", "0\n"),
        ("pods/memory.kmem.usage_in_bytes", "9000\n"),
        ("pods/memory.use_hierarchy", "1\n"),
        ("pods/cgroup.procs", ""),
        ("pods/a/memory.kmem.usage_in_bytes", "5000\n"),
        ("pods/a/cgroup.procs", ""),
        ("docker/memory.kmem.usage_in_bytes", "0\n"),
        ("docker/memory.use_hierarchy", "0\n"),
    ];
    let kmem = read_of(&files);
    // The root and docker.
    assert_eq!((kmem.held_bytes, kmem.blind), (Some(9000), 2));
    assert!(read_of(&files[..2]).held_bytes.is_none());
}

/// Where nothing is known of slab caches, what a directory has may be its own.
#[test]
fn where_no_name_can_be_seen_nothing_is_told() {
    let kmem = read_with(
        &[
            ("memory.kmem.usage_in_bytes", "9000\n"),
            ("memory.kmem.slabinfo.error", "Input/output error\n"),
            ("pods/memory.kmem.usage_in_bytes", "9000\n"),
            ("pods/cgroup.procs", ""),
            ("pods/x/memory.kmem.usage_in_bytes", "0\n"),
        ],
        false,
    );
    assert_eq!((kmem.held_bytes, kmem.blind), (Some(0), 1));
}

/// 3.10.0-514 hangs where this is not so.
#[test]
fn the_slabinfo_of_a_young_cgroup_is_not_opened() {
    let files = [
        ("/cg/memory.kmem.usage_in_bytes", "0\n"),
        ("/cg/memory.kmem.slabinfo", HEADER),
        ("/cg/pods/memory.kmem.slabinfo", HEADER),
        ("/cg/pods/old/memory.kmem.slabinfo", HEADER),
        ("/cg/pods/new/memory.kmem.slabinfo", HEADER),
        ("/cg/pods/none/cgroup.procs", ""),
    ];
    let (directory, _) = root(&files);
    let at = directory.path();
    // What was opened, and what was too young, in: a young tree, one that is old enough, a copy.
    let (young, old) = (Duration::from_mins(1), Duration::ZERO);
    for (root, settled) in [
        (Root::settling(at, young), (1, 2)),
        (Root::settling(at, old), (4, 0)),
        (Root::at(at), (4, 0)),
    ] {
        let mut picks = |path: &[u8]| path != b"/pods";
        // Without the root's there is nothing that tells.
        for (ask, expected) in [
            (Ask::Nobody, (0, 0)),
            (Ask::Root, (1, 0)),
            (Ask::Settled(&mut picks), settled),
        ] {
            let slab = SlabMemcgs::default();
            let (kmem, count) =
                open::counted(|| kmem(&root, &hierarchy(Version::V1), &slab, ask).unwrap());
            let opened = count.opened.iter();
            let opened = opened.filter(|name| name.ends_with("slabinfo")).count();
            let young = kmem.directories.iter();
            let young = young.filter(|one| one.slabinfo == Slabinfo::Young).count();
            assert_eq!((opened, young), expected);
        }
    }
}

/// 65,000 cgroups, live ones or the names of dead ones, cost so many files and bytes at most.
#[test]
fn what_65_000_cgroups_cost_is_bounded() {
    // In memory: so many files take minutes on a disk.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::create_dir(directory.path().join("cg")).unwrap();
    let slab = directory.path().join("sys/kernel/slab");
    std::fs::create_dir_all(&slab).unwrap();
    for id in 0..65_000 {
        for cache in ["dentry", "kmalloc-16", "kmalloc-4096"] {
            let to = format!(":t-{cache}-{id:08}");
            std::os::unix::fs::symlink(to, slab.join(format!("{cache}({id}:c{id})"))).unwrap();
        }
    }
    let root = Root::settling(directory.path(), Duration::from_mins(1));
    let (slab, count) = open::counted(|| slab_memcgs(&root));
    assert_eq!((slab.peak, slab.memcgs.len()), (Some(65_000), 65_000));
    // The listing is all that there is.
    assert_eq!((count.opened.len(), count.bytes), (1, 0));

    for number in 0..65_000 {
        let at = directory
            .path()
            .join(format!("cg/{}/{number}", number % 100));
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("memory.kmem.usage_in_bytes"), "0\n").unwrap();
    }
    let (kmem, count) =
        open::counted(|| kmem(&root, &hierarchy(Version::V1), &slab, Ask::Root).unwrap());
    assert_eq!((kmem.directories.len(), kmem.held_bytes), (65_101, None));
    let read = |name: &str| {
        let opened = count.opened.iter();
        opened.filter(|file| file.ends_with(name)).count()
    };
    assert_eq!(read("memory.kmem.usage_in_bytes"), 20_000);
    assert_eq!(read("memory.kmem.slabinfo"), 1);
    // What has no kernel memory of its own, tasks are not looked for in.
    assert!(read("cgroup.procs") <= 101, "{}", read("cgroup.procs"));
    assert!(count.bytes <= 100_000, "{} bytes", count.bytes);
}

proptest! {
    #[test]
    fn garbage_never_panics(
        bytes: Vec<u8>,
        rows in "(([a-z] |[0-9]{0,21} ){0,6}: ?(tunables ){0,2}: slabdata ([0-9]{0,21} ){0,3}\\n){0,4}",
    ) {
        let _ = slabinfo::parse(&bytes);
        let _ = slabinfo::parse(format!("slabinfo - version: 2.1\n{rows}").as_bytes());
    }
}
