use super::*;
use crate::host::tests::root;

fn kinds_of(known: &[(&str, u64)]) -> Kinds {
    let get = |name| {
        let found = known.iter().find(|(one, _)| *one == name);
        found.map_or(0, |(_, bytes)| *bytes)
    };
    Kinds {
        file: get("file"),
        shmem: get("shmem"),
        anon: get("anon"),
        swap_backed: get("swap_backed"),
        slab: get("slab"),
        sock: get("sock"),
        kernel: get("kernel"),
        other: get("other"),
    }
}

/// A v1 hierarchy: path, usage, kernel memory, tasks, `memory.stat`.
fn v1(directories: &[(&str, u64, u64, bool, &str)]) -> ZombieHoldings {
    let mut files = vec![("/cg/memory.stat".to_owned(), String::new())];
    for (path, usage, kernel, tasks, stat) in directories {
        let file = |name: &str, text: String| (format!("/cg{path}/{name}"), text);
        files.push(file("memory.usage_in_bytes", format!("{usage}\n")));
        files.push(file("memory.kmem.usage_in_bytes", format!("{kernel}\n")));
        files.push(file(
            "cgroup.procs",
            if *tasks { "7\n" } else { "" }.to_owned(),
        ));
        files.push(file("memory.stat", stat.replace(", ", "\n")));
    }
    told(&files, Version::V1)
}

/// A v2 hierarchy: path, usage, dying below, tasks, `memory.stat`.
fn v2(directories: &[(&str, u64, u64, bool, &str)]) -> ZombieHoldings {
    let mut files = vec![("/cg/cgroup.subtree_control".to_owned(), "memory\n".into())];
    for (path, usage, dying, tasks, stat) in directories {
        let file = |name: &str, text: String| (format!("/cg{path}/{name}"), text);
        let dying = format!("nr_descendants 0\nnr_dying_descendants {dying}\n");
        files.push(file("memory.current", format!("{usage}\n")));
        files.push(file("cgroup.stat", dying));
        files.push(file("cgroup.subtree_control", "memory\n".into()));
        files.push(file(
            "cgroup.procs",
            if *tasks { "7\n" } else { "" }.to_owned(),
        ));
        files.push(file("memory.stat", stat.replace(", ", "\n")));
    }
    told(&files, Version::V2)
}

fn told(files: &[(String, String)], version: Version) -> ZombieHoldings {
    let files = files.iter().map(|(path, text)| (&path[..], &text[..]));
    let files: Vec<_> = files
        .chain([("snapshot.txt", "page size: 4096 bytes\n")])
        .collect();
    let (_directory, root) = root(&files);
    read(&root, &host::tests::hierarchy(version)).unwrap()
}

#[test]
fn what_a_directory_is_charged_beyond_its_children_is_held() {
    let told = v1(&[
        ("/pods", 9000, 0, false, "total_cache 9000, total_shmem 500"),
        ("/pods-2", 1 << 30, 0, true, ""),
        (
            "/pods/a",
            5000,
            0,
            false,
            "total_cache 5000, total_shmem 100",
        ),
        ("/pods/a/c", 0, 0, false, ""),
    ]);
    // /pods/a has no tasks and a child without memory: all that it has is held below it.
    assert_eq!(told.sum, kinds_of(&[("file", 8500), ("shmem", 500)]));
    assert_eq!((told.below.len(), told.blind), (2, 0));
}

/// `memory.stat` of 4.19 has no slab, and misses what was charged in small pieces: the counters have it.
#[test]
fn the_counters_are_believed_where_statistics_say_nothing() {
    let nothing = "total_cache 0, total_rss 0, total_shmem 0, total_inactive_file 0";
    let told = v1(&[
        ("/dentries", 1_146_880, 1_146_880, false, nothing),
        (
            "/files",
            413_696,
            81_920,
            false,
            "total_cache 0, total_inactive_file 327680, total_active_file 4096",
        ),
        (
            "/tmpfs",
            327_680,
            0,
            false,
            "total_shmem 0, total_inactive_anon 327680",
        ),
        ("/untold", 4096, 0, false, ""),
    ]);
    let expected = [
        ("kernel", 1_146_880 + 81_920),
        ("file", 331_776),
        ("swap_backed", 327_680),
        ("other", 4096),
    ];
    assert_eq!(told.sum, kinds_of(&expected));
    assert_eq!(told.below.len(), 4);
}

#[test]
fn with_tasks_below_a_little_is_not_believed() {
    let told = v1(&[
        (
            "/pods",
            5 << 20,
            0,
            false,
            // Of tmpfs so little is not believed.
            "total_cache 5242880, total_shmem 1000",
        ),
        ("/pods/a", 1 << 20, 0, true, "total_cache 1048576"),
        ("/quiet", 4 << 20, 0, false, ""),
        ("/quiet/a", 7 << 19, 0, true, ""),
    ]);
    assert_eq!(
        told.sum,
        kinds_of(&[("file", (4 << 20) - 1000), ("other", 1000)])
    );
    assert_eq!((told.below.len(), told.blind), (1, 0));
    assert!(told.below[0].busy);
}

/// On v2 the kernel says below which directory there are zombies: what the others are charged is their own, as slab is
/// that was left to them.
#[test]
fn on_v2_nothing_is_held_where_nothing_is_dying() {
    let told = v2(&[
        ("/pods", 900_000, 21, false, "slab 500000"),
        ("/pods/a", 409_600, 20, false, "slab 81920"),
        ("/pods/b", 400_000, 0, false, "slab 400000"),
        ("/pods/c", 70_000, 1, true, "anon 70000"),
    ]);
    let below: Vec<_> = told
        .below
        .iter()
        .map(|one| (one.path.as_slice(), one.zombies, one.busy))
        .collect();
    // Of /pods/c, with tasks, only the number is known.
    assert_eq!(
        below,
        [
            (&b"/pods/c"[..], Some(1), true),
            (&b"/pods/a"[..], Some(20), false)
        ]
    );
    assert_eq!(
        told.sum,
        kinds_of(&[("slab", 81_920), ("other", 409_600 - 81_920)])
    );
    assert_eq!(told.blind, 1);
}

#[test]
fn kinds_of_both_versions_are_read() {
    let v1 =
        b"cache 1\nrss 1\ntotal_cache 300\ntotal_rss 7\ntotal_shmem 100\ntotal_active_file 9\n";
    let kinds = Kinds::of(v1, Version::V1);
    assert_eq!(
        kinds,
        Some(kinds_of(&[("file", 200), ("shmem", 100), ("anon", 7)]))
    );
    let v2 = b"anon 7\nfile 300\nkernel 9\nsock 3\nshmem 100\nslab 8\n";
    let all = [
        ("file", 200),
        ("shmem", 100),
        ("anon", 7),
        ("slab", 8),
        ("sock", 3),
    ];
    assert_eq!(Kinds::of(v2, Version::V2), Some(kinds_of(&all)));
    assert_eq!(Kinds::of(v2, Version::V2).map(Kinds::total), Some(318));
    assert!(Kinds::of(b"file x\n", Version::V2).is_none());
    assert!(Kinds::of(b"", Version::V2).is_none());
}
