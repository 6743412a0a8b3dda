//! A model of the kernel, whose own counts the tracker must reach.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What a kernel counts, and what of it has hooks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flavour {
    /// v1: every cgroup has a memcg, `num_cgroups` falls late; ids may be given out again.
    NumCgroups { reuse: bool },
    /// v2 with hooks on the memcgs too.
    DyingMemory,
    /// v2 that counts cgroups only.
    Dying,
}

#[derive(Clone, Debug)]
enum Op {
    Mkdir {
        memory: bool,
    },
    Rmdir(usize),
    /// `+memory` or `-memory`.
    Memory(usize),
    Free(usize),
    Tick {
        counted: bool,
    },
    /// Events get lost from here on,
    Lose,
    /// up to here, and the source notices it, or not, and walks.
    Resync {
        noticed: bool,
        counted: bool,
    },
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => any::<bool>().prop_map(|memory| Op::Mkdir { memory }),
        4 => (0..8usize).prop_map(Op::Rmdir),
        3 => (0..8usize).prop_map(Op::Memory),
        4 => (0..8usize).prop_map(Op::Free),
        6 => any::<bool>().prop_map(|counted| Op::Tick { counted }),
        1 => Just(Op::Lose),
        2 => (any::<bool>(), any::<bool>())
            .prop_map(|(noticed, counted)| Op::Resync { noticed, counted }),
    ]
}

#[derive(Debug, Default)]
struct Cgrp {
    removed: bool,
    memcg: Option<u64>,
    zombies: Vec<u64>,
}

struct Kernel {
    flavour: Flavour,
    now: u64,
    cgroups: BTreeMap<u64, Cgrp>,
    next_id: u64,
    next_serial: u64,
    /// Freed, but still in `num_cgroups`, for so many ticks.
    lag: (u64, u32),
    losing: bool,
    /// Lost events are not made up for yet.
    stale: bool,
    run: Run,
}

