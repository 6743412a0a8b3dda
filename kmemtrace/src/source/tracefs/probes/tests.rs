mod paths;

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::source::tracefs::line::{TraceLine, line};

/// One mkdir and one rmdir on RHEL 7's 3.10.0-514, seen by probes without arguments.
const RECORDED: &str = include_str!("../../../../../tests/data/el7-514/trace-of-mkdir-rmdir.txt");

/// Directories by path.
#[derive(Default)]
struct There(HashMap<Vec<u8>, u64>);

impl Lookup for There {
    fn inode(&mut self, path: &[u8]) -> Option<u64> {
        self.0.get(path).copied()
    }

    fn has_memcg(&mut self, _: &[u8]) -> Option<bool> {
        None
    }
}

/// A recorded line as our probes, which have arguments, would have it.
fn as_ours(text: &str) -> String {
    const CGROUP: &str = "ffff88007b000000";
    const MEMCG: &str = "ffff88007c4c5c00";
    let with = |name: &str, argument: String| {
        let (head, text) = text.split_once(": ").unwrap();
        let (_, text) = text.split_once(": ").unwrap();
        format!("{head}: {name}: {text}{argument}")
    };
    let ours = [
        ("k_cgroup_mkdir", "mkdir", " name=\"a b\"".to_owned()),
        ("r_cgroup_mkdir", "mkdir_return", String::new()),
        ("k_mem_cgroup_css_alloc", "alloc", format!(" arg={CGROUP}")),
        ("r_mem_cgroup_css_alloc", "alloc_return", String::new()),
        (
            "k_cgroup_destroy_locked",
            "destroy",
            format!(" cgroup={CGROUP}"),
        ),
        ("r_cgroup_destroy_locked", "destroy_return", String::new()),
        ("k___mem_cgroup_free", "free", format!(" memcg={MEMCG}")),
    ];
    let found = ours
        .into_iter()
        .find(|(theirs, ..)| text.contains(&format!(": {theirs}: ")));
    let Some((_, name, argument)) = found else {
        return text.to_owned();
    };
    let text = with(name, argument);
    if name == "alloc_return" {
        text.replace(" ret=", " memcg=")
    } else {
        text
    }
}

fn feed(probes: &mut Probes, text: &str) {
    for text in text.lines() {
        match line(text.as_bytes()) {
            TraceLine::Event(record) => {
                let task = || record.thread.map(|thread| thread.task(thread.id));
                probes.take(&record, record.time_ns, task);
            }
            TraceLine::Empty => {}
            other => panic!("{other:?}: {text}"),
        }
    }
}

/// A line of one of our probes, of the thread with this number.
fn told(thread: u32, millis: u64, text: &str) -> String {
    format!("            runc-{thread:<5} [001] d...     0.{millis:03}000: {text}\n")
}

fn mkdir(thread: u32, at: u64, name: &str, memcg: u64) -> String {
    told(
        thread,
        at,
        &format!("mkdir: (cgroup_mkdir+0x0/0x1) name=\"{name}\""),
    ) + &told(
        thread,
        at + 1,
        &format!("alloc_return: (a <- b) memcg=0x{memcg:x}"),
    ) + &told(thread, at + 2, "mkdir_return: (a <- b) ret=0")
}

fn found(id: u64, path: &'static str, seen_millis: u64) -> FoundDirectory {
    FoundDirectory {
        id,
        parent_id: Some(1),
        path: Bytes::from_static(path.as_bytes()),
        seen_ns: seen_millis * 1_000_000,
    }
}

