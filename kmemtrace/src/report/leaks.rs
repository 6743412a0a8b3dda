//! Every memcg that was called leaked, and what became of it.

use std::collections::HashMap;

use crate::{
    event::{Path, SlabPin, Stamp, Task},
    tracker::{ByCount, Pin, Pinned, Subject},
};

/// How many are kept at most: three times the memcg ids of a machine. Those that were freed after all go first.
const MAX: usize = 200_000;

/// What became of a leaked memcg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was there when its run ended.
    Leaked,
    /// The kernel freed it after all.
    Recovered,
    /// Nothing of it is seen any more, which says nothing of its end.
    Unseen,
}

/// What keeps a zombie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// As the kernel's own memcgs tell.
    Pin(Pin),
    /// Slab caches of its own.
    SlabCaches,
}

/// A memcg that was called leaked.
#[derive(Clone, Debug)]
pub struct Leak {
    /// Its path.
    pub path: Option<Path>,
    /// Whose it was: an index into [`super::Report::owners`].
    pub owner: usize,
    /// The run it leaked in: an index into [`super::Report::runs`].
    pub run: usize,
    /// When it was removed, in nanoseconds since the Unix epoch.
    pub offlined_ns: Option<i64>,
    /// It was found removed, and may have been so for longer.
    pub at_least: bool,
    /// When it was called leaked, in nanoseconds since the Unix epoch.
    pub leaked_ns: i64,
    /// How long it was a zombie: until it was freed, or until its run's end.
    pub zombie_ns: Option<u64>,
    /// What became of it.
    pub fate: Fate,
    /// Events may have been lost since its removal.
    pub across_gap: bool,
    /// Known by the kernel's count alone.
    pub by_count: Option<ByCount>,
    /// Bytes charged to it at its removal.
    pub usage_bytes: Option<u64>,
    /// The slab caches of its own that it still had when they were seen last.
    pub slab: Option<SlabPin>,
    /// What keeps it, as the kernel's own memcgs were found last.
    pub pinned: Option<Pinned>,
    /// Its memcg id.
    pub memcg_id: Option<u32>,
    /// Its cgroup's id.
    pub cgroup_id: Option<u64>,
    /// Who made it.
    pub creator: Option<Task>,
    offlined_mono_ns: Option<u64>,
}

impl Leak {
    /// Whether it is a zombie at its run's end, for all that is known.
    pub fn is_left(&self) -> bool {
        self.fate == Fate::Leaked
    }

    /// What keeps it, as far as the trace tells.
    pub fn held_by(&self) -> Option<HeldBy> {
        let pin = self.pinned.and_then(|pinned| pinned.pin);
        let caches = self.slab.is_some_and(|slab| slab.caches > 0);
        pin.map(HeldBy::Pin)
            .or(caches.then_some(HeldBy::SlabCaches))
    }

    /// How much memory it holds so, in bytes.
    pub fn held_bytes(&self) -> Option<u64> {
        let bytes = self.pinned.and_then(|pinned| pinned.bytes);
        bytes.or(self.slab.and_then(|slab| slab.bytes))
    }
}

/// The cgroup's id, the number of its slab caches, the generation: unique in a run.
type LeakKey = (Option<u64>, Option<u32>, u32);

fn key(subject: &Subject) -> Option<LeakKey> {
    let cgroup = &subject.cgroup;
    let kmem = cgroup.kmemcg_id.filter(|_| cgroup.id.is_none());
    (cgroup.id.is_some() || kmem.is_some()).then_some((cgroup.id, kmem, subject.generation))
}

/// All of them, as they come.
#[derive(Debug)]
pub(super) struct Leaks {
    max: usize,
    rows: Vec<Leak>,
    /// Of the run that goes on.
    index: HashMap<LeakKey, usize>,
    left_out: u64,
}

impl Default for Leaks {
    fn default() -> Self {
        Self::new(MAX)
    }
}