impl Kernel {
    fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            now: 100,
            cgroups: BTreeMap::new(),
            next_id: 1,
            next_serial: 1000,
            lag: (0, 0),
            losing: false,
            stale: false,
            run: Run::new(),
        }
    }

    fn is_v1(&self) -> bool {
        matches!(self.flavour, Flavour::NumCgroups { .. })
    }

    fn tell(&mut self, fact: Fact) {
        self.now += 1;
        self.stale |= self.losing;
        if !self.losing {
            self.run.apply(self.now, fact);
        }
    }

    /// The cgroup as tracepoints show it.
    fn show(&self, id: u64) -> Cgroup {
        match self.cgroups[&id].memcg {
            _ if self.is_v1() => cgroup(id),
            Some(serial) => with_serial(id, serial),
            None => bare(id),
        }
    }

    fn css(&mut self, id: u64, serial: u64, fact: fn(Cgroup) -> Fact) {
        if self.flavour == Flavour::DyingMemory {
            self.tell(fact(memcg(id, serial)));
        }
    }

    fn truth(&self) -> (u64, u64) {
        let live = self.cgroups.values().filter(|c| c.memcg.is_some()).count();
        let zombies: usize = self.cgroups.values().map(|c| c.zombies.len()).sum();
        (live as u64, zombies as u64)
    }

    fn counts(&self) -> Counts {
        let (live, zombies) = self.truth();
        match self.flavour {
            Flavour::NumCgroups { .. } => num_cgroups(live + zombies + self.lag.0),
            Flavour::DyingMemory => dying_memory(zombies),
            Flavour::Dying => dying(self.cgroups.values().filter(|c| c.removed).count() as u64),
        }
    }

    /// One of the cgroups that are so.
    fn pick(&self, index: usize, which: impl Fn(&Cgrp) -> bool) -> Option<u64> {
        let ids: Vec<_> = self
            .cgroups
            .iter()
            .filter(|(_, c)| which(c))
            .map(|(id, _)| *id)
            .collect();
        (!ids.is_empty()).then(|| ids[index % ids.len()])
    }

    fn mkdir(&mut self, memory: bool) {
        let id = if self.flavour == (Flavour::NumCgroups { reuse: true }) {
            (1..=u64::MAX)
                .find(|id| !self.cgroups.contains_key(id))
                .unwrap()
        } else {
            self.next_id += 1;
            self.next_id
        };
        self.cgroups.insert(id, Cgrp::default());
        if memory || self.is_v1() {
            self.online(id);
        }
        self.tell(Fact::Created(self.show(id)));
    }

    fn online(&mut self, id: u64) {
        self.next_serial += 1;
        let serial = self.next_serial;
        self.cgroups.get_mut(&id).unwrap().memcg = Some(serial);
        self.css(id, serial, Fact::Created);
    }

    fn offline(&mut self, id: u64) {
        let cgrp = self.cgroups.get_mut(&id).unwrap();
        let serial = cgrp.memcg.take().unwrap();
        cgrp.zombies.push(serial);
        self.css(id, serial, Fact::Offlined);
    }

    fn rmdir(&mut self, id: u64) {
        self.tell(Fact::Offlined(self.show(id)));
        self.cgroups.get_mut(&id).unwrap().removed = true;
        if self.cgroups[&id].memcg.is_some() {
            self.offline(id);
        }
        self.release(id);
    }

    fn free(&mut self, id: u64, index: usize) {
        let zombies = &mut self.cgroups.get_mut(&id).unwrap().zombies;
        let serial = zombies.remove(index % zombies.len());
        self.css(id, serial, Fact::Freed);
        self.release(id);
    }

    fn release(&mut self, id: u64) {
        let cgrp = &self.cgroups[&id];
        if cgrp.removed && cgrp.zombies.is_empty() {
            self.cgroups.remove(&id);
            if self.is_v1() {
                self.lag = (self.lag.0 + 1, 2);
            }
            self.tell(Fact::Freed(cgroup(id)));
        }
    }

    fn tick(&mut self, counted: bool) {
        self.now += 1;
        let counts = if counted {
            self.counts()
        } else {
            Counts::default()
        };
        self.run.tick(self.now, counts);
        let lagging = self.lag.0 > 0;
        self.lag.1 = self.lag.1.saturating_sub(1);
        if self.lag.1 == 0 {
            self.lag.0 = 0;
        }
        if counted && !lagging && !self.stale && self.run.settled() {
            self.agrees();
        }
    }

    fn agrees(&self) {
        let (live, zombies, _) = self.run.totals();
        assert_eq!((live, zombies), self.truth());
    }

    fn resync(&mut self, noticed: bool, counted: bool) {
        let began = self.now + 1;
        self.now += 2;
        self.losing = false;
        self.stale = false;
        if noticed {
            self.run.apply(began, gap(began - 1));
        }
        let there: Vec<_> = self.cgroups.iter().filter(|(_, c)| !c.removed).collect();
        for (&id, cgrp) in there {
            let memory = (!self.is_v1()).then_some(cgrp.memcg.is_some());
            self.run.present(
                self.now,
                Cgroup {
                    memory,
                    ..cgroup(id)
                },
            );
        }
        let counts = if counted {
            self.counts()
        } else {
            Counts::default()
        };
        self.run.apply(self.now, walked(began, counts));
    }

    fn perform(&mut self, op: &Op) {
        match *op {
            Op::Mkdir { memory } => self.mkdir(memory),
            Op::Rmdir(index) => {
                if let Some(id) = self.pick(index, |c| !c.removed) {
                    self.rmdir(id);
                }
            }
            Op::Memory(index) if self.flavour == Flavour::DyingMemory => {
                match self.pick(index, |c| !c.removed) {
                    Some(id) if self.cgroups[&id].memcg.is_some() => self.offline(id),
                    Some(id) => self.online(id),
                    None => {}
                }
            }
            Op::Memory(_) => {}
            Op::Free(index) => {
                if let Some(id) = self.pick(index, |c| !c.zombies.is_empty()) {
                    self.free(id, index);
                }
            }
            Op::Tick { counted } => self.tick(counted),
            Op::Lose => self.losing = true,
            Op::Resync { noticed, counted } => {
                // What is lost unnoticed is made up for only if no id was given out again.
                let reuse = self.flavour == Flavour::NumCgroups { reuse: true };
                self.resync(noticed || reuse, counted);
            }
        }
    }
}

/// The tracker starts at `start`; before, nothing is seen.
fn check(flavour: Flavour, ops: &[Op], start: usize) {
    let mut kernel = Kernel::new(flavour);
    kernel.losing = true;
    let start = start % (ops.len() + 1);
    for op in &ops[..start] {
        if !matches!(op, Op::Resync { .. } | Op::Tick { .. }) {
            kernel.perform(op);
        }
    }
    kernel.lag = (0, 0);
    kernel.resync(false, true);
    kernel.agrees();
    assert_eq!(
        kernel.run.tracker.state().summary().inherited,
        Some(kernel.truth().1)
    );
    for op in &ops[start..] {
        kernel.perform(op);
    }
    kernel.resync(true, true);
    // what is in flight takes two ticks to land, and a difference three to be believed
    for _ in 0..6 {
        kernel.tick(true);
    }
    assert!(kernel.run.settled());
    kernel.agrees();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn v1(ops in proptest::collection::vec(any_op(), 0..120), start in 0..40usize) {
        check(Flavour::NumCgroups { reuse: false }, &ops, start);
    }

    #[test]
    fn v1_with_ids_given_out_again(
        ops in proptest::collection::vec(any_op(), 0..120), start in 0..40usize,
    ) {
        check(Flavour::NumCgroups { reuse: true }, &ops, start);
    }

    #[test]
    fn v2_that_counts_memcgs(
        ops in proptest::collection::vec(any_op(), 0..120), start in 0..40usize,
    ) {
        check(Flavour::DyingMemory, &ops, start);
    }

    #[test]
    fn v2_that_counts_cgroups(
        ops in proptest::collection::vec(any_op(), 0..120), start in 0..40usize,
    ) {
        check(Flavour::Dying, &ops, start);
    }
}
