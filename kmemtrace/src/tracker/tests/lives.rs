//! Single lives, told in order and out of it.

use super::*;

#[test]
fn a_clean_life() {
    let mut run = Run::new();
    run.created(1, cgroup(7));
    assert_eq!(run.totals(), (1, 0, 0));
    run.offlined(5, cgroup(7));
    assert_eq!(run.totals(), (0, 1, 0));
    run.freed(25, cgroup(7));
    assert_eq!(run.totals(), (0, 0, 0));
    let Some(Change {
        what: What::Freed(subject),
        totals,
        ..
    }) = run.changes.last()
    else {
        panic!("{:?}", run.changes);
    };
    assert_eq!(*totals, Totals::default());
    assert_eq!(subject.created, Some(stamp(1)));
    assert_eq!(subject.offlined, Some(stamp(5)));
    assert_eq!(subject.offlined_after_ns, None);
    assert_eq!(subject.zombie_ns, Some(20_000_000));
    assert!(!subject.across_gap);
    assert_eq!(run.said(), ["created 7", "offlined 7", "freed 7"]);
    let delays = run.tracker.state().summary().delays.unwrap();
    assert_eq!(delays.count, 1);
    assert!(delays.min_ns.abs_diff(20_000_000) <= 20_000);
    assert!(delays.max_ns.abs_diff(20_000_000) <= 20_000);
}

#[test]
fn a_leak_is_said_once_and_in_order_of_deadlines() {
    let mut run = Run::new();
    for id in [1, 2, 3] {
        run.created(1, cgroup(id));
    }
    run.offlined(12, cgroup(2))
        .offlined(11, cgroup(1))
        .offlined(13, cgroup(3));
    run.changes.clear();
    run.tick(10 + GRACE, Counts::default());
    assert_eq!(run.said(), [""; 0]);
    run.apply(12 + GRACE, Fact::SlabFailure(SlabFailure::default()));
    assert_eq!(run.said(), ["leaked 1", "leaked 2"]);
    assert_eq!(run.totals(), (0, 3, 2));
    run.tick(5000, Counts::default())
        .tick(6000, Counts::default());
    assert_eq!(run.said(), ["leaked 3"]);
    run.freed(7000, cgroup(1));
    assert_eq!(run.said(), ["recovered 1"]);
    assert_eq!(run.totals(), (0, 2, 2));
    let summary = run.tracker.state().summary();
    assert_eq!((summary.leaks, summary.recovered, summary.freed), (3, 1, 1));
    assert_eq!(summary.duration_ns, stamp(6999).mono_ns);
}

#[test]
fn a_verdict_does_not_wait_for_a_tick() {
    let mut run = Run::new();
    run.created(1, cgroup(1))
        .offlined(2, cgroup(1))
        .freed(2 + GRACE, cgroup(1));
    assert_eq!(
        run.said(),
        ["created 1", "offlined 1", "leaked 1", "recovered 1"]
    );
}

#[test]
fn news_of_a_birth_after_that_of_the_death() {
    let mut run = Run::new();
    run.offlined(5, cgroup(1)).created(4, cgroup(1));
    assert_eq!(run.totals(), (0, 1, 0));
    run.freed(6, cgroup(1));
    assert_eq!(run.totals(), (0, 0, 0));
    assert_eq!(run.said(), ["offlined 1", "created 1", "freed 1"]);
}

#[test]
fn news_of_a_life_after_that_of_its_end() {
    let mut run = Run::new();
    run.freed(6, cgroup(1))
        .created(4, cgroup(1))
        .offlined(5, cgroup(1));
    assert_eq!(run.totals(), (0, 0, 0));
    run.tick(5 + 2 * GRACE, Counts::default());
    assert_eq!(run.said(), ["freed 1"]);
}

