//! A kernel whose records are garbled on the way: what is believed, and for how long.

use std::collections::BTreeMap;

use kmemtrace_common::wire::{Head, flag, kind, text_form};
use proptest::prelude::*;

use super::*;
use crate::event::{
    sense,
    wire::{self, Context, Decoded},
};

/// What events told may be above the kernel's count for so long, in milliseconds: until a removed memcg is settled (5 s on v2), then
/// until a surplus is believed though ends always explain it (30 s), then three more ticks and a walk.
const BOUND: u64 = 36_000;

/// A record's bytes that are written over.
type Garbled = Option<(usize, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Op {
    Mkdir(Garbled, Garbled),
    Rmdir(usize, Garbled, Garbled),
    Free(usize, Garbled, Garbled),
    /// So many milliseconds go by.
    Wait(u64),
}

fn any_op() -> impl Strategy<Value = Op> {
    let garbled = || {
        let bytes = prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..9),
            Just(vec![0; 8]),
            Just(vec![0xff; 8]),
        ];
        proptest::option::weighted(0.3, (0..140_usize, bytes))
    };
    prop_oneof![
        4 => (garbled(), garbled()).prop_map(|(a, b)| Op::Mkdir(a, b)),
        4 => (0..8_usize, garbled(), garbled()).prop_map(|(n, a, b)| Op::Rmdir(n, a, b)),
        3 => (0..8_usize, garbled(), garbled()).prop_map(|(n, a, b)| Op::Free(n, a, b)),
        4 => prop_oneof![1..400_u64, 400..9_000_u64].prop_map(Op::Wait),
    ]
}

/// A kernel, and a source that answers every walk with the truth.
struct World {
    run: Run,
    /// It counts memcgs that die (v2), or all (v1).
    v2: bool,
    now: u64,
    next: u64,
    /// The cgroups that are there, by id, and whether they are removed.
    cgroups: BTreeMap<u64, bool>,
    walk_owed: bool,
    above_since: Option<u64>,
}

impl World {
    fn new(v2: bool) -> Self {
        let mut world = Self {
            run: Run::new(),
            v2,
            now: 1_000,
            next: 1,
            cgroups: BTreeMap::from([(1, false)]),
            walk_owed: false,
            above_since: None,
        };
        world.walk();
        world
    }

    fn zombies(&self) -> u64 {
        self.cgroups.values().filter(|removed| **removed).count() as u64
    }

    fn counts(&self) -> Counts {
        if self.v2 {
            dying_memory(self.zombies())
        } else {
            num_cgroups(self.cgroups.len() as u64)
        }
    }

    fn record(&mut self, kind: u32, id: u64, garbled: &Garbled) {
        let names = kind >= kind::CSS_ONLINE;
        let head = Head {
            kind,
            mono_ns: self.now * 1_000_000,
            cgroup_id: id,
            parent_id: 1_000_000,
            serial: id,
            flags: flag::MEMCG_KNOWN | flag::MEMCG | flag::ACTIVATED_KNOWN | flag::ACTIVATED,
            text_form: if names {
                text_form::COMPONENTS
            } else {
                text_form::PLAIN
            },
            ..Head::ZERO
        };
        let text = if names {
            format!("{id}\0")
        } else {
            format!("/{id}")
        };
        let mut bytes = wire::tests::record(head, text.as_bytes()).to_vec();
        if let Some((at, noise)) = garbled {
            for (byte, noise) in bytes.iter_mut().skip(*at).zip(noise) {
                *byte = *noise;
            }
        }
        let context = Context {
            page_bytes: 4096,
            release_tells_mkdir_failure: true,
            mount: b"/sys/fs/cgroup".to_vec(),
        };
        match wire::decode(&bytes.into(), &context) {
            Decoded::Fact(ns, fact) if sense::time(ns, (self.now + 2_000) * 1_000_000).is_ok() => {
                let time = Stamp {
                    mono_ns: ns,
                    wall_ns: 0,
                };
                let event = Event { time, fact };
                self.run.tracker.apply(&event, &mut self.run.changes);
            }
            Decoded::Nothing => {}
            Decoded::Fact(..) | Decoded::Unknown => {
                let gap = Gap {
                    from_mono_ns: self.now.saturating_sub(200) * 1_000_000,
                    lost: Some(1),
                    reason: GapReason::BadRecord,
                    counted: None,
                };
                self.run.apply(self.now, Fact::Gap(gap));
                self.walk_owed = true;
            }
        }
        self.run.tracker.table.assert_in_step();
        for change in self.run.changes.drain(..) {
            if let Some((_, subject)) = subject(&change.what) {
                let cgroup = &subject.cgroup;
                assert_ne!(cgroup.id.unwrap_or(0), 0, "{change:?}");
                assert!(cgroup.memcg_id.is_none_or(|id| id <= 65_535), "{change:?}");
            }
        }
    }

    /// Of a cgroup and, on v2, of its memcg.
    fn records(&mut self, kinds: [u32; 2], id: u64, [first, second]: [&Garbled; 2]) {
        self.now += 1;
        self.record(kinds[0], id, first);
        if self.v2 {
            self.record(kinds[1], id, second);
        }
    }

