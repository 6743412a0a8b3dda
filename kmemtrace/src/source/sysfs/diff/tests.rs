//! Polls made by hand.

use std::collections::BTreeMap;

use super::*;
use crate::{
    event::Counts,
    host::{SlabCache, SlabMemcg},
};

fn seen(ns: u64, paths: &[(u64, &str)]) -> Poll {
    let directories = paths.iter().map(|(id, path)| {
        let directory = PolledDirectory {
            parent_id: Some(1),
            path: Bytes::copy_from_slice(path.as_bytes()),
            memory: true,
        };
        (*id, directory)
    });
    Poll {
        began_ns: ns,
        ended_ns: ns + 5,
        directories: directories.collect(),
        ..Poll::default()
    }
}

/// The same with slab caches: numbers and leaves.
fn with_caches(seen: Poll, caches: &[(u32, &str)]) -> Poll {
    let memcgs: BTreeMap<_, _> = caches
        .iter()
        .map(|(id, leaf)| {
            let memcg = SlabMemcg {
                leaf: leaf.as_bytes().to_vec(),
                caches: vec![SlabCache::at(format!("dentry({id}:{leaf})"))],
                ..SlabMemcg::default()
            };
            (*id, memcg)
        })
        .collect();
    let slab = SlabMemcgs {
        listed: true,
        layout: Some(SlabLayout::TopLevel),
        peak: memcgs.keys().next_back().map(|id| u64::from(*id) + 1),
        memcgs,
    };
    Poll { slab, ..seen }
}

fn take(history: &mut History, seen: Poll) -> Vec<String> {
    let zombies = history.zombies(&seen);
    let told = history.take(seen, &zombies);
    told.iter().map(|(ns, fact)| word(*ns, fact)).collect()
}