/// The facts in short: what, id, path, task's number.
fn tell(probes: &mut Probes, found: &[FoundDirectory], there: &mut There) -> Vec<String> {
    let facts = probes.tell(found, there);
    assert!(probes.is_told());
    let short = |what: &str, c: Cgroup| {
        let id = if c.id >= Some(NAMELESS) {
            "nameless".to_owned()
        } else {
            c.id.unwrap().to_string()
        };
        let path = c
            .path
            .map(|path| String::from_utf8_lossy(&path.bytes).into_owned());
        let pid = c.task.map_or(0, |task| task.pid);
        format!("{what} {id} {} {pid}", path.unwrap_or_default())
    };
    let facts = facts.into_iter().map(|(_, fact)| match fact {
        Fact::Created(c) => short("created", c),
        Fact::Offlined(c) if c.scope == Scope::Memcg => short("offlined alone", c),
        Fact::Offlined(c) => short("offlined", c),
        Fact::Freed(c) => short("freed", c),
        Fact::MkdirFailure(f) => format!("failed {:?} {:?}", f.errno, f.path),
        other => panic!("{other:?}"),
    });
    facts.collect()
}

#[test]
fn a_recorded_life_on_3_10_is_followed() {
    let mut probes = Probes::new(false, Version::V1);
    let lines: Vec<_> = RECORDED.lines().map(as_ours).collect();
    let at = lines
        .iter()
        .position(|line| line.contains(": mkdir_return: "))
        .unwrap();
    feed(&mut probes, &lines[..=at].join("\n"));
    assert!(probes.wants_look());
    let there = &mut There::default();
    let all = [found(9, "/other", 8541), found(7, "/pod/a b", 8556)];
    assert_eq!(tell(&mut probes, &all, there), ["created 7 /pod/a b 105"]);
    feed(&mut probes, &lines[at + 1..].join("\n"));
    assert!(!probes.wants_look() && !probes.missed());
    assert_eq!(
        tell(&mut probes, &[], there),
        ["offlined 7 /pod/a b 106", "freed 7 /pod/a b 0"]
    );
}

#[test]
fn the_recorded_text_as_it_is_claims_nothing() {
    let mut probes = Probes::new(false, Version::V1);
    feed(&mut probes, RECORDED);
    assert!(probes.is_told() && !probes.missed());
}

#[test]
fn one_gone_before_it_was_looked_at_has_its_name() {
    let mut probes = Probes::new(false, Version::V1);
    feed(&mut probes, &mkdir(5, 1, "x", 0xffff_8880_0000_1000));
    feed(
        &mut probes,
        &told(0, 9, "offline: (f) memcg=0xffff888000001000"),
    );
    feed(&mut probes, &mkdir(5, 10, "x", 0xffff_8880_0000_2000));
    let there = &mut There::default();
    let facts = tell(&mut probes, &[found(8, "/x", 13)], there);
    // The directory that is there is the second's.
    assert_eq!(
        facts,
        [
            "created nameless .../x 5",
            "offlined nameless .../x 0",
            "created 8 /x 5"
        ]
    );
    feed(
        &mut probes,
        &told(0, 20, "free: (f) memcg=0xffff888000001000"),
    );
    assert_eq!(tell(&mut probes, &[], there), ["freed nameless .../x 0"]);
}

#[test]
fn nothing_is_claimed_where_there_are_two() {
    let mut probes = Probes::new(false, Version::V1);
    feed(&mut probes, &mkdir(5, 1, "x", 0xffff_8880_0000_1000));
    feed(&mut probes, &mkdir(6, 5, "x", 0xffff_8880_0000_2000));
    let there = &mut There::default();
    let both = [found(8, "/a/x", 9), found(9, "/b/x", 9)];
    assert_eq!(tell(&mut probes, &both, there), [""; 0]);
    feed(
        &mut probes,
        &told(0, 20, "offline: (f) memcg=0xffff888000001000"),
    );
    feed(
        &mut probes,
        &told(0, 21, "free: (f) memcg=0xffff888000001000"),
    );
    assert_eq!(tell(&mut probes, &[], there), [""; 0]);
    // One that was there before is not the new one, nor is one that another pointer has.
    feed(&mut probes, &mkdir(5, 30, "x", 0xffff_8880_0000_3000));
    let all = [found(8, "/a/x", 9), found(10, "/c/x", 35)];
    assert_eq!(tell(&mut probes, &all, there), ["created 10 /c/x 5"]);
    feed(&mut probes, &mkdir(5, 33, "x", 0xffff_8880_0000_4000));
    let all = [found(10, "/c/x", 35), found(11, "/d/x", 36)];
    assert_eq!(tell(&mut probes, &all, there), ["created 11 /d/x 5"]);
}