    fn pick(&self, n: usize, removed: bool) -> Option<u64> {
        let of = |(id, is): (&u64, &bool)| (*is == removed && *id != 1).then_some(*id);
        let ids: Vec<_> = self.cgroups.iter().filter_map(of).collect();
        (!ids.is_empty()).then(|| ids[n % ids.len()])
    }

    fn perform(&mut self, op: &Op) {
        match op {
            Op::Mkdir(a, b) => {
                self.next += 1;
                self.cgroups.insert(self.next, false);
                self.records([kind::MKDIR, kind::CSS_ONLINE], self.next, [a, b]);
            }
            Op::Rmdir(n, a, b) => {
                if let Some(id) = self.pick(*n, false) {
                    self.cgroups.insert(id, true);
                    self.records([kind::RMDIR, kind::CSS_OFFLINE], id, [a, b]);
                }
            }
            Op::Free(n, a, b) => {
                if let Some(id) = self.pick(*n, true) {
                    self.cgroups.remove(&id);
                    self.records([kind::RELEASE, kind::CSS_FREE], id, [a, b]);
                }
            }
            Op::Wait(ms) => {
                for _ in 0..ms.div_ceil(200) {
                    self.tick();
                }
            }
        }
    }

    /// What a source does every 200 ms.
    fn tick(&mut self) {
        self.now += 200;
        let wanted = self.run.tracker.wants();
        if let Wanted::Correction(found) = wanted {
            self.run.apply(self.now, Fact::Gap(found.gap()));
        }
        if self.walk_owed || matches!(wanted, Wanted::Walk | Wanted::Correction(_)) {
            self.walk();
        } else {
            self.run.tick(self.now, self.counts());
        }
        let (_, zombies, _) = self.run.totals();
        if zombies <= self.zombies() {
            self.above_since = None;
            return;
        }
        let since = *self.above_since.get_or_insert(self.now);
        assert!(
            self.now - since <= BOUND,
            "{zombies} tracked, {} there, for {} ms",
            self.zombies(),
            self.now - since
        );
    }

    fn walk(&mut self) {
        let began = self.now;
        self.walk_owed = false;
        let all: Vec<_> = self.cgroups.iter().map(|(id, is)| (*id, *is)).collect();
        for (id, _) in all.iter().filter(|(_, removed)| *removed) {
            let dead = Cgroup {
                scope: Scope::Cgroup,
                ..memcg(*id, *id)
            };
            self.run.apply(began, Fact::Zombie(dead));
        }
        for (id, _) in all.iter().filter(|(_, removed)| !*removed) {
            let live = Cgroup {
                memory: Some(true),
                ..cgroup(*id)
            };
            self.run.present(began, live);
        }
        self.now += 1;
        let walked = walked_all(began, self.zombies(), self.counts());
        self.run.apply(self.now, walked);
        self.run.changes.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any record garbled anywhere: no panic, no memcg without an id, and what events told is not above the kernel's count for
    /// longer than the self-check takes.
    #[test]
    fn garbled_records_are_not_believed_for_long(
        ops in proptest::collection::vec(any_op(), 0..80), v2: bool,
    ) {
        let mut world = World::new(v2);
        for op in &ops {
            world.perform(op);
        }
        world.perform(&Op::Wait(2 * BOUND));
        let (_, zombies, _) = world.run.totals();
        prop_assert!(zombies <= world.zombies(), "{} tracked, {} there", zombies, world.zombies());
        // A walk names what garbled records hid, and then there may be one too many.
        world.walk();
        world.perform(&Op::Wait(2 * BOUND));
        let (live, zombies, _) = world.run.totals();
        let there = world.cgroups.len() as u64 - world.zombies();
        prop_assert_eq!((live, zombies), (there, world.zombies()));
    }
}

/// An eBPF object for x86-64 on arm64: what its kprobes read is whatever lies in other registers. Three pods leak.
fn three_pods(id: impl Fn(u64) -> u64) -> World {
    let mut world = World::new(true);
    for n in 2..5 {
        let id = id(n);
        world.cgroups.insert(n, false);
        world.record(kind::MKDIR, n, &None);
        world.record(kind::CSS_ONLINE, id, &None);
        world.tick();
        world.cgroups.insert(n, true);
        world.record(kind::RMDIR, n, &None);
        world.record(kind::CSS_OFFLINE, id, &None);
        world.tick();
    }
    world
}

#[test]
fn registers_of_another_architecture_make_no_zombies() {
    for id in [0, u64::MAX, 0xffff_8000_0123_4567] {
        let mut world = three_pods(|_| id);
        assert_eq!(world.run.totals().1, 3, "{id:#x}");
        world.perform(&Op::Wait(40_000));
        assert_eq!(world.run.totals(), (1, 3, 3), "{id:#x}");
        assert!(world.run.tracker.state().gaps().is_some());
    }
}

#[test]
fn and_random_ids_make_some_for_some_seconds() {
    let mut world = three_pods(|n| n * 7_919 + 0x1234_5600_0000);
    assert_eq!(world.run.totals().1, 6);
    world.perform(&Op::Wait(10_000));
    assert_eq!(world.run.totals(), (1, 3, 3));
    let gaps = world.run.tracker.state().gaps().cloned().unwrap();
    assert_eq!((gaps.count, gaps.last.reason), (1, GapReason::Contradicted));
    let counted = gaps.last.counted.unwrap();
    assert_eq!((counted.tracked, counted.kernel), (6, 3));
}