fn word(ns: u64, fact: &Fact) -> String {
    let of = |kind: &str, cgroup: &Cgroup| {
        let path = cgroup.path.as_ref().map(|path| path.bytes.as_ref());
        let path = String::from_utf8_lossy(path.unwrap_or_default());
        let after = cgroup.after_ns.map(|ns| format!(" after {ns}"));
        let caches = cgroup
            .slab
            .as_ref()
            .map(|slab| format!(" caches {}", slab.caches));
        let id = cgroup.id.map_or("-".to_owned(), |id| id.to_string());
        format!(
            "{ns} {kind} {id} {path}{}{}",
            after.unwrap_or_default(),
            caches.unwrap_or_default()
        )
    };
    match fact {
        Fact::Present(cgroup) => of("present", cgroup),
        Fact::Created(cgroup) if cgroup.scope == Scope::Memcg => of("memcg online", cgroup),
        Fact::Offlined(cgroup) if cgroup.scope == Scope::Memcg => of("memcg offline", cgroup),
        Fact::Created(cgroup) => of("created", cgroup),
        Fact::Offlined(cgroup) => of("offlined", cgroup),
        Fact::Renamed(cgroup) => of("renamed", cgroup),
        Fact::Zombie(cgroup) => of("zombie", cgroup),
        Fact::Freed(cgroup) => of("freed", cgroup),
        Fact::Walked(walked) => format!("{ns} walked {}", walked.directories),
        Fact::Tick(_) => format!("{ns} tick"),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_changed_between_two_polls() {
    let mut history = History::default();
    let first = seen(10, &[(1, "/"), (2, "/a"), (3, "/a/b"), (4, "/c")]);
    assert_eq!(
        take(&mut history, first),
        [
            "10 present 1 /",
            "10 present 2 /a",
            "10 present 3 /a/b",
            "10 present 4 /c",
            "15 walked 4"
        ]
    );
    let mut second = seen(20, &[(1, "/"), (4, "/renamed"), (5, "/d"), (6, "/d/e")]);
    assert_eq!(
        take(&mut history, second.clone()),
        [
            "25 offlined 3 /a/b after 10",
            "25 offlined 2 /a after 10",
            "25 created 5 /d after 10",
            "25 created 6 /d/e after 10",
            "25 renamed 4 /renamed after 10",
            "25 tick"
        ]
    );
    second.began_ns = 30;
    second.ended_ns = 30;
    second.directories.get_mut(&5).unwrap().memory = false;
    assert_eq!(
        take(&mut history, second.clone()),
        ["30 memcg offline 5 /d after 20", "30 tick"]
    );
    second.directories.get_mut(&5).unwrap().memory = true;
    assert_eq!(
        take(&mut history, second),
        ["30 memcg online 5 /d after 30", "30 tick"]
    );
}

#[test]
fn a_zombie_is_named_by_its_caches() {
    let mut history = History::default();
    let live = with_caches(
        seen(10, &[(1, "/"), (2, "/pod/x")]),
        &[(0, "x"), (1, "old")],
    );
    assert_eq!(
        take(&mut history, live),
        [
            "10 present 1 /",
            "10 present 2 /pod/x",
            "15 zombie - .../old caches 1",
            "15 walked 2"
        ]
    );
    // the directory goes, the cache stays
    let dead = with_caches(seen(20, &[(1, "/")]), &[(0, "x"), (1, "old")]);
    assert_eq!(
        take(&mut history, dead.clone()),
        [
            "25 offlined 2 /pod/x after 10",
            "25 zombie 2 /pod/x caches 1",
            "25 tick"
        ]
    );
    assert_eq!(take(&mut history, dead), ["25 tick"]);
    // the one's caches are gone, which tells nothing; the other's number is another's now
    let other = with_caches(seen(30, &[(1, "/"), (3, "/y")]), &[(1, "y")]);
    assert_eq!(
        take(&mut history, other),
        [
            "35 created 3 /y after 20",
            "35 zombie 2 /pod/x caches 0",
            "35 freed - .../old caches 0",
            "35 tick"
        ]
    );
}

#[test]
fn what_holds_no_kernel_memory_is_freed() {
    let mut history = History::default();
    take(
        &mut history,
        with_caches(seen(10, &[(1, "/")]), &[(0, "x")]),
    );
    let mut gone = with_caches(seen(20, &[(1, "/")]), &[]);
    gone.counts = Counts {
        held_bytes: Some(0),
        ..Counts::default()
    };
    assert_eq!(
        take(&mut history, gone),
        ["25 freed - .../x caches 0", "25 tick"]
    );
}

#[test]
fn a_name_that_is_used_again() {
    let mut history = History::default();
    take(
        &mut history,
        with_caches(seen(10, &[(1, "/"), (2, "/app")]), &[(0, "app")]),
    );
    // made again under the same name, with a number of its own
    let again = with_caches(
        seen(20, &[(1, "/"), (3, "/app")]),
        &[(0, "app"), (1, "app")],
    );
    assert_eq!(
        take(&mut history, again),
        [
            "25 offlined 2 /app after 10",
            "25 created 3 /app after 10",
            "25 zombie 2 /app caches 1",
            "25 tick"
        ]
    );
    // made again with the first one's number: that one is free
    let mut history = History::default();
    take(
        &mut history,
        with_caches(seen(10, &[(1, "/"), (2, "/app")]), &[(0, "app")]),
    );
    let again = with_caches(seen(20, &[(1, "/"), (3, "/app")]), &[(0, "app")]);
    assert_eq!(
        take(&mut history, again),
        [
            "25 offlined 2 /app after 10",
            "25 created 3 /app after 10",
            "25 tick"
        ]
    );
}

#[test]
fn one_of_two_live_directories_with_a_name() {
    let mut history = History::default();
    // which of the two the number is of, nothing tells, and it may be either: no zombie
    let both = with_caches(
        seen(10, &[(1, "/"), (2, "/a/app"), (3, "/b/app")]),
        &[(0, "app")],
    );
    assert!(
        !take(&mut history, both)
            .iter()
            .any(|word| word.contains("zombie"))
    );
    let one = with_caches(seen(20, &[(1, "/"), (3, "/b/app")]), &[(0, "app")]);
    assert!(
        !take(&mut history, one)
            .iter()
            .any(|word| word.contains("zombie"))
    );
    let none = with_caches(seen(30, &[(1, "/")]), &[(0, "app")]);
    assert!(take(&mut history, none).contains(&"35 zombie 3 /b/app caches 1".to_owned()));
}