#[test]
fn an_id_is_given_out_again() {
    let mut run = Run::new();
    run.created(1, cgroup(1))
        .offlined(2, cgroup(1))
        .freed(3, cgroup(1));
    run.created(4, cgroup(1));
    assert_eq!(run.totals(), (1, 0, 0));
    // the end of this one is told late
    run.offlined(5, cgroup(1))
        .created(8, cgroup(1))
        .freed(7, cgroup(1));
    assert_eq!(run.totals(), (1, 0, 0));
    // and this one's is not told at all
    run.created(20, cgroup(1));
    assert_eq!(run.totals(), (1, 0, 0));
    assert_eq!(
        run.said(),
        [
            "created 1",
            "offlined 1",
            "freed 1",
            "created 1",
            "offlined 1",
            "freed 1?",
            "created 1.1",
            "freed 1.1?",
            "created 1.2"
        ]
    );
    assert_eq!(run.tracker.state().summary().delays.unwrap().count, 1);
}

#[test]
fn freed_without_an_offline() {
    let mut run = Run::new();
    run.created(1, cgroup(1)).freed(9, cgroup(1));
    assert_eq!(run.totals(), (0, 0, 0));
    assert_eq!(run.said(), ["created 1", "freed 1"]);
    assert_eq!(run.tracker.state().summary().delays, None);
}

#[test]
fn a_mkdir_that_was_rolled_back() {
    let mut run = Run::new();
    let failure = MkdirFailure {
        cgroup_id: Some(1),
        errno: Some(12),
        ..MkdirFailure::default()
    };
    run.created(1, memcg(1, 50))
        .apply(2, Fact::MkdirFailure(failure));
    assert_eq!(run.totals(), (0, 0, 0));
    assert_eq!(run.said(), ["created 1"]);
    let summary = run.tracker.state().summary();
    assert_eq!((summary.created, summary.mkdir_failures), (0, 1));
    // the free of a memcg that never came online is nobody's
    run.freed(3, memcg(2, 51));
    assert_eq!(run.said(), [""; 0]);
}

#[test]
fn a_rename_moves_what_is_below() {
    let at = |id, path: &'static str| Cgroup {
        path: Some(Path::whole(path)),
        ..cgroup(id)
    };
    let mut run = Run::new();
    for (id, path) in [(1, "/a"), (2, "/a/b"), (3, "/ab"), (4, "/a/b/c")] {
        run.created(1, at(id, path));
    }
    run.offlined(2, at(4, "/a/b/c"));
    run.changes.clear();
    run.apply(3, Fact::Renamed(at(1, "/z")));
    assert_eq!(run.said(), ["renamed 1"]);
    for id in 1..=4 {
        run.freed(
            4,
            Cgroup {
                path: None,
                ..cgroup(id)
            },
        );
    }
    let paths: Vec<_> = run
        .changes
        .iter()
        .filter_map(|change| subject(&change.what))
        .collect();
    let paths: Vec<_> = paths
        .iter()
        .map(|(_, s)| s.cgroup.path.clone().unwrap().bytes)
        .collect();
    assert_eq!(paths, ["/z", "/z/b", "/ab", "/z/b/c"]);
}

#[test]
fn a_cut_path_is_put_together_from_the_parents() {
    let cut = |bytes: &'static str| Path {
        bytes: bytes.into(),
        cut: true,
    };
    let whole = |path: Path, parent: &'static str| path::whole(&path, &Path::whole(parent));
    assert_eq!(whole(cut(".../b/c"), "/a/b"), Some(Path::whole("/a/b/c")));
    assert_eq!(whole(cut(".../c"), "/"), Some(Path::whole("/c")));
    assert_eq!(whole(cut("/a/b/c"), "/a/b"), None);
    assert_eq!(whole(Path::whole(".../c"), "/a/b"), None);
    assert_eq!(path::whole(&cut(".../c"), &cut(".../b")), None);

    let mut run = Run::new();
    run.created(1, cgroup(1)).created(
        2,
        Cgroup {
            parent_id: Some(1),
            path: Some(cut(".../1/2")),
            ..cgroup(2)
        },
    );
    let Some((_, subject)) = subject(&run.changes[1].what) else {
        panic!("{:?}", run.changes);
    };
    assert_eq!(subject.cgroup.path, Some(Path::whole("/1/2")));
}