impl Leaks {
    /// Keeps so many at most.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            rows: Vec::new(),
            index: HashMap::new(),
            left_out: 0,
        }
    }

    /// A run begins or has ended at this `CLOCK_MONOTONIC` time: what is left is as old as that.
    pub(super) fn end_run(&mut self, run: usize, ended_mono_ns: u64) {
        self.index.clear();
        let left = self
            .rows
            .iter_mut()
            .rev()
            .take_while(|leak| leak.run == run);
        for leak in left.filter(|leak| leak.fate != Fate::Recovered) {
            let since = leak.offlined_mono_ns;
            leak.zombie_ns = since.map(|since| ended_mono_ns.saturating_sub(since));
        }
    }

    pub(super) fn leaked(
        &mut self,
        subject: &Subject,
        leaked_ns: i64,
        wall_ns: impl Fn(Stamp) -> i64,
        owner: usize,
        run: usize,
    ) {
        if self.rows.len() >= self.max {
            self.make_room();
        }
        if self.rows.len() >= self.max {
            self.left_out += 1;
            return;
        }
        let cgroup = &subject.cgroup;
        if let Some(key) = key(subject) {
            self.index.insert(key, self.rows.len());
        }
        self.rows.push(Leak {
            path: cgroup.path.clone(),
            owner,
            run,
            offlined_ns: subject.offlined.map(wall_ns),
            at_least: subject.offlined_after_ns.is_some(),
            leaked_ns,
            zombie_ns: subject.zombie_ns,
            fate: Fate::Leaked,
            across_gap: subject.across_gap,
            by_count: subject.by_count,
            usage_bytes: cgroup.usage_bytes,
            slab: cgroup.slab.as_deref().copied(),
            pinned: subject.pinned,
            memcg_id: cgroup.memcg_id.filter(|id| *id != 0),
            cgroup_id: cgroup.id,
            creator: subject.creator,
            offlined_mono_ns: subject.offlined.map(|offlined| offlined.mono_ns),
        });
    }

    /// Says whose it was, if it is known to have leaked.
    pub(super) fn recovered(&mut self, subject: &Subject) -> Option<usize> {
        let leak = self.rows.get_mut(self.index.remove(&key(subject)?)?)?;
        leak.fate = Fate::Recovered;
        leak.zombie_ns = subject.zombie_ns;
        leak.across_gap = subject.across_gap;
        Some(leak.owner)
    }

    /// News of what a zombie holds. Says whose it was, if nothing tells of it from now on.
    pub(super) fn zombie(&mut self, subject: &Subject) -> Option<usize> {
        let leak = self.rows.get_mut(*self.index.get(&key(subject)?)?)?;
        leak.slab = subject.cgroup.slab.as_deref().copied().or(leak.slab);
        leak.pinned = subject.pinned.or(leak.pinned);
        let gone = leak.slab.is_some_and(|slab| slab.caches == 0);
        let lost = gone && leak.fate == Fate::Leaked && leak.by_count.is_none();
        if lost {
            leak.fate = Fate::Unseen;
        }
        lost.then_some(leak.owner)
    }

    /// The rows, and how many there would be more.
    pub(super) fn finish(self) -> (Vec<Leak>, u64) {
        (self.rows, self.left_out)
    }

    /// Forgets those that were freed after all, if that helps.
    fn make_room(&mut self) {
        let left = self.rows.iter().filter(|leak| leak.is_left()).count();
        if left > self.max / 8 * 7 {
            return;
        }
        self.left_out += (self.rows.len() - left) as u64;
        let mut kept = 0;
        let places: Vec<_> = self
            .rows
            .iter()
            .map(|leak| {
                kept += usize::from(leak.is_left());
                leak.is_left().then(|| kept - 1)
            })
            .collect();
        self.rows.retain(Leak::is_left);
        self.index.retain(|_, place| {
            let moved = places.get(*place).copied().flatten();
            *place = moved.unwrap_or_default();
            moved.is_some()
        });
    }
}