#[test]
fn failures_are_of_the_memory_hierarchy_only() {
    for failures_only in [false, true] {
        let mut probes = Probes::new(failures_only, Version::V1);
        let fail = |alloc: &str, ret: i32| {
            told(5, 1, "mkdir: (f) name=\"x\"")
                + &if alloc.is_empty() {
                    String::new()
                } else {
                    told(5, 2, &format!("alloc_return: (a <- b) memcg={alloc}"))
                }
                + &told(5, 3, &format!("mkdir_return: (a <- b) ret={ret}"))
        };
        let there = &mut There::default();
        feed(&mut probes, &fail("", -12));
        assert_eq!(tell(&mut probes, &[], there), [""; 0]);
        feed(&mut probes, &fail("0xfffffffffffffff4", -12));
        let failed = "failed Some(12) Some(\".../x..\")";
        assert_eq!(tell(&mut probes, &[], there), [failed]);
        // Allocated, and rolled back: its end is not a life's.
        feed(&mut probes, &fail("0xffff888000001000", -12));
        feed(
            &mut probes,
            &told(0, 4, "offline: (f) memcg=0xffff888000001000"),
        );
        feed(
            &mut probes,
            &told(0, 5, "free: (f) memcg=0xffff888000001000"),
        );
        let facts = tell(&mut probes, &[], there);
        assert_eq!(facts[0], failed);
        assert!(failures_only || facts.len() == 1, "{facts:?}");
    }
}

#[test]
fn the_memcg_can_go_alone() {
    let mut probes = Probes::new(false, Version::V1);
    let there = &mut There(HashMap::from([(b"/x".to_vec(), 8)]));
    feed(&mut probes, &mkdir(5, 1, "x", 0xffff_8880_0000_1000));
    feed(
        &mut probes,
        &told(0, 20, "offline: (f) memcg=0xffff888000001000"),
    );
    let facts = tell(&mut probes, &[], there);
    assert_eq!(facts[1], "offlined nameless .../x 0");
    feed(&mut probes, &mkdir(5, 30, "x", 0xffff_8880_0000_2000));
    tell(&mut probes, &[found(8, "/x", 35)], there);
    feed(
        &mut probes,
        &told(0, 40, "offline: (f) memcg=0xffff888000002000"),
    );
    assert_eq!(tell(&mut probes, &[], there), ["offlined alone 8 /x 0"]);
}

#[test]
fn those_from_before_are_left_to_the_walk() {
    let mut probes = Probes::new(false, Version::V1);
    let there = &mut There::default();
    feed(
        &mut probes,
        &told(0, 1, "offline: (f) memcg=0xffff888000001000"),
    );
    assert!(probes.missed() && !probes.missed());
    feed(
        &mut probes,
        &told(0, 2, "free: (f) memcg=0xffff888000001000"),
    );
    assert_eq!(tell(&mut probes, &[], there), [""; 0]);
    // A zombie from before.
    feed(
        &mut probes,
        &told(0, 3, "free: (f) memcg=0xffff888000002000"),
    );
    assert_eq!(tell(&mut probes, &[], there), ["freed nameless  0"]);
    feed(
        &mut probes,
        &told(5, 4, "destroy: (f) cgroup=ffff880000003000"),
    );
    feed(&mut probes, &told(5, 5, "destroy_return: (a <- b) ret=-16"));
    assert!(!probes.missed());
    feed(
        &mut probes,
        &told(5, 6, "destroy: (f) cgroup=ffff880000003000"),
    );
    feed(&mut probes, &told(5, 7, "destroy_return: (a <- b) ret=0"));
    assert!(probes.missed());
}