#[test]
fn late_news_does_not_undo_what_is_known() {
    let usage = |cgroup, usage| Cgroup {
        usage_bytes: Some(usage),
        ..cgroup
    };
    let mut run = Run::new();
    run.offlined(5, usage(cgroup(1), 4096))
        .created(4, usage(cgroup(1), 0));
    run.freed(6, cgroup(1));
    let Some((_, subject)) = subject(&run.changes[2].what) else {
        panic!("{:?}", run.changes);
    };
    assert_eq!(subject.cgroup.usage_bytes, Some(4096));
}

#[test]
fn memory_is_bounded_by_what_is_alive() {
    let mut run = Run::new();
    for n in 0..2000 {
        let ms = n * 100;
        run.created(ms, cgroup(n))
            .offlined(ms + 1, cgroup(n))
            .freed(ms + 2, cgroup(n));
        run.changes.clear();
    }
    assert_eq!(run.tracker.table.values().count(), 0);
    assert_eq!(run.tracker.table.due(u64::MAX), None);
    // ten seconds of them, and those that go with them
    assert!(
        (90..=202).contains(&run.tracker.freed.len()),
        "{}",
        run.tracker.freed.len()
    );
}

#[test]
fn owners_are_ranked() {
    let pod = "/kubepods/burstable/pod74c13223-5a00-11e9-b385-42010a80018d";
    let container = "0123456789abcdef".repeat(4);
    let paths = [
        format!("{pod}/x"),
        format!("{pod}/{container}"),
        pod.to_owned(),
        format!("/docker/{container}"),
        format!("/docker/{container}/y"),
        "/system.slice/sshd.service".to_owned(),
        "/b/1".to_owned(),
        "/a/1".to_owned(),
        "/top".to_owned(),
    ];
    let more = (0..9).map(|n| format!("/z{n}/1"));
    let mut run = Run::new();
    for (id, path) in paths.into_iter().chain(more).enumerate() {
        let path = Some(Path::whole(path));
        run.offlined(
            1,
            Cgroup {
                path,
                ..cgroup(id as u64)
            },
        );
    }
    run.offlined(900, cgroup(99))
        .tick(1 + GRACE, Counts::default());
    let owners = run.tracker.state().summary().owners;
    let owners: Vec<_> = owners
        .iter()
        .map(|o| (o.kind, o.name.as_str(), o.leaked))
        .collect();
    assert_eq!(
        owners[..6],
        [
            ("pod", "74c13223-5a00-11e9-b385-42010a80018d", 3),
            ("container", container.as_str(), 2),
            ("path", "/", 1),
            ("path", "/a", 1),
            ("path", "/b", 1),
            ("path", "/z0", 1),
        ]
    );
    assert_eq!(owners.len(), 10);
    // "/…" sorts before "sshd.service", which ten names leave no room for
    assert!(owners.iter().all(|owner| owner.0 != "unit"));
}

#[test]
fn creators_are_ranked() {
    let by = |id: u64, name: &[u8]| {
        let mut comm = [0; 16];
        comm[..name.len()].copy_from_slice(name);
        let task = Some(Task { pid: 9, comm });
        Cgroup { task, ..cgroup(id) }
    };
    let mut run = Run::new();
    for id in 0..7 {
        let comm: &[u8] = if id < 2 { b"systemd" } else { b"runc" };
        run.created(1, by(id, comm));
        // Who removes it made nothing.
        run.offlined(2, by(id, b"kubelet"));
    }
    run.freed(3, cgroup(6)).offlined(2, by(8, b"kubelet"));
    run.tick(2 + GRACE, Counts::default());
    let creators = run.tracker.state().summary().creators;
    let creators: Vec<_> = creators
        .iter()
        .map(|c| (c.comm.as_str(), c.leaked))
        .collect();
    assert_eq!(creators, [("runc", 4), ("systemd", 2)]);
}

#[test]
fn a_late_removal_is_no_second_leak() {
    let mut run = Run::new();
    run.created(1, with_serial(1, 50)).created(20, memcg(1, 51));
    run.tick(30 + GRACE, Counts::default())
        .offlined(19, memcg(1, 50));
    run.tick(40 + GRACE, Counts::default());
    assert_eq!(run.totals(), (1, 1, 1));
    assert_eq!(run.tracker.state().summary().leaks, 1);
}
