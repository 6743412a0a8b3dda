//! The tracker's tests: one life at a time, counts, any order, and a model of the kernel.

mod believed;
mod counts;
mod inherited;
mod lives;
mod memcgs;
mod model;
mod orders;
mod polled;
mod shown;
mod surplus;

use super::*;
use crate::event::{GapReason, Path, Scope, Task};

/// The grace time in the tests, in milliseconds.
const GRACE: u64 = 1000;

fn stamp(ms: u64) -> Stamp {
    Stamp {
        mono_ns: ms * 1_000_000,
        wall_ns: 0,
    }
}

fn event(ms: u64, fact: Fact) -> Event {
    Event {
        time: stamp(ms),
        fact,
    }
}

fn cgroup(id: u64) -> Cgroup {
    Cgroup {
        id: Some(id),
        path: Some(Path::whole(format!("/{id}"))),
        ..Cgroup::default()
    }
}

/// As hooks on `mem_cgroup_css_*` see it.
fn memcg(id: u64, serial: u64) -> Cgroup {
    Cgroup {
        serial: Some(serial),
        memory: Some(true),
        scope: Scope::Memcg,
        ..cgroup(id)
    }
}

/// As cgroup tracepoints that can read the css see it.
fn with_serial(id: u64, serial: u64) -> Cgroup {
    Cgroup {
        scope: Scope::Cgroup,
        ..memcg(id, serial)
    }
}

fn bare(id: u64) -> Cgroup {
    Cgroup {
        memory: Some(false),
        ..cgroup(id)
    }
}

fn gap(from_ms: u64) -> Fact {
    Fact::Gap(Gap {
        from_mono_ns: from_ms * 1_000_000,
        lost: Some(3),
        reason: GapReason::RingFull,
        counted: None,
    })
}

fn walked(began_ms: u64, counts: Counts) -> Fact {
    Fact::Walked(Walked {
        began_mono_ns: began_ms * 1_000_000,
        directories: 0,
        zombies: None,
        counts,
    })
}

/// A walk that asked the kernel for its zombies as well, and was told so many.
fn walked_all(began_ms: u64, zombies: u64, counts: Counts) -> Fact {
    Fact::Walked(Walked {
        began_mono_ns: began_ms * 1_000_000,
        directories: 0,
        zombies: Some(zombies),
        counts,
    })
}

fn num_cgroups(n: u64) -> Counts {
    Counts {
        num_cgroups: Some(n),
        ..Counts::default()
    }
}

fn dying_memory(n: u64) -> Counts {
    Counts {
        dying_memory: Some(n),
        ..Counts::default()
    }
}

fn dying(n: u64) -> Counts {
    Counts {
        dying: Some(n),
        ..Counts::default()
    }
}

/// A tracker and what it said.
struct Run {
    tracker: Tracker,
    changes: Vec<Change>,
}

impl Run {
    fn new() -> Self {
        let grace = Duration::from_millis(GRACE);
        Self {
            tracker: Tracker::new(Config {
                grace,
                polled: false,
                kept: Kept::No,
            }),
            changes: Vec::new(),
        }
    }

    /// A run that a walk began, with these directories and counts.
    fn walked(ids: &[u64], counts: Counts) -> Self {
        let mut run = Self::new();
        for &id in ids {
            run.apply(1, Fact::Present(cgroup(id)));
        }
        run.apply(2, walked(1, counts));
        run.changes.clear();
        run
    }

    fn apply(&mut self, ms: u64, fact: Fact) -> &mut Self {
        self.tracker.apply(&event(ms, fact), &mut self.changes);
        assert!(self.tracker.totals().leaked <= self.tracker.totals().zombies);
        self.tracker.table.assert_in_step();
        self
    }

    fn settled(&self) -> bool {
        self.tracker.wants() == Wanted::Nothing
    }

    fn created(&mut self, ms: u64, cgroup: Cgroup) -> &mut Self {
        self.apply(ms, Fact::Created(cgroup))
    }

    fn offlined(&mut self, ms: u64, cgroup: Cgroup) -> &mut Self {
        self.apply(ms, Fact::Offlined(cgroup))
    }

    fn freed(&mut self, ms: u64, cgroup: Cgroup) -> &mut Self {
        self.apply(ms, Fact::Freed(cgroup))
    }

    fn present(&mut self, ms: u64, cgroup: Cgroup) -> &mut Self {
        self.apply(ms, Fact::Present(cgroup))
    }

    fn tick(&mut self, ms: u64, counts: Counts) -> &mut Self {
        self.apply(ms, Fact::Tick(counts))
    }

    /// Live, zombies, leaked.
    fn totals(&self) -> (u64, u64, u64) {
        let Totals {
            live,
            zombies,
            leaked,
        } = self.tracker.totals();
        (live, zombies, leaked)
    }

    /// What was said of memcgs since the last look.
    fn said(&mut self) -> Vec<String> {
        self.changes
            .drain(..)
            .filter_map(|change| word(&change.what))
            .collect()
    }
}

/// The memcg that a change is about.
fn subject(what: &What) -> Option<(&'static str, &Subject)> {
    Some(match what {
        What::Created(subject) => ("created", subject),
        What::Offlined(subject) => ("offlined", subject),
        What::Freed(subject) => ("freed", subject),
        What::Renamed(subject) => ("renamed", subject),
        What::Leaked(subject) => ("leaked", subject),
        What::Recovered(subject) => ("recovered", subject),
        What::Present(subject) => ("present", subject),
        What::Zombie(subject) => ("zombie", subject),
        _ => return None,
    })
}

/// `created 1`; `created 1.2` for the third with that id; a `?` after what was reached across a gap.
fn word(what: &What) -> Option<String> {
    let (kind, subject) = subject(what)?;
    let generation = match subject.generation {
        0 => String::new(),
        n => format!(".{n}"),
    };
    let doubt = if subject.across_gap { "?" } else { "" };
    let id = match (subject.cgroup.id, subject.cgroup.kmemcg_id) {
        (Some(id), _) => id.to_string(),
        (None, id) => format!("kmem{}", id.unwrap_or_default()),
    };
    Some(format!("{kind} {id}{generation}{doubt}"))
}