#[test]
fn a_pointer_given_out_again_ends_the_life_before() {
    let mut probes = Probes::new(false, Version::V1);
    let there = &mut There::default();
    feed(&mut probes, &mkdir(5, 1, "x", 0xffff_8880_0000_1000));
    assert_eq!(
        tell(&mut probes, &[found(8, "/x", 4)], there),
        ["created 8 /x 5"]
    );
    feed(&mut probes, &mkdir(5, 10, "y", 0xffff_8880_0000_1000));
    assert_eq!(
        tell(&mut probes, &[found(9, "/y", 14)], there),
        ["freed 8 /x 0", "created 9 /y 5"]
    );
}

proptest! {
    /// Lines in any order: nothing breaks, no life ends twice, and all ends are told.
    #[test]
    fn no_order_breaks_it(
        lines in proptest::collection::vec((0..8usize, 1..4u32, 0..4u64, -13..2i32), 0..60),
        looks in proptest::collection::vec(any::<bool>(), 60),
        failures_only in any::<bool>(),
    ) {
        let mut probes = Probes::new(failures_only, Version::V1);
        let mut alive = HashSet::new();
        let mut dead = Vec::new();
        for (n, (kind, thread, pointer, ret)) in lines.into_iter().enumerate() {
            let pointer = 0xffff_8880_0000_0000_u64 + pointer * 0x1000;
            let text = match kind {
                0 => format!("mkdir: (f) name=\"{thread}\""),
                1 => format!("alloc: (f) arg={pointer:x}"),
                2 => format!("alloc_return: (f) memcg={pointer:x}"),
                3 => format!("mkdir_return: (f) ret={ret}"),
                4 => format!("offline: (f) memcg=0x{pointer:x}"),
                5 => format!("destroy: (f) cgroup={pointer:x}"),
                6 => format!("destroy_return: (f) ret={ret}"),
                _ => format!("free: (f) memcg={pointer:x}"),
            };
            feed(&mut probes, &told(thread, n as u64, &text));
            if looks[n] {
                let there = [found(n as u64 + 10, "/a/1", n as u64), found(3, "/b/2", n as u64)];
                for (_, fact) in probes.tell(&there, &mut There::default()) {
                    match fact {
                        Fact::Created(c) => prop_assert!(alive.insert(c.id)),
                        // The directories here are there at every look: its number stands for another from now on.
                        Fact::Offlined(c) if alive.remove(&c.id) => dead.push(c.id),
                        Fact::Freed(c) if c.path.is_some() => {
                            let of_dead = dead.iter().position(|id| *id == c.id);
                            let of_dead = of_dead.map(|at| dead.swap_remove(at));
                            prop_assert!(of_dead.is_some() || alive.remove(&c.id));
                        }
                        _ => {}
                    }
                }
                prop_assert!(probes.is_told());
            }
        }
    }
}

/// Registers of another architecture, where kernel pointers are to be.
#[test]
fn what_is_no_kernel_address_is_not_understood() {
    for text in [
        "alloc_return: (a <- b) memcg=0x0",
        "alloc_return: (a <- b) memcg=0x7ffd1234",
        "offline: (f) memcg=0x1",
        "free: (f) memcg=deadbeef",
        "destroy: (f) cgroup=0x400000",
        "alloc: (f) arg=0x400000",
    ] {
        let text_of_line = format!("           mkdir-105   [001] d...     8.541807: {text}");
        let TraceLine::Event(record) = line(text_of_line.as_bytes()) else {
            panic!("{text_of_line}");
        };
        let mut probes = Probes::new(false, Version::V1);
        assert!(!probes.take(&record, 8, || None), "{text}");
        assert!(probes.is_told(), "{text}");
    }
}
